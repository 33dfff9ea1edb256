"""How text and values from anywhere become something every database keeps: always stored, visibly changed, never dropped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import NamedTuple

import orjson

NUL_SHOWN = "\N{SYMBOL FOR NULL}"
MARK = "…"

# JavaScript and most JSON readers hold integers in a double: beyond this they round without a word.
EXACT_INT = 2**53
EXTRA_MAX = 65_536
KEY_MAX = 200
_VALUE_MAX = 1_000
_DEPTH_MAX = 100
_WIDE_INT_BITS = 4_096


def is_clean(value: str) -> bool:
    """Tell whether every engine stores `value` as it is: no NUL, no lone surrogate."""
    if "\0" in value:
        return False
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def clean(value: str) -> str:
    """Return `value` with NUL shown as ␀ and each lone surrogate as the text `\\udXXX`.

    PostgreSQL refuses both in text and in jsonb; SQLite stops measuring at NUL and cannot encode surrogates.
    """
    if is_clean(value):
        return value
    return value.replace("\0", NUL_SHOWN).encode("utf-8", "backslashreplace").decode()


def cut(value: str, limit: int) -> str:
    """Return `value` in at most `limit` characters; the last one is `…` where something was cut."""
    return value if len(value) <= limit else value[: limit - 1] + MARK


def cut_text(value: str, limit: int) -> str:
    """Return `value` in at most `limit` characters; a cut text ends by saying how many characters are missing."""
    if len(value) <= limit:
        return value
    # The mark's own length depends on the figure in it; the widest figure possible settles that.
    keep = max(limit - len(_missing(len(value))), 0)
    return (value[:keep] + _missing(len(value) - keep))[:limit]


def _missing(characters: int) -> str:
    return f"{MARK} [{characters} characters cut]"


def plain_text(value: object) -> str:
    """Return any decoded value as one clean text: a string as it is, a number as Python prints it, the rest as JSON."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return _digits(value)
    if value is None or isinstance(value, bool | float):
        return str(value)
    return to_json(value)


def to_json(value: object) -> str:
    """Return `value` as JSON text that PostgreSQL's jsonb and JavaScript read without loss.

    NaN and the infinities become text, integers beyond 2**53 become text, a key that is no string becomes its text.
    """
    return orjson.dumps(_ready(value, 0)).decode()


class Bounded(NamedTuple):
    """A JSON object as text, and what had to be done to it: shortened, or values made readable for every reader."""

    text: str
    was_cut: bool
    was_changed: bool


def bounded_json(fields: Mapping[str, object], limit: int = EXTRA_MAX) -> Bounded:
    """Return `fields` as one JSON object in at most `limit` characters.

    Too long, it loses length before it loses keys: long values become cut text, and if that does not do, the keys
    that no longer fit are counted under the key `…`.
    """
    ready = _object(fields.items(), 0)
    was_changed = ready != fields
    whole = orjson.dumps(ready).decode()
    if len(whole) <= limit:
        return Bounded(whole, was_cut=False, was_changed=was_changed)
    return Bounded(orjson.dumps(_shortened(ready, limit)).decode(), was_cut=True, was_changed=was_changed)


def _shortened(ready: Mapping[str, object], limit: int) -> dict[str, object]:
    kept: dict[str, object] = {}
    room = limit - 100  # braces and the note about what is missing
    for key, value in ready.items():
        short = _short(value)
        room -= len(orjson.dumps(key).decode()) + len(orjson.dumps(short).decode()) + 2
        if room < 0:
            kept[MARK] = f"{len(ready) - len(kept)} keys cut"
            break
        kept[key] = short
    return kept


def _short(value: object) -> object:
    if value is None or isinstance(value, int | float):
        return value
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return value if len(text) <= _VALUE_MAX else cut_text(text, _VALUE_MAX)


def _ready(value: object, depth: int) -> object:
    """Return `value` in types and ranges that JSON carries without loss."""
    if isinstance(value, str):
        return clean(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -EXACT_INT <= value <= EXACT_INT else _digits(value)
    if isinstance(value, float):
        return value if isfinite(value) else _not_finite(value)
    if depth >= _DEPTH_MAX:
        return MARK
    if isinstance(value, Mapping):
        return _object(value.items(), depth + 1)
    if isinstance(value, list | tuple | set | frozenset):
        return [_ready(item, depth + 1) for item in value]
    return cut(clean(str(value)), _VALUE_MAX)


def _object(items: Iterable[tuple[object, object]], depth: int) -> dict[str, object]:
    ready: dict[str, object] = {}
    twins: dict[str, int] = {}
    for key, value in items:
        name = cut(clean(key) if isinstance(key, str) else plain_text(key), KEY_MAX)
        ready[free_name(name, ready, twins)] = _ready(value, depth)
    return ready


def free_name(name: str, taken: Mapping[str, object], twins: dict[str, int]) -> str:
    """Return `name`, or `name~2`, `name~3` … where it is taken; `twins` remembers how far each name has counted.

    Without that memory a frame of equal names would cost quadratic time.
    """
    if name not in taken:
        return name
    number = twins.get(name, 1)
    candidate = name
    while candidate in taken:
        number += 1
        candidate = f"{name}~{number}"
    twins[name] = number
    return candidate


def _digits(value: int) -> str:
    # Python refuses to print very long integers, and takes quadratic time for long ones; hexadecimal is linear.
    return str(value) if value.bit_length() <= _WIDE_INT_BITS else cut(hex(value), _VALUE_MAX)


def _not_finite(value: float) -> str:
    if value != value:
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
