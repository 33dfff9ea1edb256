"""Pages of rows, in the order of arrival or within bounds by the sender's time; one row, and what stands around it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from django.conf import settings

from logs.query import Query, parse
from logs.query.conditions import Between, Bound, Condition, Exists, Like, Not
from logs.query.fields import NAMES
from logs.search.visible import Person, visible_to
from logs.search.walk import COLUMNS, Clock, Walk
from logs.tail import Row

PAGE_ROWS = 200
PAGE_ROWS_MAX = 1_000
SORTED_ROWS = 1_000
"""How many rows are sorted by the sender's time."""
AROUND = 10
AROUND_MAX = 200


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a search that ran out of time has looked at: everything that arrived between two moments."""

    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, newest first, and where to go on.

    `older` and `newer` are what to give as `before` and `after` for the next page in that direction; None where there
    is no more. A page that is not `is_complete` ran out of time: `scanned` says what it looked at, and `older` (or
    `newer`) goes on from there.
    """

    rows: list[Row]
    older: int | None
    newer: int | None
    is_complete: bool = True
    scanned: Scanned | None = None


def page(
    person: Person,
    query: Query,
    *,
    before: int | None = None,
    after: int | None = None,
    limit: int = PAGE_ROWS,
    within: timedelta | None = None,
    clock: Clock = time.monotonic,
) -> Page:
    """Return the rows of `query` that arrived last, or those next to the row `before` (older) or `after` (newer).

    Looks no longer than about `within` (default: settings.SEARCH_DEADLINE); what it did not reach it says. Never
    counts, never skips by OFFSET.
    """
    within = settings.SEARCH_DEADLINE if within is None else within
    walk = Walk(visible_to(person), query, within=within, descending=after is None, clock=clock)
    oldest, newest = walk.ends()
    low = oldest if after is None else max(oldest, after + 1)
    high = newest if before is None else min(newest, before - 1)
    found = walk.rows(low, high, limit + 1)
    more = len(found) > limit
    rows = found[:limit]
    further = rows[-1]["id"] if more else None if walk.is_complete else walk.edge
    is_complete = walk.is_complete or more
    scanned = None if is_complete else _scanned(walk, low, high)
    if after is None:
        newer = None if before is None else (rows[0]["id"] if rows else before - 1)
        return Page(rows, further, newer, is_complete, scanned)
    rows.reverse()
    older = rows[-1]["id"] if rows else after + 1
    return Page(rows, older, further, is_complete, scanned)


def _scanned(walk: Walk, low: int, high: int) -> Scanned:
    edge = walk.edge or low
    first, last = (edge, high) if walk.descending else (low, edge)
    return Scanned(walk.arrival(first), walk.arrival(last))


def by_time(person: Person, query: Query, *, limit: int = SORTED_ROWS, within: timedelta | None = None) -> Page:
    """Return the `limit` rows of `query` that arrived last, sorted by the sender's time, newest first.

    Whoever shows them says so: a row beyond the bound may be younger by its sender's clock. `older` is set where there
    are more, and leads on in the order of arrival.
    """
    found = page(person, query, limit=limit, within=within)
    found.rows.sort(key=lambda row: (row["created"], row["id"]), reverse=True)
    return found


def row(person: Person, number: int) -> Row | None:
    """Return one row that `person` may see, or None."""
    found: Row | None = visible_to(person).rows().filter(id=number).values(*COLUMNS).first()
    return found


# --- What stands around a row ----------------------------------------------------------------------------------------

Kin = Literal["system", "process", "thread", "time"]
_SAME: dict[Kin, tuple[str, ...]] = {
    "system": ("system_id",),
    "process": ("system_id", "sub_system_id", "process"),
    "thread": ("system_id", "sub_system_id", "process", "thread"),
}


@dataclass(frozen=True, slots=True)
class Neighbours:
    """A row, and those before and after it, each in the order of time. Fewer than asked for: that is all there are,
    unless the search ran out of time (`is_complete`)."""

    before: list[Row]
    row: Row
    after: list[Row]
    is_complete: bool = True


def neighbours(
    person: Person, number: int, around: int = AROUND, by: Kin = "system", *, within: timedelta | None = None
) -> Neighbours | None:
    """Return row `number` with up to `around` rows before and after it; None where there is no such row.

    By "system", "process" or "thread" they are of the same one, in the order of arrival; by "time" they are of any
    system, by the sender's time.
    """
    middle = row(person, number)
    if middle is None:
        return None
    around = max(0, min(around, AROUND_MAX))
    if by == "time":
        return Neighbours(*_by_created(person, middle, around))
    alike = parse("").limited(*(_same(column, middle[column]) for column in _SAME[by]))
    older = page(person, alike, before=number, limit=around, within=within)
    newer = page(person, alike, after=number, limit=around, within=within)
    return Neighbours(older.rows[::-1], middle, newer.rows[::-1], older.is_complete and newer.is_complete)


def _same(column: str, value: str | int | None) -> Condition:
    """Return the condition that a row has this value, or as this one has none."""
    if value in (None, ""):
        return Not(Exists(NAMES[column]))
    if isinstance(value, str):
        return Like(NAMES[column], (value,))
    bound = Bound(value, inclusive=True)
    return Between(NAMES[column], bound, bound)


def _by_created(person: Person, middle: Row, around: int) -> tuple[list[Row], Row, list[Row]]:
    """Go both ways along the index on (created, id)."""
    created, number = middle["created"], middle["id"]
    rows = visible_to(person).rows()
    # Two steps each way, so that both engines go straight to the place; a row value is beyond Django.
    older = _first(rows.filter(created=created, id__lt=number).order_by("-id"), around)
    older += _first(rows.filter(created__lt=created).order_by("-created", "-id"), around - len(older))
    newer = _first(rows.filter(created=created, id__gt=number).order_by("id"), around)
    newer += _first(rows.filter(created__gt=created).order_by("created", "id"), around - len(newer))
    return older[::-1], middle, newer


def _first(rows: object, number: int) -> list[Row]:
    return list(rows.values(*COLUMNS)[:number]) if number > 0 else []  # type: ignore[attr-defined]
