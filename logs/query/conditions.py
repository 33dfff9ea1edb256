"""What a query consists of once it is read: conditions on fields, joined by and, or, not. Plain values, comparable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from logs.query.fields import Field

Comparable = int | float | datetime


class Wild(Enum):
    """A wildcard in a pattern."""

    RUN = "*"
    ONE = "?"


Pattern = tuple[str | Wild, ...]
"""Literal pieces, never empty, and the wildcards between them."""


@dataclass(frozen=True, slots=True)
class Everything:
    """Holds for every row."""


@dataclass(frozen=True, slots=True)
class Like:
    """The field's text is `pattern` as a whole, or contains it `anywhere`; case does not count."""

    field: Field
    pattern: Pattern
    anywhere: bool = False

    @property
    def whole(self) -> Pattern:
        """The pattern for the whole text."""
        return (Wild.RUN, *self.pattern, Wild.RUN) if self.anywhere else self.pattern

    @property
    def literal(self) -> str | None:
        """The text looked for; None where there are wildcards."""
        (piece, *more) = self.pattern
        return piece if isinstance(piece, str) and not more else None


@dataclass(frozen=True, slots=True)
class Matches:
    """The field's text matches the regular expression somewhere, as RE2 reads it."""

    field: Field
    regex: str


@dataclass(frozen=True, slots=True)
class Bound:
    """One end of a range, and how a person says it."""

    value: Comparable
    inclusive: bool
    said: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Between:
    """The field's value lies within bounds, of which at least one is given."""

    field: Field
    low: Bound | None
    high: Bound | None


@dataclass(frozen=True, slots=True)
class Exists:
    """The field is present and not empty."""

    field: Field


@dataclass(frozen=True, slots=True)
class And:
    """All parts hold; there are at least two."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One of the parts holds; there are at least two."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold: the plain complement."""

    part: Condition


Leaf = Everything | Like | Matches | Between | Exists
Condition = Leaf | And | Or | Not


def both(parts: tuple[Condition, ...]) -> Condition:
    """Return the condition that all `parts` hold, without an `and` inside an `and`."""
    flat = tuple(inner for part in parts for inner in (part.parts if isinstance(part, And) else (part,)))
    return flat[0] if len(flat) == 1 else And(flat)


def either(parts: tuple[Condition, ...]) -> Condition:
    """Return the condition that one of `parts` holds, without an `or` inside an `or`."""
    flat = tuple(inner for part in parts for inner in (part.parts if isinstance(part, Or) else (part,)))
    return flat[0] if len(flat) == 1 else Or(flat)


def inverse(condition: Condition) -> Condition:
    """Return the complement with every `not` directly before a leaf."""
    match condition:
        case And(parts):
            return either(tuple(map(inverse, parts)))
        case Or(parts):
            return both(tuple(map(inverse, parts)))
        case Not(part):
            return straight(part)
        case _:
            return Not(condition)


def straight(condition: Condition) -> Condition:
    """Return the same condition with every `not` directly before a leaf."""
    match condition:
        case And(parts):
            return both(tuple(map(straight, parts)))
        case Or(parts):
            return either(tuple(map(straight, parts)))
        case Not(part):
            return inverse(part)
        case _:
            return condition


def conjuncts(condition: Condition) -> tuple[Condition, ...]:
    """Return the conditions that must all hold; none for Everything."""
    if isinstance(condition, Everything):
        return ()
    return condition.parts if isinstance(condition, And) else (condition,)


def leaves(condition: Condition) -> Iterator[Leaf]:
    """Return every leaf, in the order written."""
    match condition:
        case And(parts) | Or(parts):
            for part in parts:
                yield from leaves(part)
        case Not(part):
            yield from leaves(part)
        case _:
            yield condition
