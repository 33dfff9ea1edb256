"""How the rows of a query spread over time, by level: counted where minute counts say it, else looked at, else estimated."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from django.conf import settings
from django.db.models import Q, QuerySet, Sum
from django.utils import timezone

from logs import seen
from logs.models import HeartBeat, Level, LogCount, StoreState
from logs.query import Query, fold
from logs.query.conditions import Between, Condition, Like, Or, conjuncts
from logs.search.visible import Person, Visible, visible_to
from logs.search.walk import Clock, Walk
from logs.store import OTHER, level_of

BUCKETS = 60
ROWS_MAX = 10_000
STRATA = 60
WINDOW = 400
MINUTE = timedelta(minutes=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WIDTHS = tuple(
    timedelta(minutes=m) for m in (1, 2, 5, 10, 20, 30, 60, 120, 180, 360, 720, 1_440, 2_880, 10_080, 43_200)
)
LEVELS = tuple(level.value for level in Level)

Kind = Literal["counts", "rows", "sample"]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Rows by time and level: `levels` has for each standard level that occurs a number for each of `buckets`.

    Bucket n (from 0) goes from `start` + n * `width` up to but not including the next one. `kind` tells where the numbers come
    from: "counts", the minute counts, all there is; "rows", all wanted rows were looked at; "sample", they are estimated
    from `rows` rows spread evenly over the time. Not `is_complete`: the time ran out, and older rows are missing.
    """

    start: datetime
    width: timedelta
    buckets: int
    levels: dict[int, list[int]]
    kind: Kind
    rows: int = 0
    is_complete: bool = True

    @property
    def moments(self) -> list[datetime]:
        """When each bucket begins."""
        return [self.start + at * self.width for at in range(self.buckets)]

    @property
    def total(self) -> int:
        return sum(map(sum, self.levels.values()))


def histogram(
    person: Person,
    query: Query,
    since: datetime | None = None,
    until: datetime | None = None,
    buckets: int = BUCKETS,
    *,
    within: timedelta | None = None,
    clock: Clock = time.monotonic,
) -> Histogram:
    """Return how the rows of `query` spread from `since` (the oldest) to `until` (now), in at most `buckets` buckets.

    Buckets have a width people know, begin on whole multiples of it (UTC), and the first and the last one are whole.
    """
    within = settings.SEARCH_DEADLINE if within is None else within
    visible = visible_to(person)
    low, high = query.needs.ranges.get("created", (None, None))
    since, until = _latest(since, low), _earliest(until, high) or timezone.now()
    counts = _countable(query, visible)
    oldest = since or _oldest(visible)
    if oldest is None:
        return Histogram(until - MINUTE, MINUTE, 1, {}, "counts")
    frame = _Frame.of(oldest, until, buckets)
    if counts is not None and _is_whole(oldest):
        return frame.histogram(frame.from_counts(counts), "counts")
    return _from_rows(visible, query, frame, within, clock)


def _latest(since: datetime | None, low: object) -> datetime | None:
    return max(filter(None, (since, low if isinstance(low, datetime) else None)), default=None)


def _earliest(until: datetime | None, high: object) -> datetime | None:
    return min(filter(None, (until, high if isinstance(high, datetime) else None)), default=None)


# --- Buckets -----------------------------------------------------------------------------------------------------------

_Cell = tuple[int, int]
"""A bucket's number and a level."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """The buckets of one histogram."""

    start: datetime
    width: timedelta
    number: int

    @classmethod
    def of(cls, since: datetime, until: datetime, buckets: int) -> _Frame:
        until = max(until, since + MINUTE)
        for width in WIDTHS:
            start = since - (since - EPOCH) % width
            number = -(-(until - start) // width)
            if number <= max(1, buckets):
                return cls(start, width, number)
        # Longer than the widest one has room for: the oldest rows are left out.
        number = max(1, buckets)
        return cls(until - (until - EPOCH) % WIDTHS[-1] - (number - 1) * WIDTHS[-1], WIDTHS[-1], number)

    @property
    def end(self) -> datetime:
        return self.start + self.number * self.width

    def bucket(self, moment: datetime) -> int:
        return (moment - self.start) // self.width

    def histogram(
        self, cells: Iterable[tuple[_Cell, float]], kind: Kind, rows: int = 0, is_complete: bool = True
    ) -> Histogram:
        sums: Counter[_Cell] = Counter()
        for cell, number in cells:
            sums[cell] += number  # type: ignore[assignment]  # an estimate is a fraction until all are added
        present = sorted({level for _, level in sums})
        levels = {level: [round(sums[at, level]) for at in range(self.number)] for level in present}
        return Histogram(self.start, self.width, self.number, levels, kind, rows, is_complete)

    def from_counts(self, counts: QuerySet[LogCount]) -> Iterable[tuple[_Cell, float]]:
        """Add the minute counts up: by minute in the order of their index, which is what an engine does quickest."""
        sums = {f"at_{level}": Sum("count", filter=Q(level=level)) for level in LEVELS}
        within = counts.filter(minute__gte=self.start, minute__lt=self.end)
        for minute, *numbers in within.values_list("minute").annotate(**sums).order_by("minute"):
            bucket = self.bucket(minute)
            yield from (((bucket, level), n) for level, n in zip(LEVELS, numbers, strict=True) if n)


# --- From minute counts --------------------------------------------------------------------------------------------------


def _countable(query: Query, visible: Visible) -> QuerySet[LogCount] | None:
    """Return the minute counts that are the rows of `query`; None where it asks for more than they know."""
    counts = visible.counts()
    for part in conjuncts(query.condition):
        if counts is not None:
            counts = _counts_of(part, counts)
    return counts


def _counts_of(part: Condition, counts: QuerySet[LogCount]) -> QuerySet[LogCount] | None:
    if isinstance(part, Between) and part.field.columns == ("levelno",):
        exact = part.high is None and part.low is not None and part.low.inclusive and part.low.value in LEVELS[1:]
        return counts.filter(level__gte=part.low.value) if exact and part.low is not None else None
    if isinstance(part, Between) and part.field.columns == ("created",):
        return _during(part, counts)
    systems = _systems(part)
    spelled = seen.spellings("system_id", systems) if systems else None
    # Beyond the bound on systems the counts do not say whose they are.
    if spelled is None or HeartBeat.objects.filter(system_id=OTHER).exists():
        return None
    return counts.filter(system_id__in=spelled)


def _during(part: Between, counts: QuerySet[LogCount]) -> QuerySet[LogCount] | None:
    low, high = part.low, part.high
    if low is not None:
        if not low.inclusive or not _on_a_minute(low.value):
            return None
        counts = counts.filter(minute__gte=low.value)
    if high is not None:
        if high.inclusive or not _on_a_minute(high.value):
            return None
        counts = counts.filter(minute__lt=high.value)
    return counts


def _on_a_minute(moment: object) -> bool:
    return isinstance(moment, datetime) and not (moment.second or moment.microsecond)


def _systems(part: Condition) -> list[str]:
    """Return the systems, folded, that a condition asks for and nothing else."""
    parts = part.parts if isinstance(part, Or) else (part,)
    asked = [each for each in parts if isinstance(each, Like) and each.field.columns == ("system_id",)]
    found = [fold_of for each in asked if (fold_of := _folded(each)) is not None]
    return found if len(found) == len(parts) else []


def _folded(like: Like) -> str | None:
    return None if like.literal is None else fold(like.literal)


def _oldest(visible: Visible) -> datetime | None:
    """Return from when on there is anything."""
    counts = visible.counts()
    found = None if counts is None else counts.order_by("minute").values_list("minute", flat=True).first()
    return found or visible.rows().order_by("created", "id").values_list("created", flat=True).first()


def _is_whole(since: datetime) -> bool:
    """Whether the minute counts from `since` on are those of the rows that are there."""
    pruned = StoreState.objects.values_list("pruned_to", flat=True).first()
    return pruned is None or since.replace(second=0, microsecond=0) >= pruned


# --- From rows -----------------------------------------------------------------------------------------------------------


def _from_rows(visible: Visible, query: Query, frame: _Frame, within: timedelta, clock: Clock) -> Histogram:
    """Look at all rows where they are few, else at some of every time."""
    wanted = query.within(frame.start, frame.end)
    columns = ("id", "created", "levelno")
    walk = Walk(visible, wanted, within=within / 2, columns=columns, clock=clock)
    ends = walk.ends()
    rows = walk.rows(*ends, ROWS_MAX + 1)
    if walk.is_complete and len(rows) <= ROWS_MAX:
        return frame.histogram(((_cell(frame, row), 1) for row in rows), "rows", len(rows))
    walk = Walk(visible, wanted, within=within / 2, columns=columns, clock=clock)
    sample = walk.sample(*ends, strata=STRATA, window=WINDOW)
    cells = ((_cell(frame, row), weight) for row, weight in sample)
    return frame.histogram(cells, "sample", len(sample), walk.is_complete)


def _cell(frame: _Frame, row: dict[str, Any]) -> _Cell:
    return frame.bucket(row["created"]), level_of(row["levelno"])
