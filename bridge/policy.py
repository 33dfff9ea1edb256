"""What of a row may leave for a destination: fields are dropped, masked or hashed before anything is sent.

A removed value is absent from all that leaves. So it is taken out of its own field, and of every other text, key and
number of the row in which it occurs: in upper or lower case, escaped as in JSON, as Python prints it, as in HTML, or
percent-encoded. Of a value with parts, each part counts. What is not looked for: pieces of a text, other encodings
(Base64, a hash), values of fewer than VALUE_MIN characters, and words that say nothing, such as True or WARNING. A
number of fewer than LITERAL_DIGITS digits is found where no further digit touches it: dropping line 120 leaves the
port 12099 alone. The columns in UNTOUCHED and herald's own names of columns are no place of a value. Where so much is
removed that looking for it would take long, the row's long texts and its `extra` are masked whole instead.
"""

from __future__ import annotations

import hmac
import html
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus

import orjson

from logs import storable
from logs.record import COLUMN_OF, INTEGERS, LEVELS, REALS, SENT

MASK = "•••"
"""Stands for a masked value, and in other texts for a dropped one."""
HASH_MARK = re.compile(r"h:[0-9a-f]{24}")
"""What stands for a hashed value: the beginning of its HMAC-SHA256."""
KEY_MIN = 16
"""Shortest key, in bytes."""
VALUE_MIN = 3
"""Shortest value that is looked for in other texts, in characters."""
LITERAL_DIGITS = 7
"""A number of that many digits is found inside longer ones too: a telephone number behind its country's code."""

UNTOUCHED = frozenset({"id", "tx", "received", "created", "levelno", "flags"})
"""Columns that are never changed: herald's own, and those without which no record is one."""
_UNDROPPABLE = {
    "message": "a record needs it",
    "levelname": "a record needs it",
    "origin": "its length is what ends loops",
}
_NUMBERS = frozenset({*INTEGERS, *REALS})
FIELDS = (*(column for column in SENT if column not in UNTOUCHED), "extra", "peer", "origin")
"""What may be named; beside these `extra.KEY`, and `extra.KEY.KEY` for what is nested."""

_ALIASES = {
    **{"system": "system_id", "host": "sub_system_id", "sub": "sub_sub_system_id", "part": "sub_sub_system_id"},
    **{"product": "produkt_id", "user1": "user_spec_1", "user2": "user_spec_2", "version": "package_version"},
    **{
        "level": "levelno",
        "logger": "name",
        "func": "funcname",
        "function": "funcname",
        "file": "filename",
        "line": "lineno",
    },
}
_PATH = "extra."
_COMMON = frozenset({"none", "true", "false", "null", "nan", "inf", "undef", *map(str.lower, LEVELS)})
_EMPTY: tuple[object, ...] = (None, "", {}, [])

# Values times characters to look through. More than that takes a tenth of a second and is nothing an honest row asks for.
_WORK_MAX = 10_000_000
_SHORT_TEXT = 200
# How much longer hash marks may make a text; beyond, masks take their place, which are as short as any value.
_GROWTH_MAX = 1_000

_CUT = re.compile(r"…(?: \[[0-9]+ characters cut\])?\Z")
_CUT_LEAST = 190
_NUMBER = re.compile(r"[-+]?[0-9]+(?:\.[0-9]+)?")
_NUMERIC = re.compile(r"\s*[-+.0-9eE]+\s*")
"""What may stand in the text of a number."""
_PLAIN_NAME = re.compile(r"[A-Za-z_]+")

_Way = str
_Marker = Callable[[object], str]


class BadPolicy(ValueError):
    """A policy names what cannot be removed; the text says what is allowed."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What is removed of every row before it leaves: each field is dropped, masked (MASK) or hashed (HASH_MARK).

    A field is a column in any spelling that senders or pages use (`system_id`, `SYSTEM_ID`, `system`), `extra` as a
    whole, `extra.card`, `extra.order.card` (in each element where there is a list on the way), `peer` or `origin`.
    Naming a column covers what a sender wrote under a spelling of it and herald keeps in `extra`. A column of numbers
    can only be dropped. The lists hold the columns' own names once the policy is made; BadPolicy says what is wrong.

    `key` makes the hashes: the same value gives the same mark as long as the key is the same, whatever the field.
    """

    dropped: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()
    hashed: tuple[str, ...] = ()
    key: bytes = field(default=b"", repr=False)
    _columns: tuple[tuple[str, _Way], ...] = field(init=False, repr=False, compare=False)
    _paths: tuple[tuple[str, _Way], ...] = field(init=False, repr=False, compare=False)
    _spellings: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ways = {"dropped": self.dropped, "masked": self.masked, "hashed": self.hashed}
        lists = {way: tuple(dict.fromkeys(map(_field, names))) for way, names in ways.items()}
        _check(lists)
        if lists["hashed"] and len(self.key) < KEY_MIN:
            raise BadPolicy(f"hashing needs a key of at least {KEY_MIN} bytes; this one has {len(self.key)}")
        rules = [(name, way) for way, names in lists.items() for name in names]
        named = {name for name, _ in rules}
        made: dict[str, object] = {
            **lists,
            "_columns": tuple(rule for rule in rules if not rule[0].startswith(_PATH)),
            "_paths": tuple(rule for rule in rules if rule[0].startswith(_PATH)),
            "_spellings": {key.lower(): column for key, column in COLUMN_OF.items() if column in named},
        }
        for name, value in made.items():
            object.__setattr__(self, name, value)

    @classmethod
    def parse(cls, dropped: str = "", masked: str = "", hashed: str = "", key: bytes = b"") -> Policy:
        """Return the policy of three lists as a person types them: names separated by commas or line ends."""
        return cls(_names(dropped), _names(masked), _names(hashed), key)

    @property
    def is_empty(self) -> bool:
        """Whether every row leaves as it is."""
        return not (self._columns or self._paths)

    def mark(self, value: object) -> str:
        """Return what stands for `value` where it is hashed: how to search for it at the far side."""
        text = canonical(value).encode("utf-8", "surrogatepass")
        return "h:" + hmac.digest(self.key, text, "sha256").hex()[:24]

    def apply(self, row: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Return what of `row` may leave, as a new row, and what was done to it.

        The row maps Log's column names to values. What was done reads `user_spec_1 hashed`, `extra.card masked`, and
        `message scrubbed` where a removed value stood in another field; a field that held nothing is not listed.
        Applied to its own result, a policy changes nothing.
        """
        left = dict(row)
        if self.is_empty:
            return left, []
        value = left.get
        columns = [rule for rule in self._columns if (held := value(rule[0])) or held == 0]
        extra = value("extra")
        if not columns and not (extra and self._finds_in(extra)):
            return left, []
        if extra:
            left["extra"] = _copied(extra)
        return _Redaction(self, left).done(columns)

    def _finds_in(self, extra: Mapping[str, Any]) -> bool:
        if self._spellings and any(self.column_in_extra(key) for key in extra):
            return True
        return any(next(_places(extra, path), None) for path, _ in self._paths)

    def column_in_extra(self, key: str) -> str | None:
        """Return the listed column of which `key` of `extra` is a spelling, `~2` and so on behind it or not."""
        return self._spellings.get(key.partition("~")[0].lower())


def canonical(value: object) -> str:
    """Return the text that is hashed for a value: a number as the text of the same digits, the rest as sorted JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return storable.plain_text(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


# --- What may be named ------------------------------------------------------------------------------------------------


def _names(typed: str) -> tuple[str, ...]:
    return tuple(name for part in re.split(r"[,\n]", typed) if (name := part.strip()))


def _field(name: str) -> str:
    """Return the one name of a field, or raise BadPolicy."""
    if name.startswith(_PATH):
        if not all(name.split(".")):
            raise BadPolicy(f"`{name}` names no key: write extra.KEY, or extra.KEY.KEY for what is nested")
        return name
    column = COLUMN_OF.get(name) or COLUMN_OF.get(name.lower()) or _ALIASES.get(name.lower(), name.lower())
    if column in ("created", "levelno"):
        raise BadPolicy(f"`{name}` cannot be removed: a record needs it")
    if column in UNTOUCHED:
        raise BadPolicy(f"`{name}` is herald's own and is never sent: there is nothing to remove")
    if column not in FIELDS:
        raise BadPolicy(f"there is no field `{name}`; there are {', '.join(sorted(FIELDS))}, and extra.KEY")
    return column


def _check(lists: Mapping[_Way, Sequence[str]]) -> None:
    ways: dict[str, _Way] = {}
    for way, names in lists.items():
        for name in names:
            if name in ways:
                raise BadPolicy(f"`{name}` is to be {ways[name]} and {way}: name it in one list only")
            if way == "dropped" and name in _UNDROPPABLE:
                raise BadPolicy(f"`{name}` cannot be dropped, since {_UNDROPPABLE[name]}; it can be masked or hashed")
            if way != "dropped" and name in _NUMBERS:
                raise BadPolicy(f"`{name}` is a number: it has no room for a mark, and can only be dropped")
            ways[name] = way
    for name in ways:
        for outer in ways:
            if name.startswith(outer + "."):
                raise BadPolicy(f"`{name}` lies within `{outer}`, which is {ways[outer]} as a whole: name one of them")


# --- Taking values out of their own fields ----------------------------------------------------------------------------


class _Redaction:
    """One row while values are taken out of it: what is left, what was removed, what was done."""

    def __init__(self, policy: Policy, left: dict[str, Any]) -> None:
        self.policy = policy
        self.left = left
        self.removed: dict[str, str] = {}
        """Each removed text, and what stands for it elsewhere."""
        self.said: list[str] = []

    def done(self, columns: Iterable[tuple[str, _Way]]) -> tuple[dict[str, Any], list[str]]:
        for path, way in self.policy._paths:
            places = list(_places(self.left.get("extra") or {}, path))
            self.say(path, way, [self.take(place, key, way) for place, key in places])
        for name, way in columns:
            self.say(name, way, [self.take_column(name, way)])
        if self.left.get("extra") and self.policy._spellings:
            self.take_spellings()
        if self.removed:
            self.said += _scrub(self.left, self.removed)
        return self.left, self.said

    def say(self, name: str, way: _Way, taken: Iterable[bool]) -> None:
        words = f"{name} {way}"
        if any(taken) and words not in self.said:
            self.said.append(words)

    def marker(self, way: _Way) -> _Marker:
        return self.policy.mark if way == "hashed" else _mask

    def take_column(self, name: str, way: _Way) -> bool:
        if name == "extra":  # as if each of its keys were named
            extra = self.left["extra"]
            taken = [self.take(extra, key, way) for key in list(extra)]
            return any(taken)
        if name == "origin":
            before = self.left["origin"]
            self.left["origin"] = _mapped(before, lambda leaf: self.taken_leaf(leaf, way))
            return bool(self.left["origin"] != before)
        return self.take(self.left, name, way)

    def take(self, place: dict[str, Any], key: str, way: _Way) -> bool:
        """Take out the value at `key` of `place`; tell whether there was one."""
        value = place[key]
        had = value not in _EMPTY and not _is_done(value, way)
        if had:
            self.remember(value, self.marker(way))
        if way != "dropped":
            place[key] = self.marker(way)(value) if had else value
        elif place is self.left:
            place[key] = None if key in _NUMBERS else ""
        else:
            del place[key]
        return had

    def taken_leaf(self, leaf: object, way: _Way) -> object:
        if leaf in _EMPTY or _is_done(leaf, way):
            return leaf
        self.remember(leaf, self.marker(way))
        return self.marker(way)(leaf)

    def take_spellings(self) -> None:
        """Take out what a sender wrote for a listed column and `extra` keeps: it did not fit, or came twice."""
        ways = dict(self.policy._columns)
        extra = self.left["extra"]
        for key in list(extra):
            column = self.policy.column_in_extra(key)
            if column is not None:
                self.say(column, ways[column], [self.take(extra, key, ways[column])])

    def remember(self, value: object, marker: _Marker) -> None:
        for text in _texts_of(value):
            if not _is_done(text, "hashed") and text not in self.removed:
                self.removed[text] = marker(text)


def _mask(value: object) -> str:
    return MASK


def _is_done(value: object, way: _Way) -> bool:
    """Whether `value` is what this way leaves behind, here or on a bridge before this one."""
    if not isinstance(value, str) or way == "dropped":
        return False
    return value == MASK or (way == "hashed" and HASH_MARK.fullmatch(value) is not None)


def _places(extra: Mapping[str, Any], path: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each dict in `extra`, with the key in it, that `extra.KEY…` names; keys may hold dots themselves."""
    yield from _places_within(extra, path.split(".")[1:])


def _places_within(value: Any, names: Sequence[str]) -> Iterator[tuple[dict[str, Any], str]]:
    if isinstance(value, list):
        for item in value:
            yield from _places_within(item, names)
    if not isinstance(value, dict):
        return
    for count in range(1, len(names) + 1):
        key = ".".join(names[:count])
        if key not in value:
            continue
        if count == len(names):
            yield value, key
        else:
            yield from _places_within(value[key], names[count:])


def _copied(value: Any) -> Any:
    return _mapped(value, lambda leaf: leaf)


def _mapped(value: Any, change: Callable[[object], object]) -> Any:
    """Return a copy of `value` in which every value that is no dict and no list went through `change`."""
    if isinstance(value, dict):
        return {key: _mapped(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [_mapped(item, change) for item in value]
    return change(value)


def _texts_of(value: object) -> Iterator[str]:
    """Yield every text that tells of `value`, or of a part of it.

    Keys within a value count where they hold more than letters, as addresses and numbers do: others name fields.
    """
    if isinstance(value, str):
        yield value
    elif isinstance(value, bool):
        return
    elif isinstance(value, int | float):
        yield from _number_texts(value)
    elif isinstance(value, dict):
        yield from (key for key in value if not _PLAIN_NAME.fullmatch(key))
        for item in value.values():
            yield from _texts_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts_of(item)


def _number_texts(value: float) -> Iterator[str]:
    if isinstance(value, int):
        yield storable.plain_text(value)
    elif isfinite(value):
        yield repr(value)
        yield orjson.dumps(value).decode()
        if value.is_integer() and abs(value) < 1e21:
            yield str(int(value))


# --- Taking values out of everything else -----------------------------------------------------------------------------


class _Needle(NamedTuple):
    """A form of a removed value, folded; whether digits must not touch it; whether it was cut and goes on."""

    text: str
    mark: str
    is_short_number: bool
    goes_on: bool


def _scrub(left: dict[str, Any], removed: Mapping[str, str]) -> list[str]:
    """Replace every occurrence of a removed text in `left` by what stands for it; return what was done."""
    numbers = any(map(_NUMERIC.fullmatch, removed))
    hay = _hay(left, numbers)
    said = []
    if len(removed) * len(hay) > _WORK_MAX:
        said = _mask_whole(left)
        hay = _hay(left, numbers)
    folded = _fold(hay)
    needles = [needle for needle in _needles(removed, hay) if needle.text in folded]
    if not needles:
        return said
    for name, value in left.items():
        if name not in UNTOUCHED and value not in _EMPTY:
            scrubbed = _scrubbed(value, needles)
            if scrubbed != value or type(scrubbed) is not type(value):
                left[name] = None if name in _NUMBERS else scrubbed
                said.append(f"{name} scrubbed")
    return said


def _mask_whole(left: dict[str, Any]) -> list[str]:
    whole: dict[str, Any] = {}
    for name, value in left.items():
        if isinstance(value, str) and len(value) > _SHORT_TEXT:
            whole[name] = MASK
        elif isinstance(value, dict) and value:
            whole[name] = {MASK: MASK}
        elif isinstance(value, list) and value:
            whole[name] = [MASK] * len(value)
    left |= whole
    return [f"{name} scrubbed" for name in whole]


def _hay(left: Mapping[str, Any], numbers: bool) -> str:
    """Return all texts of a row in one, to ask once whether something occurs at all."""
    texts: list[str] = []
    for value in left.values():
        kind = type(value)
        if kind is str:
            texts.append(value)
        elif kind is dict or kind is list or (numbers and (kind is int or kind is float)):
            _gather(value, texts, numbers)
    return "\n".join(texts)


def _gather(value: object, texts: list[str], numbers: bool) -> None:
    if isinstance(value, str):
        texts.append(value)
    elif isinstance(value, dict):
        texts += value
        for item in value.values():
            _gather(item, texts, numbers)
    elif isinstance(value, list):
        for item in value:
            _gather(item, texts, numbers)
    elif numbers and isinstance(value, int | float) and not isinstance(value, bool):
        texts += _number_texts(value)


def _needles(removed: Mapping[str, str], hay: str) -> Iterator[_Needle]:
    for whole, mark in removed.items():
        cut = _CUT.search(whole) if len(whole) >= _CUT_LEAST else None
        text = (whole[: cut.start()] if cut else whole).strip()
        folded = _fold(text)
        if len(folded) < VALUE_MIN or folded in _COMMON:
            continue
        is_number = _NUMBER.fullmatch(folded) is not None and sum(map(str.isdigit, folded)) < LITERAL_DIGITS
        for form in {folded} if is_number else {folded, *map(_fold, _forms(text, hay))}:
            yield _Needle(form, mark, is_number, cut is not None)


def _forms(text: str, hay: str) -> Iterator[str]:
    """Yield the ways in which other programs write `text`, as far as `hay` may hold them."""
    if not text.isascii():
        yield unicodedata.normalize("NFC", text)
        yield unicodedata.normalize("NFD", text)
    if "\\" in hay:
        yield from _escaped(text)
    if "%" in hay or "+" in hay:
        raw = text.encode("utf-8", "surrogatepass")
        yield from (quote(raw, safe=""), quote(raw), quote_plus(raw), quote(raw, safe=":/?#[]@!$&'()*+,;="))
    if "&" in hay:
        escaped = html.escape(text)
        yield from (escaped, html.escape(text, quote=False), escaped.replace("&#x27;", "&#39;"))


def _escaped(text: str) -> Iterator[str]:
    once = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    once |= {form.replace("/", "\\/") for form in once}
    yield from once
    yield from (json.dumps(form, ensure_ascii=False)[1:-1] for form in once)
    yield from (repr(text)[1:-1], ascii(text)[1:-1], repr(text.encode("utf-8", "surrogatepass"))[2:-1])


def _scrubbed(value: Any, needles: Sequence[_Needle]) -> Any:
    if isinstance(value, str):
        return _scrubbed_text(value, needles)
    if isinstance(value, dict):
        return _scrubbed_dict(value, needles)
    if isinstance(value, list):
        return [_scrubbed(item, needles) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        found = (span for text in _number_texts(value) for span in _spans(_fold(text), needles))
        return next((mark for _, _, mark in found), value)
    return value


def _scrubbed_dict(value: Mapping[str, Any], needles: Sequence[_Needle]) -> dict[str, Any]:
    left: dict[str, Any] = {}
    twins: dict[str, int] = {}
    for key, item in value.items():
        left[storable.free_name(_scrubbed_text(key, needles), left, twins)] = _scrubbed(item, needles)
    return left


def _scrubbed_text(text: str, needles: Sequence[_Needle]) -> str:
    if text == MASK or HASH_MARK.fullmatch(text):
        return text
    folded, places = _folded(text)
    found = sorted(_spans(folded, needles), key=lambda span: (span[0], -span[1]))
    if not found:
        return text
    spans = [(places[start], places[end - 1] + 1, mark) for start, end, mark in found]
    marked = _replaced(text, spans)
    if len(marked) <= len(text) + _GROWTH_MAX:
        return marked
    return _replaced(text, [(start, end, MASK) for start, end, _ in spans])


def _replaced(text: str, spans: Iterable[tuple[int, int, str]]) -> str:
    """Return `text` with marks in place of the spans, which are in order; those that overlap share the first's mark."""
    parts: list[str] = []
    reached = 0
    for start, end, mark in spans:
        if start >= reached:
            parts += (text[reached:start], mark)
        reached = max(reached, end)
    return "".join([*parts, text[reached:]])


def _spans(folded: str, needles: Iterable[_Needle]) -> Iterator[tuple[int, int, str]]:
    for needle in needles:
        start = folded.find(needle.text)
        while start >= 0:
            end = start + len(needle.text)
            if needle.is_short_number and _touches_digits(folded, start, end):
                end = start + 1
            else:
                while needle.goes_on and end < len(folded) and not folded[end].isspace():
                    end += 1
                yield start, end, needle.mark
            start = folded.find(needle.text, end)


def _touches_digits(text: str, start: int, end: int) -> bool:
    return text[start - 1 : start].isdigit() or text[end : end + 1].isdigit()


def _fold(text: str) -> str:
    return text.lower() if text.isascii() else text.casefold()


def _folded(text: str) -> tuple[str, Sequence[int]]:
    """Return `text` without upper case, and for each character of that the place in `text` it came from."""
    folded = _fold(text)
    if len(folded) == len(text):  # no fold is shorter than its character: each is one
        return folded, range(len(text))
    return folded, [place for place, character in enumerate(text) for _ in character.casefold()]
