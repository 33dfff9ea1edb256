"""How GraphQL and the old addresses search: the seam between them and `logs.search`.

Rows are looked at in slices of ids, newest or oldest first, until enough are found or the deadline is over. SQL
proposes (`Query.to_q`), the query's predicate decides. Nothing is counted and nothing skipped by OFFSET.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from django.db.models import Q

from logs.models import HeartBeat
from logs.query import Query
from logs.query.conditions import Between, Bound, Condition, Everything, Exists, Like, Not, Wild, both, either
from logs.query.fields import NAMES, Kind
from logs.query.lexer import check_bounds
from logs.schema.asking import PAGE_MAX, TEXT_MAX, Deadline
from logs.search import COLUMNS, Person, Row, Visible, visible_to
from logs.store import OTHER, level_of

SAMPLE = 10_000
"""How many rows facets are counted over, the newest first."""
SAMPLE_OF_TIMES = 100_000
RECENT = 20_000
"""How many of the newest ids are looked at for values that no table of their own keeps."""

_CHUNK = 500
_FIRST_SPAN = 5_000
_QUICK, _SLOW = 0.05, 0.2
_NOWHERE = (1, 0)


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


def exactly(column: str, number: int) -> Condition:
    """Return the condition that a column is this number."""
    return Between(NAMES[column], Bound(number, inclusive=True), Bound(number, inclusive=True))


def query(*conditions: Condition) -> Query:
    """Return the query that all `conditions` hold."""
    parts = tuple(part for part in conditions if not isinstance(part, Everything))
    return Query("", both(parts) if parts else Everything())


def one_of(*conditions: Condition) -> Condition:
    """Return the condition that one of `conditions` holds."""
    return either(conditions)


# --- The walk -----------------------------------------------------------------------------------------------------


class _Walk:
    """One search through the ids from `low` to `high`; `edge` is the last id that was looked at."""

    def __init__(
        self, person: Person, wanted: Query, columns: Sequence[str], deadline: Deadline, size: int = _CHUNK
    ) -> None:
        self.visible: Visible = visible_to(person)
        self.columns = columns
        self.deadline = deadline
        self.where = wanted.to_q()
        self.residual = wanted.residual()
        self.size = _CHUNK if self.residual is not None else min(_CHUNK, size)
        self.edge: int | None = None
        self.complete = True

    def chunks(self, low: int, high: int, *, newest_first: bool) -> Iterator[list[Row]]:
        """Yield the rows that match, in order; at least one slice is looked at however late it is."""
        span = _FIRST_SPAN
        while low <= high:
            if self.edge is not None and self.deadline.is_over:
                self.complete = False
                return
            started = self.deadline.clock()
            bounds = (max(low, high - span + 1), high) if newest_first else (low, min(high, low + span - 1))
            found = self._slice(*bounds, newest_first)
            self.edge = found[-1]["id"] if len(found) == self.size else bounds[0 if newest_first else 1]
            if newest_first:
                high = self.edge - 1
            else:
                low = self.edge + 1
            yield [row for row in found if self._is_wanted(row)]
            span = _next_span(span, self.deadline.clock() - started)

    def _slice(self, low: int, high: int, newest_first: bool) -> list[Row]:
        rows = self.visible.rows().filter(self.where, id__gte=low, id__lte=high)
        return list(rows.order_by("-id" if newest_first else "id").values(*self.columns)[: self.size])

    def _is_wanted(self, row: Row) -> bool:
        return (self.residual is None or self.residual(row)) and self.visible.allows(row)


def _next_span(span: int, seconds: float) -> int:
    if seconds < _QUICK:
        return span * 4
    return max(_CHUNK, span // 4) if seconds > _SLOW else span


def _ends(visible: Visible) -> tuple[int, int]:
    """Return the ids of the oldest and of the newest row."""
    ids = visible.rows().values_list("id", flat=True)
    newest = ids.order_by("-id").first()
    return _NOWHERE if newest is None else (ids.order_by("id").first() or newest, newest)


@dataclass(frozen=True, slots=True)
class Found:
    """Some rows, newest first, and where to go on.

    `older` and `newer` are what to give as `before` and `after` for the next page in that direction; None where there
    is no more. Where the search ran out of time (not `is_complete`) they go on from where it stood.
    """

    rows: list[Row]
    older: int | None
    newer: int | None
    is_complete: bool


def page(
    person: Person,
    wanted: Query,
    *,
    deadline: Deadline,
    before: int | None = None,
    after: int | None = None,
    limit: int,
) -> Found:
    """Return the newest matching rows, or those next to the row `before` (older) or `after` (newer), newest first."""
    walk = _Walk(person, wanted, COLUMNS, deadline, size=limit + 1)
    oldest, newest = _ends(walk.visible)
    low = oldest if after is None else max(oldest, after + 1)
    high = newest if before is None else min(newest, before - 1)
    found: list[Row] = []
    for rows in walk.chunks(low, high, newest_first=after is None):
        found += rows
        if len(found) > limit:
            break
    more = len(found) > limit
    rows = found[:limit]
    further = rows[-1]["id"] if more else (None if walk.complete else walk.edge)
    if after is None:
        newer = None if before is None else (rows[0]["id"] if rows else before - 1)
        return Found(rows, older=further, newer=newer, is_complete=walk.complete or more)
    rows.reverse()
    older = rows[-1]["id"] if rows else after + 1
    return Found(rows, older=older, newer=further, is_complete=walk.complete or more)


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


Kin = Literal["system", "process", "thread", "time"]
_SAME: Mapping[Kin, tuple[str, ...]] = {
    "system": ("system_id",),
    "process": ("system_id", "sub_system_id", "process"),
    "thread": ("system_id", "sub_system_id", "process", "thread"),
}


def neighbours(
    person: Person, row: Row, *, around: int, by: Kin, deadline: Deadline
) -> tuple[list[Row], list[Row], bool]:
    """Return the rows before and after a row, each in the order of time, and whether there was time for all.

    By "system", "process" or "thread" they are of the same one, in the order of arrival; by "time" they are of any
    system, by the sender's time.
    """
    if by == "time":
        return *_by_created(person, row, around), True
    alike = query(*(_equal(column, row[column]) for column in _SAME[by]))
    older = page(person, alike, before=row["id"], limit=around, deadline=deadline)
    newer = page(person, alike, after=row["id"], limit=around, deadline=deadline)
    return older.rows[::-1], newer.rows[::-1], older.is_complete and newer.is_complete


def _equal(column: str, value: str | int | None) -> Condition:
    return exactly(column, value) if isinstance(value, int) else equals(column, value or "")


def _by_created(person: Person, row: Row, around: int) -> tuple[list[Row], list[Row]]:
    visible = visible_to(person)
    rows = visible.rows()
    created, number = row["created"], row["id"]
    older = rows.filter(Q(created__lt=created) | Q(created=created, id__lt=number), created__lte=created)
    newer = rows.filter(Q(created__gt=created) | Q(created=created, id__gt=number), created__gte=created)
    before = older.order_by("-created", "-id").values(*COLUMNS)[:around]
    after = newer.order_by("created", "id").values(*COLUMNS)[:around]
    return [near for near in before if visible.allows(near)][::-1], [near for near in after if visible.allows(near)]


def fitting(rows: list[Row]) -> list[Row]:
    """Return as many of the first rows as hold no more than TEXT_MAX characters of text."""
    left = TEXT_MAX
    for at, row in enumerate(rows):
        left -= sum(len(row[column]) for column in ("message", "exc_text", "stack_info"))
        if left < 0:
            return rows[:at]
    return rows


# --- What rows have in common -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Facet:
    """The most frequent values of a field among the newest `rows` matching rows; `others` counts those of all others.

    `is_sample` tells that there are, or may be, more rows.
    """

    field: str
    values: list[tuple[Any, int]]
    rows: int
    others: int
    is_sample: bool


def facets(person: Person, wanted: Query, names: Sequence[str], limit: int, *, deadline: Deadline) -> list[Facet]:
    """Return a Facet for each field called so, over SAMPLE rows at most."""
    columns = [NAMES[name].columns[0] for name in names]
    needed = COLUMNS if wanted.residual() is not None else list(dict.fromkeys(["id", *columns]))
    walk = _Walk(person, wanted, needed, deadline)
    found: list[Row] = []
    for rows in walk.chunks(*_ends(walk.visible), newest_first=True):
        found += [{column: row[column] for column in columns} for row in rows]
        if len(found) > SAMPLE:
            break
    is_sample = len(found) > SAMPLE or not walk.complete
    return [
        _facet(name, Counter(row[column] for row in found[:SAMPLE]), limit, is_sample)
        for name, column in zip(names, columns, strict=True)
    ]


def _facet(name: str, counts: Counter[Any], limit: int, is_sample: bool) -> Facet:
    values = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))[:limit]
    rows = counts.total()
    return Facet(name, values, rows, rows - sum(count for _, count in values), is_sample)


@dataclass(frozen=True, slots=True)
class Timeline:
    """Rows by `created` and standard level: for each level that occurs, a number for each stretch, `width` long.

    `kind` tells where the numbers come from: "counts" kept by the minute, "rows" that were looked at, or a "sample".
    """

    start: datetime
    width: timedelta
    buckets: int
    levels: Mapping[int, Sequence[int]]
    kind: str
    is_complete: bool


def histogram(
    person: Person, wanted: Query, *, since: datetime, until: datetime, buckets: int, deadline: Deadline
) -> Timeline:
    """Count matching rows with since <= created < until; SAMPLE_OF_TIMES of them at most, the newest first."""
    within = Query(wanted.text, both_of(wanted.condition, between("created", since, until)))
    needed = COLUMNS if within.residual() is not None else ("id", "created", "levelno")
    walk = _Walk(person, within, needed, deadline)
    width = (until - since) / buckets
    levels: dict[int, list[int]] = {}
    seen = 0
    for rows in walk.chunks(*_ends(walk.visible), newest_first=True):
        for row in rows:
            at = min(buckets - 1, (row["created"] - since) // width)
            levels.setdefault(level_of(row["levelno"]), [0] * buckets)[at] += 1
        seen += len(rows)
        if seen >= SAMPLE_OF_TIMES:
            break
    return Timeline(since, width, buckets, levels, "rows", walk.complete and seen < SAMPLE_OF_TIMES)


def both_of(one: Condition, other: Condition) -> Condition:
    """Return the condition that both hold."""
    return query(one, other).condition


def seen_values(person: Person, column: str, limit: int) -> list[str]:
    """Return values of a column that rows have or lately had, sorted; without the empty one."""
    if column in ("system_id", "sub_system_id"):
        known = HeartBeat.objects.exclude(**{column: ""}).exclude(system_id=OTHER)
        return list(known.order_by(column).values_list(column, flat=True).distinct()[:limit])
    rows = visible_to(person).rows()
    newest = rows.order_by("-id").values_list("id", flat=True).first() or 0
    recent = rows.filter(id__gt=newest - RECENT).exclude(**{column: ""}).order_by(column)
    return list(recent.values_list(column, flat=True).distinct()[:limit])


def utc(moment: datetime) -> datetime:
    """Return a moment in UTC; one without a zone is in UTC already."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
