"""How many rows a query has, and which values they have: within bounds, which are said."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings

from logs import seen
from logs.query import Query
from logs.query.fields import NAMES
from logs.search.visible import Person, visible_to
from logs.search.walk import Clock, Walk

COUNT_MAX = 10_000
FACET_ROWS = 5_000
FACETS = ("level", "system", "host", "version", "logger")
VALUES = 10


@dataclass(frozen=True, slots=True)
class Count:
    """How many rows there are: `number`, or more where `is_capped`, or where the time ran out (not `is_complete`)."""

    number: int
    is_capped: bool = False
    is_complete: bool = True

    def __str__(self) -> str:
        if self.is_capped:
            return f"{self.number:,}+"
        return f"{self.number:,}" if self.is_complete else f"at least {self.number:,}"


def count(person: Person, query: Query, *, deadline: timedelta | None = None, clock: Clock = time.monotonic) -> Count:
    """Return how many rows `query` has, up to COUNT_MAX, as far as one can count within `deadline`."""
    within = settings.SEARCH_DEADLINE if deadline is None else deadline
    walk = Walk(visible_to(person), query, within=within, columns=("id",), clock=clock)
    number = len(walk.rows(*walk.ends(), COUNT_MAX + 1))
    return Count(min(number, COUNT_MAX), number > COUNT_MAX, walk.is_complete or number > COUNT_MAX)


@dataclass(frozen=True, slots=True)
class Facet:
    """The most frequent values of a field among the newest rows of a query, each with the number of these rows.

    A level's value is its number, every other one text; "" stands for a missing one. `rows` is how many rows were looked
    at, `is_sample` tells that the query has more. `others` counts the rows of values that are not listed.
    """

    field: str
    values: list[tuple[Any, int]]
    rows: int
    others: int = 0
    is_sample: bool = False


def facets(
    person: Person,
    query: Query,
    fields: Sequence[str] = FACETS,
    limit: int = VALUES,
    *,
    within: timedelta | None = None,
    rows: int = FACET_ROWS,
) -> list[Facet]:
    """Return a Facet for each of `fields` (by any of its names), from the newest `rows` rows of `query`."""
    columns = [NAMES[name].columns[0] for name in fields]
    within = settings.SEARCH_DEADLINE if within is None else within
    walk = Walk(visible_to(person), query, within=within, columns=("id", *dict.fromkeys(columns)))
    found = walk.rows(*walk.ends(), rows + 1)
    is_sample = len(found) > rows or not walk.is_complete
    return [
        _facet(name, Counter(row[column] for row in found[:rows]), limit, is_sample)
        for name, column in zip(fields, columns, strict=True)
    ]


def facet(person: Person, query: Query, field: str, limit: int = VALUES, *, within: timedelta | None = None) -> Facet:
    """Return the Facet of one field; several are had more cheaply by `facets`."""
    return facets(person, query, [field], limit, within=within)[0]


def _facet(name: str, counts: Counter[Any], limit: int, is_sample: bool) -> Facet:
    values = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))[:limit]
    rows = counts.total()
    return Facet(name, values, rows, rows - sum(number for _, number in values), is_sample)


def seen_values(person: Person, field: str, prefix: str = "", limit: int = 20) -> list[str]:
    """Return values that the field (by any of its names) has had, which begin with `prefix` whatever its case.

    Empty for a field whose values are not kept: `logs.seen.FIELDS` lists the columns.
    """
    known = NAMES.get(field)
    return seen.values(known.columns[0], prefix, limit) if known is not None else []
