"""Reads what an honest client's pickle says, and does nothing that a pickle asks for.

A small machine for the opcodes of protocols 0 to 5 that `pickle.dumps` writes for a dict of log fields. It imports
nothing, calls nothing, and never hands a byte to Python's own `pickle`: that one fails by design on crafted input
(segmentation faults, gigabytes, calls), even with `find_class` blocked. Classes and functions stay names, objects
become inert text.

The opcodes' meaning is documented in the standard library's `pickletools`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

from bridge.codecs.inert import NODES_MAX, Global, Inert, Thing, as_key
from bridge.codecs.rejection import Reason, Rejected

# What a record of NODES_MAX values needs in the wordiest protocol: to be put, remembered and taken into its container.
STEPS_MAX = 4 * NODES_MAX
MARKS_MAX = 200
NAME_MAX = 256
INT_BYTES_MAX = 256
INT_DIGITS_MAX = 616
FLOAT_TEXT_MAX = 64

_u16 = struct.Struct("<H").unpack_from
_i32 = struct.Struct("<i").unpack_from
_u32 = struct.Struct("<I").unpack_from
_u64 = struct.Struct("<Q").unpack_from
_f64 = struct.Struct(">d").unpack_from

_INTEGER = re.compile(rb"[-+]?[0-9]+")
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|[0-7]{1,3}|.)", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}

_FORBIDDEN = {
    b"P": "PERSID",
    b"Q": "BINPERSID",
    b"\x82": "EXT1",
    b"\x83": "EXT2",
    b"\x84": "EXT4",
    b"\x97": "NEXT_BUFFER",
    b"\x98": "READONLY_BUFFER",
}


class Pickled:
    """What a pickle told, in plain values; `is_odd` if some of it had to be made inert."""

    __slots__ = ("is_odd", "value")

    def __init__(self, value: object, is_odd: bool) -> None:
        self.value = value
        self.is_odd = is_odd


def read(payload: bytes) -> Pickled:
    """Return what `payload` tells, as None, bool, int, float, str, list and dict with text keys.

    Sets and tuples become lists, bytes become text, objects text such as `<decimal.Decimal 1.50>`. Raises Rejected,
    and nothing else. Time and memory are bounded by the payload's length and by the budgets of this package.
    """
    told = _Machine(payload).run()
    inert = Inert()
    return Pickled(inert.plain(told), inert.is_odd)


def scalar(code: bytes) -> object:
    """Return what one opcode with its operand pushes, for opcodes that need nothing but themselves."""
    machine = _Machine(code)
    machine.pos = 1
    _HANDLERS[code[0]](machine)
    return machine.stack[0]


class _Stopped(Exception):
    """The STOP opcode."""


class _Machine:
    """The stack machine. One method per opcode; `pos` stands behind the opcode when its method runs."""

    __slots__ = ("marks", "memo", "nodes", "payload", "pos", "stack")

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.pos = 0
        self.stack: list[object] = []
        self.marks: list[list[object]] = []
        self.memo: dict[int, object] = {}
        self.nodes = 0

    def run(self) -> object:
        payload, handlers = self.payload, _HANDLERS
        try:
            for _ in range(STEPS_MAX):
                opcode = payload[self.pos]
                self.pos += 1
                handlers[opcode](self)
        except _Stopped:
            return self._result()
        except (IndexError, struct.error):
            raise self._malformed("the payload ends too early, or takes more than it put") from None
        raise Rejected(Reason.TOO_MANY_NODES, f"pickle: more than {STEPS_MAX:,} opcodes")

    def _result(self) -> object:
        if len(self.stack) != 1 or self.marks or self.pos != len(self.payload):
            raise self._malformed("something is left over")
        return self.stack[0]

    def _malformed(self, why: str) -> Rejected:
        return Rejected(Reason.MALFORMED, f"pickle: {why} (at byte {self.pos})")

    def unknown(self) -> None:
        opcode = self.payload[self.pos - 1 : self.pos]
        if opcode in _FORBIDDEN:
            raise Rejected(Reason.FORBIDDEN, f"pickle: no log record needs {_FORBIDDEN[opcode]} (at byte {self.pos})")
        raise self._malformed(f"{opcode!r} is no opcode")

    # Reading

    def take(self, length: int) -> bytes:
        taken = self.payload[self.pos : self.pos + length]
        if len(taken) != length:
            raise self._too_short(length)
        self.pos += length
        return taken

    def _too_short(self, length: int) -> Rejected:
        return self._malformed(f"{length} bytes are announced, {len(self.payload) - self.pos} are left")

    def take_line(self) -> bytes:
        end = self.payload.find(b"\n", self.pos)
        if end < 0:
            raise self._malformed("a line does not end")
        line = self.payload[self.pos : end]
        self.pos = end + 1
        return line

    def take_name(self) -> str:
        line = self.take_line()
        if len(line) > NAME_MAX:
            raise self._malformed("a name is too long")
        return line.decode("utf-8", "replace")

    def u8(self) -> int:
        value = self.payload[self.pos]
        self.pos += 1
        return value

    def u16(self) -> int:
        (value,) = _u16(self.payload, self.pos)
        self.pos += 2
        return int(value)

    def i32(self) -> int:
        (value,) = _i32(self.payload, self.pos)
        self.pos += 4
        return int(value)

    def u32(self) -> int:
        (value,) = _u32(self.payload, self.pos)
        self.pos += 4
        return int(value)

    def u64(self) -> int:
        (value,) = _u64(self.payload, self.pos)
        self.pos += 8
        return int(value)

    # Stack and memo

    def push(self, value: object) -> None:
        self.nodes += 1
        if self.nodes > NODES_MAX:
            self.count(0)
        self.stack.append(value)

    def count(self, nodes: int) -> None:
        """Charge the budget for work that takes about as long as `nodes` values."""
        self.nodes += nodes
        if self.nodes > NODES_MAX:
            raise Rejected(Reason.TOO_MANY_NODES, f"pickle: more than {NODES_MAX:,} values")

    def pop_mark(self) -> list[object]:
        if not self.marks:
            raise self._malformed("no MARK to go back to")
        items = self.stack
        self.stack = self.marks.pop()
        return items

    def remember(self, index: int) -> None:
        if index > NODES_MAX:
            raise Rejected(Reason.MEMO, f"pickle: memo index {index:,} is beyond {NODES_MAX:,}")
        self.memo[index] = self.stack[-1]

    def recall(self, index: int) -> None:
        if index not in self.memo:
            raise Rejected(Reason.MEMO, f"pickle: nothing was put at memo index {index}")
        self.push(self.memo[index])

    def line_index(self) -> int:
        line = self.take_line()
        if not line.isdigit() or len(line) > 9:
            raise Rejected(Reason.MEMO, "pickle: a memo index is no number or too great")
        return int(line)

    # Framing

    def proto(self) -> None:
        version = self.u8()
        if version > 5:
            raise self._malformed(f"protocol {version} is not known")

    def frame(self) -> None:
        length = self.u64()
        if length > len(self.payload) - self.pos:
            raise self._malformed(f"a frame of {length} bytes is announced, fewer are left")

    def stop(self) -> None:
        raise _Stopped

    # Marks and memo

    def mark(self) -> None:
        if len(self.marks) >= MARKS_MAX:
            raise Rejected(Reason.TOO_DEEP, f"pickle: more than {MARKS_MAX} open marks")
        self.marks.append(self.stack)
        self.stack = []

    def pop(self) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.pop_mark()

    def drop_to_mark(self) -> None:
        self.pop_mark()

    def put(self) -> None:
        self.remember(self.line_index())

    def binput(self) -> None:
        self.memo[self.payload[self.pos]] = self.stack[-1]
        self.pos += 1

    def long_binput(self) -> None:
        self.remember(self.u32())

    def memoize(self) -> None:
        # No index to check: the budget of steps bounds the memo.
        self.memo[len(self.memo)] = self.stack[-1]

    def get(self) -> None:
        self.recall(self.line_index())

    def binget(self) -> None:
        self.recall(self.u8())

    def long_binget(self) -> None:
        self.recall(self.u32())

    def dup(self) -> None:
        self.push(self.stack[-1])

    # Numbers

    def binint(self) -> None:
        self.push(self.i32())

    def binint1(self) -> None:
        self.push(self.u8())

    def binint2(self) -> None:
        self.push(self.u16())

    def int_text(self) -> None:
        line = self.take_line()
        # Protocols 0 and 1 have no opcode for booleans: they are these two spellings of 0 and 1.
        if line in (b"00", b"01"):
            self.push(line == b"01")
        else:
            self.push(self.parsed_int(line))

    def long_text(self) -> None:
        self.push(self.parsed_int(self.take_line().removesuffix(b"L")))

    def parsed_int(self, digits: bytes) -> int:
        if len(digits) > INT_DIGITS_MAX:
            raise Rejected(Reason.NUMBER_TOO_LONG, f"pickle: an integer of {len(digits):,} digits")
        if not _INTEGER.fullmatch(digits):
            raise self._malformed("a number that is none")
        return int(digits)

    def long1(self) -> None:
        self.push_long(self.u8())

    def long4(self) -> None:
        self.push_long(self.i32())

    def push_long(self, length: int) -> None:
        if length > INT_BYTES_MAX:
            raise Rejected(Reason.NUMBER_TOO_LONG, f"pickle: an integer of {length:,} bytes")
        if length < 0:
            raise self._malformed("a negative length")
        self.push(int.from_bytes(self.take(length), "little", signed=True))

    def binfloat(self) -> None:
        (value,) = _f64(self.payload, self.pos)
        self.pos += 8
        self.push(value)

    def float_text(self) -> None:
        line = self.take_line()
        try:
            self.push(float(line[:FLOAT_TEXT_MAX]))
        except ValueError:
            raise self._malformed("a number that is none") from None

    def none(self) -> None:
        self.push(None)

    def true(self) -> None:
        self.push(True)

    def false(self) -> None:
        self.push(False)

    # Text and bytes; Python 2's byte strings stay bytes until it is known what they are for

    def push_text(self, length: int) -> None:
        # Half of all opcodes come here: what `take` and `push` do is written out.
        raw = self.payload[self.pos : self.pos + length]
        if len(raw) != length:
            raise self._too_short(length)
        self.pos += length
        self.nodes += 1
        if self.nodes > NODES_MAX:
            self.count(0)
        try:
            self.stack.append(raw.decode())
        except UnicodeDecodeError:
            self.stack.append(_lenient(raw))

    def binunicode(self) -> None:
        (length,) = _u32(self.payload, self.pos)
        self.pos += 4
        self.push_text(length)

    def short_binunicode(self) -> None:
        length = self.payload[self.pos]
        self.pos += 1
        self.push_text(length)

    def binunicode8(self) -> None:
        self.push_text(self.u64())

    def unicode_line(self) -> None:
        line = self.take_line()
        try:
            self.push(line.decode("raw-unicode-escape"))
        except UnicodeDecodeError:
            self.push(line.decode("utf-8", "replace"))

    def string_line(self) -> None:
        line = self.take_line().rstrip()
        if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
            raise self._malformed("a string without its quotes")
        self.count(line.count(b"\\"))
        self.push(_ESCAPE.sub(_unescaped, line[1:-1]))

    def binstring(self) -> None:
        length = self.i32()
        if length < 0:
            raise self._malformed("a negative length")
        self.push(self.take(length))

    def short_bytes(self) -> None:
        self.push(self.take(self.u8()))

    def binbytes(self) -> None:
        self.push(self.take(self.u32()))

    def binbytes8(self) -> None:
        self.push(self.take(self.u64()))

    # Containers

    def empty_dict(self) -> None:
        self.push({})

    def empty_list(self) -> None:
        self.push([])

    def empty_tuple(self) -> None:
        self.push(())

    def list_(self) -> None:
        self.push(self.pop_mark())

    def tuple_(self) -> None:
        self.push(tuple(self.pop_mark()))

    def tuple1(self) -> None:
        self.push_tuple(1)

    def tuple2(self) -> None:
        self.push_tuple(2)

    def tuple3(self) -> None:
        self.push_tuple(3)

    def push_tuple(self, length: int) -> None:
        if len(self.stack) < length:
            raise self._malformed("a tuple of more than there is")
        items = tuple(self.stack[-length:])
        del self.stack[-length:]
        self.push(items)

    def dict_(self) -> None:
        items = self.pop_mark()
        made: dict[object, object] = {}
        self.fill(made, items)
        self.push(made)

    def append(self) -> None:
        item = self.stack.pop()
        self.extend([item])

    def appends(self) -> None:
        self.extend(self.pop_mark())

    def extend(self, items: list[object]) -> None:
        target = self.stack[-1]
        if isinstance(target, Thing):
            target.elements += items
        elif isinstance(target, list):
            target += items
        else:
            raise self._malformed("an item for what is no list")

    def setitem(self) -> None:
        value = self.stack.pop()
        key = self.stack.pop()
        self.fill(self.stack[-1], [key, value])

    def setitems(self) -> None:
        items = self.pop_mark()
        self.fill(self.stack[-1], items)

    def fill(self, target: object, items: list[object]) -> None:
        if isinstance(target, Thing):
            target = target.items
        if not isinstance(target, dict):
            raise self._malformed("a key for what is no dict")
        if len(items) % 2:
            raise self._malformed("a key without a value")
        for index in range(0, len(items), 2):
            key = items[index]
            target[key if type(key) is str else as_key(key)] = items[index + 1]

    # Objects, by name only

    def global_(self) -> None:
        module = self.take_name()
        self.push(Global(module, self.take_name()))

    def stack_global(self) -> None:
        name = self.stack.pop()
        module = self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str) or len(name) + len(module) > 2 * NAME_MAX:
            raise self._malformed("a name that is none")
        self.push(Global(module, name))

    def reduce(self) -> None:
        args = self.stack.pop()
        self.push(self.called(self.stack.pop(), args))

    def newobj(self) -> None:
        args = self.stack.pop()
        self.push(self.made(self.stack.pop(), args))

    def newobj_ex(self) -> None:
        named = self.stack.pop()
        args = self.stack.pop()
        thing = self.made(self.stack.pop(), args)
        thing.state = named if named else None
        self.push(thing)

    def inst(self) -> None:
        module = self.take_name()
        self.push(Thing(Global(module, self.take_name()), tuple(self.pop_mark())))

    def obj(self) -> None:
        of, *args = self.pop_mark() or [None]
        self.push(self.made(of, tuple(args)))

    def build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if not isinstance(target, Thing):
            raise self._malformed("a state for what is no object")
        target.state = state if target.state is None else [target.state, state]

    def made(self, of: object, args: object) -> Thing:
        if isinstance(of, Thing):  # what a call gave is called in turn: told by the first one's name
            of = of.of
        if not isinstance(of, Global) or not isinstance(args, tuple):
            raise self._malformed("an object of no class")
        return Thing(of, args)

    def called(self, function: object, args: object) -> object:
        """Tell what a call would give: by name only, but for the ways in which pickle itself spells plain values."""
        match function, args:
            case Global("_codecs", "encode"), (str() as text, "latin1" | "latin-1"):
                return self.encoded(text)
            case Global("builtins" | "__builtin__", "bytes" | "bytearray"), ():
                return b""
            case Global("builtins" | "__builtin__", "bytearray"), (bytes() as raw,):
                return raw
            case Global("builtins" | "__builtin__", "bytearray"), (str() as text, "latin-1" | b"latin-1"):
                return self.encoded(text)
            case Global("copy_reg" | "copyreg", "_reconstructor"), (Global() as of, Global(), state):
                return Thing(of, () if state is None else (state,))
            case Global("copy_reg" | "copyreg", "__newobj__"), (Global() as of, *rest):
                return Thing(of, tuple(rest))
            case Global("builtins" | "__builtin__", "getattr"), (Global() as of, str() as name) if len(name) < NAME_MAX:
                return Global(of.module, f"{of.name}.{name}"[:NAME_MAX])
        return self.made(function, args)

    def encoded(self, text: str) -> bytes:
        try:
            return text.encode("latin-1")
        except UnicodeEncodeError:
            raise self._malformed("bytes of what are none") from None


def _lenient(raw: bytes) -> str:
    """Return text that is no UTF-8: with its lone surrogates, which pickle does write, or else with replacements."""
    try:
        return raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace")


def _unescaped(found: re.Match[bytes]) -> bytes:
    escape = found[1]
    if escape[:1] == b"x" and len(escape) == 3:
        return bytes([int(escape[1:], 16)])
    if escape[:1].isdigit():
        return bytes([int(escape, 8) & 0xFF]) if escape[:1] in b"01234567" else found[0]
    return _ESCAPED.get(escape, escape if escape in (b"\\", b"'", b'"') else found[0])


_Handler = Callable[[_Machine], None]

_OPCODES: dict[bytes, _Handler] = {
    b"\x80": _Machine.proto,
    b"\x95": _Machine.frame,
    b".": _Machine.stop,
    b"(": _Machine.mark,
    b"0": _Machine.pop,
    b"1": _Machine.drop_to_mark,
    b"2": _Machine.dup,
    b"p": _Machine.put,
    b"q": _Machine.binput,
    b"r": _Machine.long_binput,
    b"\x94": _Machine.memoize,
    b"g": _Machine.get,
    b"h": _Machine.binget,
    b"j": _Machine.long_binget,
    b"I": _Machine.int_text,
    b"J": _Machine.binint,
    b"K": _Machine.binint1,
    b"M": _Machine.binint2,
    b"L": _Machine.long_text,
    b"\x8a": _Machine.long1,
    b"\x8b": _Machine.long4,
    b"F": _Machine.float_text,
    b"G": _Machine.binfloat,
    b"N": _Machine.none,
    b"\x88": _Machine.true,
    b"\x89": _Machine.false,
    b"X": _Machine.binunicode,
    b"\x8c": _Machine.short_binunicode,
    b"\x8d": _Machine.binunicode8,
    b"V": _Machine.unicode_line,
    b"S": _Machine.string_line,
    b"T": _Machine.binstring,
    b"U": _Machine.short_bytes,
    b"B": _Machine.binbytes,
    b"C": _Machine.short_bytes,
    b"\x8e": _Machine.binbytes8,
    b"\x96": _Machine.binbytes8,
    b"}": _Machine.empty_dict,
    b"]": _Machine.empty_list,
    b")": _Machine.empty_tuple,
    b"\x8f": _Machine.empty_list,
    b"l": _Machine.list_,
    b"t": _Machine.tuple_,
    b"\x85": _Machine.tuple1,
    b"\x86": _Machine.tuple2,
    b"\x87": _Machine.tuple3,
    b"d": _Machine.dict_,
    b"\x91": _Machine.list_,
    b"a": _Machine.append,
    b"e": _Machine.appends,
    b"\x90": _Machine.appends,
    b"s": _Machine.setitem,
    b"u": _Machine.setitems,
    b"c": _Machine.global_,
    b"\x93": _Machine.stack_global,
    b"R": _Machine.reduce,
    b"\x81": _Machine.newobj,
    b"\x92": _Machine.newobj_ex,
    b"i": _Machine.inst,
    b"o": _Machine.obj,
    b"b": _Machine.build,
}
_HANDLERS: list[_Handler] = [_OPCODES.get(bytes([code]), _Machine.unknown) for code in range(256)]


def knows(code: int) -> bool:
    """Tell whether the machine has an opcode with this byte."""
    return bytes([code]) in _OPCODES
