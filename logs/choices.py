"""The values that rows have in common, as the log page offers them: each can be asked for, left out, and taken back."""

from __future__ import annotations

from dataclasses import dataclass, replace

from logs.address import Asked
from logs.models import Level
from logs.narrowing import contains, has, narrowed, opposite, without
from logs.rows import short
from logs.search import Facet

LABELS = {"level": "Level", "system": "System", "host": "Host", "version": "Version", "logger": "Logger"}
VALUE_MAX = 80
NOTHING = "(none)"


@dataclass(frozen=True, slots=True)
class Choice:
    """One value: how many rows have it, and the queries of addresses with it and without it ("" where there is no room).

    `chosen` tells that the query asks for it already; then `include` takes that back.
    """

    text: str
    rows: int
    include: str
    exclude: str
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Choices:
    """The values of one field. `others` is how many of the rows that were looked at have another one."""

    field: str
    label: str
    choices: list[Choice]
    others: int


def choices(asked: Asked, facet: Facet) -> Choices:
    """Return what `facet` offers to somebody who has asked for `asked`."""
    offered = [_choice(asked, facet.field, value, rows) for value, rows in facet.values]
    return Choices(facet.field, LABELS[facet.field], offered, facet.others)


def _choice(asked: Asked, field: str, value: object, rows: int) -> Choice:
    condition = has(field, value)
    chosen = contains(asked.text, condition)
    include = without(asked.text, condition) if chosen else narrowed(asked.text, condition)
    return Choice(
        text=_shown(field, value),
        rows=rows,
        include=address(asked, include) if include or chosen else "",
        exclude=address(asked, narrowed(asked.text, opposite(condition))),
        chosen=chosen,
    )


def address(asked: Asked, text: str) -> str:
    """Return the query of the address that asks for `text` at the same time."""
    return "?" + replace(asked, text=text).to_querystring()


def _shown(field: str, value: object) -> str:
    if field == "level" and isinstance(value, int):
        return Level(value).name if value in Level.values else str(value)
    return short(str(value), VALUE_MAX) or NOTHING
