"""What every row that a query selects has for certain: by this a search chooses which index to go by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce

from logs.query import regexes
from logs.query.conditions import And, Between, Bound, Comparable, Condition, Like, Matches, Or, Wild, straight
from logs.query.fields import Kind
from logs.query.folding import fold

TEXT_MIN = 3
"""Shorter pieces are of no use to an index of three-character tokens."""

Range = tuple[Comparable | None, Comparable | None]
_OPEN: Range = (None, None)


@dataclass(frozen=True, slots=True)
class Needs:
    """Conditions that every selected row fulfils, all of them at once; what is not listed may be anything.

    `texts` holds folded pieces, of at least TEXT_MIN characters, that message or exc_text contains. `equal` gives for
    a column the folded values of which the row has one. `ranges` gives for a column of numbers or moments the least
    and the greatest value, both included, None where it is open.
    """

    texts: frozenset[str] = frozenset()
    equal: Mapping[str, frozenset[str]] = field(default_factory=dict)
    ranges: Mapping[str, Range] = field(default_factory=dict)

    @property
    def level(self) -> int:
        """The lowest levelno; 0 where any may be wanted."""
        low = self.ranges.get("levelno", _OPEN)[0]
        return low if isinstance(low, int) else 0


def needs(condition: Condition) -> Needs:
    """Return what every row that `condition` holds for has."""
    return _needs(straight(condition))


def _needs(condition: Condition) -> Needs:
    match condition:
        case And(parts):
            return reduce(_all, map(_needs, parts))
        case Or(parts):
            return reduce(_any, map(_needs, parts))
        case Like():
            return _of_like(condition)
        case Matches(asked, regex) if asked.kind is Kind.ANYWHERE:
            return Needs(texts=_usable(regexes.required(regex)))
        case Between(asked, low, high) if asked.kind is not Kind.JSON:
            return Needs(ranges={asked.columns[0]: (_value(low), _value(high))})
        case _:
            return Needs()


def _value(bound: Bound | None) -> Comparable | None:
    return None if bound is None else bound.value


def _of_like(like: Like) -> Needs:
    if like.field.kind is Kind.ANYWHERE:
        return Needs(texts=_usable(piece for piece in like.pattern if not isinstance(piece, Wild)))
    if like.field.kind is Kind.TEXT and like.literal is not None and not like.anywhere:
        return Needs(equal={like.field.columns[0]: frozenset({fold(like.literal)})})
    return Needs()


def _usable(pieces: Iterable[str]) -> frozenset[str]:
    return frozenset(fold(piece) for piece in pieces if len(piece) >= TEXT_MIN)


def _all(one: Needs, other: Needs) -> Needs:
    """Return what a row has that fulfils both."""
    equal = dict(one.equal)
    for column, values in other.equal.items():
        equal[column] = equal[column] & values if column in equal else values
    ranges = dict(one.ranges)
    for column, bounds in other.ranges.items():
        ranges[column] = _narrower(ranges.get(column, _OPEN), bounds)
    return Needs(one.texts | other.texts, equal, ranges)


def _any(one: Needs, other: Needs) -> Needs:
    """Return what a row has that fulfils one of both, whichever it is."""
    return Needs(
        one.texts & other.texts,
        {column: values | other.equal[column] for column, values in one.equal.items() if column in other.equal},
        {
            column: _wider(one.ranges[column], other.ranges[column])
            for column in one.ranges.keys() & other.ranges.keys()
        },
    )


def _narrower(one: Range, other: Range) -> Range:
    return _inner(max, one[0], other[0]), _inner(min, one[1], other[1])


def _wider(one: Range, other: Range) -> Range:
    return _outer(min, one[0], other[0]), _outer(max, one[1], other[1])


_Choice = Callable[..., Comparable]


def _inner(choose: _Choice, one: Comparable | None, other: Comparable | None) -> Comparable | None:
    return choose(one, other) if one is not None and other is not None else (other if one is None else one)


def _outer(choose: _Choice, one: Comparable | None, other: Comparable | None) -> Comparable | None:
    return choose(one, other) if one is not None and other is not None else None
