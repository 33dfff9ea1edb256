"""The short way for frames that look like earlier ones.

The frames of one client repeat one shape: the same keys in the same order, each value of the same kind, at the same
memo indexes. Such a shape is compiled once into one regular expression in which all that repeats is literal, and from
then on one match takes a frame apart, several times as fast as the machine in `pickles`. What does not fit a known
shape goes to the machine, which also says whether the frame is sound enough to learn from.

The short way tells exactly what the machine tells:
* a string is captured with its length word, up to the literal that follows it, and taken only if the two agree;
* each string sits in an atomic group, so that a hostile frame costs linear time, not backtracking;
* anything unusual (nested values, text that is no UTF-8, long frames) is not matched at all.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import call, itemgetter
from typing import Any, cast

from bridge.codecs import pickles
from bridge.codecs.inert import text_of
from logs.record import Check, Layout, Record, Unusual

FRAME_MAX = 16_384
"""Longer payloads gain little: the machine's time depends on the number of fields, not on their length."""
KEYS_MAX = 64
SHAPES_MAX = 16
CANDIDATES_MAX = 32
PAUSE_MAX = 64
TEXTS_MAX = 4_096
SHORT_TEXT = 200

# Texts that differ from record to record are not worth remembering.
_PASSING = frozenset({"msg", "message", "exc_text", "stack_info", "asctime"})

_HEAD = re.compile(rb"((?:\x80[\x02-\x05])?\x95)(?:.{8})|(?:\x80[\x02-\x05])?", re.DOTALL)
_DICT = re.compile(rb"\}")
_MARK = re.compile(rb"\(")
_MEMO = re.compile(rb"q.|r.{4}|\x94|", re.DOTALL)
_GET = re.compile(rb"h.|j.{4}", re.DOTALL)
_SCALAR_PATTERN = (
    rb"N|\x88|\x89|K.|M..|J.{4}|I-?[0-9]{1,18}\n|L-?[0-9]{1,18}L\n"
    rb"|\x8a\x01.|\x8a\x02.{2}|\x8a\x03.{3}|\x8a\x04.{4}|\x8a\x05.{5}|\x8a\x06.{6}|\x8a\x07.{7}|\x8a\x08.{8}"
)
_SCALAR = re.compile(_SCALAR_PATTERN, re.DOTALL)
_TAIL = b"u."

# Opcodes of strings, and how many bytes their length word has. U and T are Python 2's byte strings.
_LENGTH_BYTES = {b"X": 4, b"T": 4, b"U": 1, b"\x8c": 1}
_BYTE_STRINGS = frozenset({b"T", b"U"})


@dataclass(frozen=True, slots=True)
class _Text:
    """A string value: its opcode, and the literal bytes in front of it."""

    before: bytes
    opcode: bytes
    passing: bool


@dataclass(frozen=True, slots=True)
class _Number:
    """A float, or a value of one of the short kinds (None, bool, integer), and the literal bytes in front of it."""

    before: bytes
    is_float: bool


@dataclass(frozen=True, slots=True)
class _Again:
    """A value that the memo repeats: a key's text, or the value of an earlier slot."""

    text: str | None
    slot: int


_THE_DICT = -1
_A_KEY = -2

_Slot = _Text | _Number | _Again
_Taker = Callable[[bytes], object]
_Picker = Callable[[Sequence[Any]], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Sketch:
    """What repeats in a frame. Equal sketches, one compiled shape."""

    keys: tuple[str, ...]
    values: tuple[_Slot, ...]
    # What comes before the length of protocol 4's FRAME, or nothing where there is no such length.
    before_frame: bytes
    tail: bytes


def sketch(payload: bytes) -> Sketch | None:
    """Return the sketch of a sound frame, or None where it is not of the plain kind: one flat dict of short values."""
    try:
        return _Sketching(payload).whole()
    except (_NotPlain, IndexError, struct.error, UnicodeDecodeError):
        return None


class _NotPlain(Exception):
    """The frame is not one flat dict of scalars and strings."""


class _Sketching:
    """One pass over a frame."""

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.pos = 0
        self.literal_from = 0
        self.memo: dict[int, _Again] = {}
        self.keys: list[str] = []
        self.values: list[_Slot] = []

    def whole(self) -> Sketch:
        before_frame = self.head()
        end = len(self.payload) - len(_TAIL)
        while self.pos < end:
            self.key()
            self.value()
            if len(self.keys) > KEYS_MAX:
                raise _NotPlain
        if self.payload[self.pos :] != _TAIL or not self.keys or len(set(self.keys)) != len(self.keys):
            raise _NotPlain
        return Sketch(tuple(self.keys), tuple(self.values), before_frame, self.literal(len(self.payload)))

    def head(self) -> bytes:
        found = self.expect(_HEAD)
        before_frame = found[1] or b""
        if before_frame:
            self.literal_from = self.pos
        self.expect(_DICT)
        self.put(_Again(None, _THE_DICT))
        self.expect(_MARK)
        return before_frame

    def key(self) -> None:
        opcode, raw = self.string()
        text = text_of(raw) if opcode in _BYTE_STRINGS else raw.decode()
        self.keys.append(text)
        self.put(_Again(text, _A_KEY))

    def value(self) -> None:
        start = self.payload[self.pos : self.pos + 1]
        if start in _LENGTH_BYTES:
            before = self.literal(self.pos)
            opcode, _ = self.string()
            self.literal_from = self.pos
            self.put(_Again(None, len(self.values)))
            self.values.append(_Text(before, opcode, self.keys[-1] in _PASSING))
        elif start in (b"h", b"j"):
            self.again()
        else:
            self.number(is_float=start == b"G")

    def again(self) -> None:
        known = self.memo.get(int.from_bytes(self.expect(_GET)[0][1:], "little"))
        if known is None or known.slot == _THE_DICT:
            raise _NotPlain
        self.values.append(known)

    def number(self, is_float: bool) -> None:
        before = self.literal(self.pos)
        if is_float:
            self.pos += 9
        else:
            self.expect(_SCALAR)
        self.literal_from = self.pos
        self.values.append(_Number(before, is_float))

    def string(self) -> tuple[bytes, bytes]:
        opcode = self.payload[self.pos : self.pos + 1]
        width = _LENGTH_BYTES.get(opcode)
        if width is None:
            raise _NotPlain
        start = self.pos + 1 + width
        end = start + int.from_bytes(self.payload[self.pos + 1 : start], "little")
        if end > len(self.payload):
            raise _NotPlain
        self.pos = end
        return opcode, self.payload[start:end]

    def expect(self, pattern: re.Pattern[bytes]) -> re.Match[bytes]:
        found = pattern.match(self.payload, self.pos)
        if found is None:
            raise _NotPlain
        self.pos = found.end()
        return found

    def literal(self, end: int) -> bytes:
        return self.payload[self.literal_from : end]

    def put(self, what: _Again) -> None:
        code = self.expect(_MEMO)[0]
        if code:
            index = len(self.memo) if code == b"\x94" else int.from_bytes(code[1:], "little")
            if index in self.memo:
                raise _NotPlain
            self.memo[index] = what


class Shape:
    """One compiled shape: takes apart the frames that have it."""

    def __init__(self, drawn: Sketch) -> None:
        self.keys = drawn.keys
        self.layout = Layout(drawn.keys)
        slots = [value for value in drawn.values if not isinstance(value, _Again)]
        self._pattern = re.compile(_pattern(drawn, slots), re.DOTALL)
        self._frame_starts = len(drawn.before_frame) + 8 if drawn.before_frame else 0
        self._takers = [_taker(slot) for slot in slots]
        self._texts = [value.text for value in drawn.values if isinstance(value, _Again) and value.text is not None]
        self._in_order = _picker(_order(drawn, len(slots))) if len(slots) < len(drawn.values) else None
        # Straight into columns, where no value repeats the text of a key.
        self._columns = _column_takers(drawn, self.layout) if self.layout.is_usual and not self._texts else None

    def values(self, payload: bytes) -> Sequence[object] | None:
        """Return the values in `payload`, in the order of the keys, or None if it does not have this shape."""
        groups = self._groups(payload)
        if groups is None:
            return None
        try:
            values = list(map(call, self._takers, groups))
        except ValueError:  # a length word that is not its string's, or text that is no UTF-8
            return None
        return values if self._in_order is None else self._in_order(values + self._texts)

    def record(self, payload: bytes, received: datetime, peer: str) -> Record | None:
        """Return the record in `payload`, or None if it does not have this shape, or has something odd about it."""
        if self._columns is None:
            return None
        groups = self._groups(payload)
        if groups is None:
            return None
        if self._in_order is not None:
            groups = self._in_order(groups)
        try:
            return self.layout.assemble(list(map(call, self._columns, groups)), received, peer)
        except (Unusual, ValueError):
            return None

    def _groups(self, payload: bytes) -> Sequence[bytes] | None:
        found = self._pattern.fullmatch(payload)
        if found is None:
            return None
        groups: Sequence[bytes] = found.groups()
        if self._frame_starts:
            if int.from_bytes(groups[0], "little") != len(payload) - self._frame_starts:
                return None
            groups = groups[1:]
        return groups


def _order(drawn: Sketch, slots: int) -> list[int]:
    """Return where each value of `drawn` stands once the texts that the memo repeats are put behind the slots."""
    place_of_slot: dict[int, int] = {}
    order: list[int] = []
    texts = 0
    for position, value in enumerate(drawn.values):
        if not isinstance(value, _Again):
            place_of_slot[position] = len(place_of_slot)
            order.append(place_of_slot[position])
        elif value.text is None:
            order.append(place_of_slot[value.slot])
        else:
            order.append(slots + texts)
            texts += 1
    return order


def _pattern(drawn: Sketch, slots: Sequence[_Text | _Number]) -> bytes:
    parts = [re.escape(drawn.before_frame) + b"(.{8})"] if drawn.before_frame else []
    parts.append(re.escape(slots[0].before))
    following = [*(slot.before for slot in slots[1:]), drawn.tail]
    parts += [_slot_pattern(slot, re.escape(after)) for slot, after in zip(slots, following, strict=True)]
    return b"".join(parts)


def _slot_pattern(slot: _Text | _Number, after: bytes) -> bytes:
    if isinstance(slot, _Text):
        return rb"(?>%b(.{%d}.*?)%b)" % (re.escape(slot.opcode), _LENGTH_BYTES[slot.opcode], after)
    return (b"G(.{8})" if slot.is_float else b"(%b)" % _SCALAR_PATTERN) + after


def _float(code: bytes) -> float:
    (value,) = _f64(code)
    return cast(float, value)


def _measured(width: int, decode: Callable[[bytes], str]) -> _Taker:
    """Return the reader of strings that come with a length word of `width` bytes in front."""

    def read(code: bytes) -> str:
        text = code[width:]
        if int.from_bytes(code[:width], "little") != len(text):
            raise ValueError("the length word is not the length")
        return decode(text)

    return read


class _Known(dict[bytes, object]):
    """What short pieces of frames mean, remembered; the same few come with every frame."""

    def __init__(self, meaning: _Taker) -> None:
        super().__init__()
        self._meaning = meaning

    def __missing__(self, code: bytes) -> object:
        value = self._meaning(code)
        if len(code) <= SHORT_TEXT:
            if len(self) >= TEXTS_MAX:
                self.clear()
            self[code] = value
        return value


_f64 = struct.Struct(">d").unpack
_scalars = _Known(pickles.scalar)
_text_readers = {
    opcode: _measured(width, text_of if opcode in _BYTE_STRINGS else bytes.decode)
    for opcode, width in _LENGTH_BYTES.items()
}
_texts = {opcode: _Known(reader) for opcode, reader in _text_readers.items()}


def _taker(slot: _Text | _Number) -> _Taker:
    if isinstance(slot, _Number):
        return _float if slot.is_float else _scalars.__getitem__
    return _text_readers[slot.opcode] if slot.passing else _texts[slot.opcode].__getitem__


def _column_takers(drawn: Sketch, layout: Layout) -> list[_Taker]:
    """Return for each key what makes its column's value of the bytes that it, or what it repeats, was given as."""
    slots = [drawn.values[value.slot] if isinstance(value, _Again) else value for value in drawn.values]
    return [
        _column_taker(slot, check)
        for slot, check in zip(slots, layout.checks, strict=True)
        if not isinstance(slot, _Again)
    ]


def _column_taker(slot: _Text | _Number, check: Check) -> _Taker:
    if isinstance(slot, _Number) and slot.is_float:
        return lambda code: check(_float(code))
    if isinstance(slot, _Text) and slot.passing:
        read = _text_readers[slot.opcode]
        return lambda code: check(read(code))
    kind = (slot.opcode if isinstance(slot, _Text) else b"", check)
    if kind not in _column_texts:
        take = _taker(slot)
        _column_texts[kind] = _Known(lambda code: check(take(code)))
    return _column_texts[kind].__getitem__


_column_texts: dict[tuple[bytes, Check], _Known] = {}
"""What short pieces mean for a column, by opcode (none: a scalar) and by what the column asks of it."""


class Shapes:
    """The shapes of the frames seen lately, most used first.

    Compiling costs as much as a hundred frames on the machine, so a shape must be seen twice, and after looking in
    vain the next look waits ever longer: a sender who never repeats himself costs next to nothing. One instance may be
    shared by threads: what they overwrite for each other is only ever cached.
    """

    def __init__(self) -> None:
        self._shapes: list[Shape] = []
        self._candidates: dict[Sketch, None] = {}
        self._pause = 1
        self._skip = 0
        self.looks = 0
        """How many frames were looked at for their shape, which costs twice what the machine takes for them."""

    def match(self, payload: bytes) -> tuple[Shape, Sequence[object]] | None:
        """Return the shape `payload` has, and its values in the order of the shape's keys; None if it is not known."""
        if len(payload) > FRAME_MAX or payload[:1] == b"{":
            return None
        for index, shape in enumerate(self._shapes):
            values = shape.values(payload)
            if values is not None:
                if index:
                    self._move_up(index)
                return shape, values
        return None

    def record(self, payload: bytes, received: datetime, peer: str) -> Record | None:
        """Return the record in `payload` by the shortest way, or None where another way must be taken."""
        if len(payload) > FRAME_MAX or payload[:1] == b"{":
            return None
        for index, shape in enumerate(self._shapes):
            record = shape.record(payload, received, peer)
            if record is not None:
                if index:
                    self._move_up(index)
                return record
        return None

    def learn(self, payload: bytes) -> None:
        """Consider the shape of `payload`, which no known shape matched and which the machine found sound."""
        if self._skip or len(payload) > FRAME_MAX:
            self._skip -= bool(self._skip)
            return
        self.looks += 1
        drawn = sketch(payload)
        if drawn is not None and drawn in self._candidates:
            del self._candidates[drawn]
            self._keep(Shape(drawn))
            self._pause = 1
            return
        self._skip = self._pause
        self._pause = min(self._pause * 2, PAUSE_MAX)
        if drawn is not None:
            self._remember(drawn)

    def _remember(self, drawn: Sketch) -> None:
        if len(self._candidates) >= CANDIDATES_MAX:
            del self._candidates[next(iter(self._candidates))]
        self._candidates[drawn] = None

    def _keep(self, shape: Shape) -> None:
        # The newcomer takes the last place and has to earn a better one: a flood of shapes costs the well-used none.
        del self._shapes[SHAPES_MAX - 1 :]
        self._shapes.append(shape)

    def _move_up(self, index: int) -> None:
        shapes = self._shapes
        shapes[index - 1], shapes[index] = shapes[index], shapes[index - 1]


def _picker(indices: Sequence[int]) -> _Picker:
    """Return a function that takes what stands at `indices`, in that order."""
    if len(indices) > 1:
        return cast(_Picker, itemgetter(*indices))
    return lambda values: [values[index] for index in indices]
