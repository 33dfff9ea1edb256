"""How a condition is read back to whoever wrote it, so that a misunderstanding shows."""

from __future__ import annotations

import re
from datetime import datetime

import orjson

from logs.query import values
from logs.query.conditions import (
    And,
    Between,
    Bound,
    Condition,
    Everything,
    Exists,
    Leaf,
    Like,
    Matches,
    Not,
    Or,
    Pattern,
    Wild,
)
from logs.query.fields import Field, Kind

_SIMPLE = re.compile(r"[\w.@/:+*?-]+")


def sentence(condition: Condition) -> str:
    """Return what `condition` asks for, such as `level ≥ ERROR and text contains "card declined"`."""
    match condition:
        case And(parts):
            return " and ".join(_inside(part) for part in parts)
        case Or(parts):
            return " or ".join(_inside(part) for part in parts)
        case Not(part):
            return _negated(part)
        case _:
            return _leaf(condition)


def _inside(condition: Condition) -> str:
    said = sentence(condition)
    return f"({said})" if isinstance(condition, And | Or) else said


def _negated(condition: Condition) -> str:
    match condition:
        case Like(field, pattern, True) if condition.literal is not None:
            return f"{field.name} does not contain {_pattern(pattern, quote=True)}"
        case Like(field, pattern) if condition.literal is not None:
            return f"{field.name} ≠ {_pattern(pattern)}"
        case Exists(field):
            return f"{field.name} is missing"
        case Everything():
            return "nothing"
        case Between(field, low, high) if low is not None and low == high:
            return f"{field.name} ≠ {_value(field, low)}"
        case _:
            return f"not ({sentence(condition)})"


def _leaf(leaf: Leaf) -> str:
    match leaf:
        case Everything():
            return "everything"
        case Like(field, pattern, anywhere):
            return f"{field.name} {_relation(leaf)} {_pattern(pattern, quote=anywhere)}"
        case Matches(field, regex):
            return f"{field.name} matches /{regex.replace('/', chr(92) + '/')}/"
        case Exists(field):
            return f"{field.name} is present"
        case Between(field, low, high):
            return _between(field, low, high)


def _relation(like: Like) -> str:
    if like.literal is not None:
        return "contains" if like.anywhere else "="
    return "contains something like" if like.anywhere else "is like"


def _pattern(pattern: Pattern, *, quote: bool = False) -> str:
    """Return a pattern as it was meant; what is no wildcard but looks like one has its backslash."""
    has_wildcards = any(isinstance(piece, Wild) for piece in pattern)
    text = "".join(
        piece.value if isinstance(piece, Wild) else re.sub(r"([*?])", r"\\\1", piece) if has_wildcards else piece
        for piece in pattern
    )
    simple = not quote and _SIMPLE.fullmatch(text) and (has_wildcards or not re.search(r"[*?]", text))
    return text if simple else orjson.dumps(text).decode()


# --- Ranges ----------------------------------------------------------------------------------------------------------


def _between(field: Field, low: Bound | None, high: Bound | None) -> str:
    if low is not None and low == high:
        return f"{field.name} = {_value(field, low)}"
    if low is not None and high is None:
        return f"{field.name} {'≥' if low.inclusive else '>'} {_value(field, low)}"
    before = f"{_value(field, low)} {'≤' if low.inclusive else '<'} " if low is not None else ""
    after = f" {'≤' if high.inclusive else '<'} {_value(field, high)}" if high is not None else ""
    return f"{before}{field.name}{after}"


def _value(field: Field, bound: Bound) -> str:
    if isinstance(bound.value, datetime):
        if bound.said:
            return f"{bound.said} ({values.said(bound.value.replace(microsecond=0))})"
        return values.said(bound.value)
    if field.kind is Kind.LEVEL and isinstance(bound.value, int):
        return values.level_name(bound.value)
    return str(bound.value)
