"""How GraphQL and the old addresses search: by `logs.search`, in the time that a request has left."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from logs import search
from logs.query import Query
from logs.query.conditions import Between, Bound, Condition, Everything, Exists, Like, Not, Wild, either
from logs.query.fields import NAMES, Kind
from logs.query.lexer import check_bounds
from logs.schema.asking import PAGE_MAX, TEXT_MAX, Deadline
from logs.search import Page, Person, Row
from logs.search.pages import Kin as Kin

Found = Page
Timeline = search.Histogram
SAMPLE = 10_000
"""How many rows facets are counted over, the newest first."""

# --- Queries that are not written by hand -----------------------------------------------------------------------


def contains(column: str, text: str) -> Condition:
    """Return the condition that a column has `text` in it, in any case; raise QueryError for what no column can have."""
    check_bounds(text)
    found = NAMES[column]
    if not text:
        return Everything()
    if found.kind is Kind.ANYWHERE:
        return Like(found, (text,), anywhere=True)
    return Like(found, (Wild.RUN, text, Wild.RUN))


def equals(column: str, text: str) -> Condition:
    """Return the condition that a column is `text`, in any case; that it is empty, where `text` is."""
    check_bounds(text)
    return Like(NAMES[column], (text,)) if text else Not(Exists(NAMES[column]))


def between(column: str, low: Any = None, high: Any = None) -> Condition:
    """Return the condition low <= column < high, each where it is given."""
    if low is None and high is None:
        return Everything()
    least = None if low is None else Bound(low, inclusive=True)
    return Between(NAMES[column], least, None if high is None else Bound(high, inclusive=False))


def query(*conditions: Condition) -> Query:
    """Return the query that all `conditions` hold."""
    return Query("", Everything()).limited(*conditions)


def one_of(*conditions: Condition) -> Condition:
    """Return the condition that one of `conditions` holds."""
    return either(conditions)


# --- Rows ---------------------------------------------------------------------------------------------------------


def page(
    person: Person,
    wanted: Query,
    *,
    deadline: Deadline,
    before: int | None = None,
    after: int | None = None,
    limit: int,
) -> Page:
    """Return the newest matching rows, or those next to the row `before` (older) or `after` (newer), newest first."""
    return search.page(person, wanted, before=before, after=after, limit=limit, within=deadline.left)


def oldest_first(person: Person, wanted: Query, *, skip: int, limit: int, deadline: Deadline) -> tuple[list[Row], bool]:
    """Return `limit` matching rows behind the `skip` oldest, and whether there was time to look at all of these."""
    found: list[Row] = []
    place: int | None = 0
    while place is not None and len(found) < limit:
        part = page(person, wanted, deadline=deadline, after=place, limit=min(PAGE_MAX, skip + limit - len(found)))
        found += part.rows[::-1][skip:]
        skip = max(0, skip - len(part.rows))
        place = part.newer
        is_late = not part.is_complete or (place is not None and deadline.is_over)
        if is_late and len(found) < limit:
            return found, False
    return found, True


def neighbours(
    person: Person, row: Row, *, around: int, by: Kin, deadline: Deadline
) -> tuple[list[Row], list[Row], bool]:
    """Return the rows before and after a row, each in the order of time, and whether there was time for all."""
    found = search.neighbours(person, row["id"], around, by, within=deadline.left)
    return (found.before, found.after, found.is_complete) if found is not None else ([], [], True)


def fitting(rows: list[Row]) -> list[Row]:
    """Return as many of the first rows as hold no more than TEXT_MAX characters of text."""
    left = TEXT_MAX
    for at, row in enumerate(rows):
        left -= sum(len(row[column]) for column in ("message", "exc_text", "stack_info"))
        if left < 0:
            return rows[:at]
    return rows


# --- What rows have in common -------------------------------------------------------------------------------------


def facets(
    person: Person, wanted: Query, names: Sequence[str], limit: int, *, deadline: Deadline
) -> list[search.Facet]:
    """Return a Facet for each field called so, over SAMPLE rows at most."""
    return search.facets(person, wanted, names, limit, within=deadline.left, rows=SAMPLE)


def histogram(
    person: Person, wanted: Query, *, since: datetime, until: datetime, buckets: int, deadline: Deadline
) -> search.Histogram:
    """Count matching rows by time and level, in stretches of a round length that cover since <= created < until."""
    return search.histogram(person, wanted, since, until, buckets, within=deadline.left)


def seen_values(person: Person, column: str, limit: int) -> list[str]:
    """Return values of a column that rows have or had, sorted; without the empty one."""
    return search.seen_values(person, column, "", limit)


def utc(moment: datetime) -> datetime:
    """Return a moment in UTC; one without a zone is in UTC already."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
