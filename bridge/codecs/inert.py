"""What a pickle told of, as plain values: the objects it would have made become text, and nothing is ever made."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from uuid import UUID

import orjson

from bridge.codecs.rejection import Reason, Rejected

DEPTH_MAX = 64
NODES_MAX = 20_000
CHARACTERS_MAX = 2 * 2**20
OBJECT_TEXT_MAX = 1_000
# How deep the parts of an object are told inside its text; parents and children often refer to each other.
OBJECT_DEPTH_MAX = 6

_BUILTINS = ("builtins", "__builtin__", "exceptions")
_SETS = ("set", "frozenset")
_DICTS = ("OrderedDict", "defaultdict", "Counter")


@dataclass(frozen=True, slots=True)
class Global:
    """A name a pickle mentions: a class or function of the sender's program, known to herald by name only."""

    module: str
    name: str

    @property
    def shown(self) -> str:
        """The name as a person writes it: built-ins without their module."""
        return self.name if self.module in _BUILTINS else f"{self.module}.{self.name}"


_DEQUE = Global("collections", "deque")
_UUID = Global("uuid", "UUID")


@dataclass(eq=False, slots=True)
class Thing:
    """An object a pickle would have made, as far as it was told: its class, arguments, state and contents."""

    of: Global
    args: tuple[object, ...]
    state: object = None
    elements: list[object] = field(default_factory=list)
    items: dict[object, object] = field(default_factory=dict)


class OddKey:
    """A dict's key that is no text. It is compared by identity: a sender's hashes never decide how long we take."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value


def text_of(raw: bytes | bytearray) -> str:
    """Return bytes as text: UTF-8 if they are, else Latin-1, which never fails and is what old senders mostly mean."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


class Inert:
    """Turns what the machine built into None, bool, int, float, str, list and dict with text keys.

    The budgets count what is written out: a list that is referred to a thousand times counts a thousand times, so
    that a few bytes cannot grow into gigabytes further on. `is_odd` tells whether anything had to be made inert.
    """

    def __init__(self) -> None:
        self.is_odd = False
        self._nodes = NODES_MAX
        self._characters = CHARACTERS_MAX
        self._open: list[int] = []

    def plain(self, value: object) -> object:
        """Return `value` as plain values, or raise Rejected."""
        kind = type(value)
        self._nodes -= 1
        if self._nodes < 0:
            raise Rejected(Reason.TOO_MANY_NODES, f"more than {NODES_MAX:,} values, shared ones counted each time")
        if kind is str:
            return self._counted(value)  # type: ignore[arg-type]
        if kind is int:
            return self._weighed(value)  # type: ignore[arg-type]
        if value is None or kind is float or kind is bool:
            return value
        return self._nested(value)

    def _weighed(self, number: int) -> int:
        # Printing a long integer takes quadratic time: it is charged as several times its length in text.
        bits = number.bit_length()
        if bits > 64:
            self._charge(bits)
        return number

    def _counted(self, text: str) -> str:
        self._charge(len(text))
        return text

    def _charge(self, characters: int) -> None:
        self._characters -= characters
        if self._characters < 0:
            raise Rejected(Reason.TOO_MUCH_TEXT, f"more than {CHARACTERS_MAX:,} characters, shared ones each time")

    def _nested(self, value: object) -> object:
        if isinstance(value, bytes | bytearray):
            return self._counted(text_of(value))
        if isinstance(value, Global):
            self.is_odd = True
            return self._counted(f"<{value.shown}>")
        if len(self._open) >= DEPTH_MAX:
            raise Rejected(Reason.TOO_DEEP, f"values nested more than {DEPTH_MAX} deep")
        if id(value) in self._open:
            self.is_odd = True
            return "<cycle>"
        self._open.append(id(value))
        try:
            return self._container(value)
        finally:
            self._open.pop()

    def _container(self, value: object) -> object:
        if isinstance(value, dict):
            return self._dict(value)
        if isinstance(value, list | tuple):
            return [self.plain(item) for item in value]
        if isinstance(value, Thing):
            return self._thing(value)
        raise TypeError(f"the machine does not build {type(value)}")

    def _dict(self, value: dict[object, object]) -> dict[str, object]:
        plain: dict[str, object] = {}
        odd: list[tuple[OddKey, object]] = []
        for key, item in value.items():
            if isinstance(key, str):
                plain[self._counted(key)] = self.plain(item)
            else:
                odd.append((key, item))  # type: ignore[arg-type]
        if odd:
            self._add_odd_keys(plain, odd)
        return plain

    def _add_odd_keys(self, plain: dict[str, object], odd: list[tuple[OddKey, object]]) -> None:
        """Give each key that is no text the text it prints as, marked `~2`, `~3` … where that is taken."""
        self.is_odd = True
        twins: dict[str, int] = {}
        for key, item in odd:
            name = self._counted(self._shown(key.value))
            number = twins.get(name, 1)
            candidate = name
            while candidate in plain:
                number += 1
                candidate = f"{name}~{number}"
            twins[name] = number
            plain[candidate] = self.plain(item)

    def _thing(self, thing: Thing) -> object:
        if thing.of.name in _SETS and thing.of.module in _BUILTINS and len(thing.args) <= 1:
            return self._contents(thing)
        if thing.of == _DEQUE:
            return self._contents(thing)
        if thing.of.module == "collections" and thing.of.name in _DICTS and thing.state is None:
            return self._mapping(thing)
        self.is_odd = True
        return self._counted(self._described(thing))

    def _contents(self, thing: Thing) -> object:
        first = thing.args[0] if thing.args else []
        if not isinstance(first, list | tuple):
            return self._counted(self._described(thing))
        return [self.plain(item) for item in (*first, *thing.elements)]

    def _mapping(self, thing: Thing) -> object:
        given = thing.args[0] if thing.args else None
        plain = self._dict(given) if isinstance(given, dict) else {}
        if isinstance(given, list | tuple):  # Python 2's OrderedDict([[key, value], ...])
            plain.update(self._dict(dict(_pairs(given))))
        plain.update(self._dict(thing.items))
        return plain

    def _described(self, thing: Thing) -> str:
        known = _known(thing)
        if known is not None:
            return f"<{thing.of.shown} {known}>"
        if len(self._open) > OBJECT_DEPTH_MAX:
            return f"<{thing.of.shown} …>"
        parts = [self._shown(value) for value in (*thing.args, *thing.elements)]
        parts += self._state_parts(thing.state)
        if thing.items:
            parts.append(self._shown(thing.items))
        return _bounded(f"<{' '.join([thing.of.shown, *parts])}>")

    def _state_parts(self, state: object) -> list[str]:
        if state is None:
            return []
        if isinstance(state, tuple) and len(state) == 2:  # (attributes, slots)
            return [part for half in state for part in self._state_parts(half)]
        if isinstance(state, dict):
            return [f"{key}={_as_text(value)}" for key, value in self._dict(state).items()]
        return [self._shown(state)]

    def _shown(self, value: object) -> str:
        return _bounded(_as_text(self.plain(value)))


def _as_text(plain: object) -> str:
    if isinstance(plain, str):
        return plain
    if isinstance(plain, dict | list):
        try:
            return orjson.dumps(plain).decode()
        except orjson.JSONEncodeError:  # a lone surrogate, or an integer beyond 64 bits
            return str(plain)
    return str(plain)


def _bounded(text: str) -> str:
    return text if len(text) <= OBJECT_TEXT_MAX else text[: OBJECT_TEXT_MAX - 2] + "…>"


def _pairs(given: list[object] | tuple[object, ...]) -> list[tuple[object, object]]:
    pairs: list[tuple[object, object]] = []
    for pair in given:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise Rejected(Reason.MALFORMED, "an OrderedDict of what are no pairs")
        pairs.append((as_key(pair[0]), pair[1]))
    return pairs


def as_key(value: object) -> object:
    """Return what stands for `value` as a key: text as it is, anything else by identity."""
    if type(value) is str:
        return value
    if isinstance(value, bytes | bytearray):
        return text_of(value)
    return OddKey(value)


# What common classes keep in a pickle, read from their documented formats and told as their `str` would.


def _known(thing: Thing) -> str | None:
    """Return the text of a date, a time, a duration or a UUID, or None where `thing` is none or is crooked."""
    try:
        if thing.of.module == "datetime":
            return _moment(thing.of.name, thing.args)
        if thing.of == _UUID and isinstance(thing.state, dict):
            number = thing.state["int"]
            return str(UUID(int=number)) if isinstance(number, int) else None
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, struct.error):
        return None
    return None


def _moment(name: str, args: tuple[object, ...]) -> str | None:
    match name, args:
        case "datetime", (bytes() as packed, *zone):
            return str(_datetime(packed)) + _zone(zone)
        case "date", (bytes() as packed,):
            return str(date(packed[0] * 256 + packed[1], packed[2], packed[3]))
        case "time", (bytes() as packed, *zone):
            return str(_time(packed)) + _zone(zone)
        case "timedelta", (int() as days, int() as seconds, int() as micros):
            return str(timedelta(days, seconds, micros))
        case "timezone", (Thing() as offset, *_):
            return _offset(offset)
    return None


def _datetime(packed: bytes) -> datetime:
    year, month, day, hour, minute, second, high, low = struct.unpack(">HBBBBBBH", packed)
    # The month's highest bit says "the second time this hour happens".
    return datetime(year, month & 0x7F, day, hour, minute, second, high << 16 | low)  # noqa: DTZ001


def _time(packed: bytes) -> time:
    hour, minute, second, high, low = struct.unpack(">BBBBH", packed)
    return time(hour & 0x7F, minute, second, high << 16 | low)


def _zone(zone: list[object]) -> str:
    match zone:
        case []:
            return ""
        case [Thing(of=Global("datetime", "timezone"), args=(Thing() as offset, *_))]:
            return _offset(offset)
        case [Thing(args=(str() as key, *_)) as named] if "zoneinfo" in named.of.module:
            return f"[{_bounded(key)}]"
        case [Thing() as other]:
            return f"[{other.of.shown}]"
    return ""


def _offset(duration: Thing) -> str:
    days, seconds, *_ = duration.args
    if not isinstance(days, int) or not isinstance(seconds, int):
        raise TypeError("a duration of what are no numbers")
    total = days * 86_400 + seconds
    hours, rest = divmod(abs(total), 3_600)
    if hours > 24:
        raise ValueError("an offset of more than a day")
    return f"{'-' if total < 0 else '+'}{hours:02}:{rest // 60:02}"
