"""Deletes rows when their time has come: by the policies, by the size of the whole, and not before they were read.

One walk over the rows, oldest id first, serves the dry run and the real one. A row is due when it is older than its
rule says, and either every named reader of the log has read it or it is older by a further `patience`; what goes unread
is counted as cut for the readers that missed it. Rows go in chunks, each a transaction of its own, with a pause after
it in which other writers get their turn. On PostgreSQL a day of which all is due goes whole.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import DatabaseError, connection, transaction
from django.db.models import F, IntegerField, Q, Value
from django.db.models.expressions import RawSQL

from logs import partitions, sizes
from logs.models import Log, LogCount, ReaderPosition, StoreState
from logs.partitions import Day
from logs.policies import Plan, cutoff
from logs.tail import NAMES, Position

CHUNK = 1_000
PAUSE = 0.05
READ_PAUSE = 0.005
"""Seconds after a chunk that was deleted, and after one of which nothing was."""
FROM_THE_START_EVERY = timedelta(days=1)
_LOCK = 0x6865_7261_6C66
"""Advisory lock on PostgreSQL: one process at a time deletes old rows."""
_ALL = Plan.of(timedelta(0))
"""The plan under which every row is as good as any other."""


@dataclass
class Tally:
    """What a look at old rows came to, or would: how many rows go, and why.

    `by_rule` counts by the number of the rule in the plan; `days` rows that went (would go) with their whole day;
    `over` those that went oldest first because of the size. `waiting` rows are old enough, but a reader has not read
    them. `complete` is False where the look was ended before the last row that may be due; `looked_to` is when the
    last row arrived that was looked at. `busy`: another process was at it, and nothing was done.
    """

    by_rule: Counter[int] = field(default_factory=Counter)
    days: dict[Day, int] = field(default_factory=dict)
    over: int = 0
    waiting: int = 0
    complete: bool = True
    looked_to: datetime | None = None
    busy: bool = False

    @property
    def rows(self) -> int:
        return self.by_rule.total() + sum(self.days.values()) + self.over


class Seen(NamedTuple):
    """What deciding about one row takes."""

    id: int
    received: datetime
    position: Position
    rule: int
    created: datetime


class Pruner:
    """Deletes old rows again and again, and remembers how far each age has been applied already.

    Rows never change: what was kept when its chunk came of a certain age is not looked at for that age again. Once a
    day, and when the plan is another one, it begins at the oldest row all the same; a clock that was put right and a
    transaction that ended late may have left some.

    `stop` is asked before each chunk. `told` is given the tally after each.
    """

    def __init__(
        self,
        *,
        patience: timedelta = timedelta(0),
        chunk: int = CHUNK,
        pause: float = PAUSE,
        stop: Callable[[], bool] = lambda: False,
        told: Callable[[Tally], object] = lambda tally: None,
    ) -> None:
        self.patience = patience
        self.chunk = chunk
        self.pause = pause
        self.stop = stop
        self.told = told
        self.dry = False
        self._plan = Plan(())
        self._marks: dict[timedelta, int] = {}
        self._began: datetime | None = None
        self._kept_days: dict[Day, tuple[datetime, ...]] = {}
        self._tally = Tally()

    def prune(self, plan: Plan, now: datetime) -> Tally:
        """Delete what is due at `now`, then the oldest rows until all fits its size, then minute counts."""
        self.dry = False
        self._tally = Tally()
        with _alone() as mine:
            if not mine:
                self._tally.busy = True
                self._tally.complete = False
                return self._tally
            self._remember(plan, now)
            self._go_through(plan, now)
            self._drop_empty_days(now)
            self._fit_size(now)
            # By the default: a policy that keeps a few rows for years must not keep every minute of them.
            counted_from = cutoff(plan.rules[-1].age, now)
            _note(counted_from)
            LogCount.objects.filter(minute__lt=counted_from).delete()
        return self._tally

    def dry_run(self, plan: Plan, now: datetime) -> Tally:
        """Return what `prune` would delete for its age at `now`; deletes nothing, and says nothing about the size."""
        self.dry = True
        self._tally = Tally()
        self._marks, self._began, self._kept_days = {}, None, {}
        self._go_through(plan, now)
        return self._tally

    def _remember(self, plan: Plan, now: datetime) -> None:
        if plan != self._plan or self._began is None or not self._began <= now < self._began + FROM_THE_START_EVERY:
            self._plan, self._began = plan, now
            self._marks, self._kept_days = {}, {}

    def _go_through(self, plan: Plan, now: datetime) -> None:
        due = _Due(plan, now, self.patience)
        self._drop_days(due)
        for age in plan.ages if self._marks else (plan.shortest,):
            self._sweep(due, age)

    # --- Row by row ------------------------------------------------------------------------------------------

    def _sweep(self, due: _Due, age: timedelta) -> None:
        """Go through the rows that have passed `age` since the last time; end where a whole chunk is younger."""
        after = self._marks.get(age, 0)
        limit = due.cutoffs[age]
        while True:
            if self.stop():
                self._tally.complete = False
                return
            rows = _read(due.plan, after, self.chunk)
            if not any(row.received < limit for row in rows):
                return
            held = self._delete_due(due, rows)
            self._mark(due, rows, after, held)
            after = rows[-1].id
            self._tally.looked_to = rows[-1].received
            self.told(self._tally)
            if held is not None and not any(due.may_go_unread(row) for row in rows):
                return  # all that follows is younger, and the reader that has not read these has not read that

    def _delete_due(self, due: _Due, rows: Sequence[Seen]) -> int | None:
        """Delete which of these rows are due; return the id of the first that is old enough and waits for a reader."""
        candidates = [row for row in rows if due.is_old(row) and Day(row.received.date()) not in self._tally.days]
        if not candidates:
            time.sleep(READ_PAUSE if self.pause else 0)
            return None
        with transaction.atomic():
            readers = _readers()
            slowest = min(readers.values(), default=None)
            gone = [row for row in candidates if due.may_go(row, slowest)]
            if not self.dry:
                _count_cut(readers, gone)
                gone = _delete(gone)
        self._tally.by_rule.update(row.rule for row in gone)
        waiting = [row.id for row in candidates if not due.may_go(row, slowest)]
        self._tally.waiting += len(waiting)
        if not self.dry:
            time.sleep(self.pause)
        return waiting[0] if waiting else None

    def _mark(self, due: _Due, rows: Sequence[Seen], after: int, held: int | None) -> None:
        """Move each age's mark over the rows that have passed it, as far as none of them waits."""
        for age, limit in due.cutoffs.items():
            if self._marks.setdefault(age, 0) < after:
                continue
            for row in rows:
                if row.received >= limit or row.id == held:
                    break
                self._marks[age] = max(row.id, self._marks[age])

    # --- Day by day, on PostgreSQL ------------------------------------------------------------------------------

    def _drop_days(self, due: _Due) -> None:
        readers = _readers()
        for day in partitions.days():
            if self.stop():
                return
            if day.end > due.youngest or not self._is_wholly_due(due, day, readers):
                continue
            self._drop(day, readers)

    def _is_wholly_due(self, due: _Due, day: Day, readers: dict[str, Position]) -> bool:
        newest = partitions.newest(day)
        if newest is None:
            return False  # it goes as an empty one
        unread = any(position < Position(*newest) for position in readers.values())
        if unread and day.end > due.at_last:
            return False
        if day.end <= due.oldest:
            return True
        state = tuple(due.cutoffs.values())
        if self._kept_days.get(day) == state:
            return False
        if all(due.is_old(row) for row in self._rows_of(due.plan, day)):
            return True
        self._kept_days[day] = state
        return False

    def _rows_of(self, plan: Plan, day: Day) -> Iterator[Seen]:
        after = 0
        within = Log.objects.filter(received__gte=day.begin, received__lt=day.end).order_by("id")
        while True:
            found = within.filter(id__gt=after).annotate(rule=plan.candidate())
            rows = [
                Seen(number, received, Position.START, *others)
                for number, received, *others in found.values_list("id", "received", "rule", "created")[: self.chunk]
            ]
            if not rows:
                return
            yield from _settled(plan, rows)
            after = rows[-1].id

    def _drop(self, day: Day, readers: dict[str, Position]) -> None:
        if self.dry:
            self._tally.days[day] = partitions.count(day)
            return
        number = self._drop_whole(day, readers)
        # One that is in use all the time is tried again, and its rows are not taken one by one meanwhile.
        self._tally.days[day] = number or 0
        self.told(self._tally)

    def _drop_whole(self, day: Day, readers: dict[str, Position]) -> int | None:
        """Drop a day; return how many rows went, None when it was in use all the time."""
        missed = {name: partitions.count_beyond(day, at.tx, at.id) for name, at in readers.items()}
        # Before it goes: what is noted in vain costs a search a little time, what is not would tell of rows that are gone.
        _note(_newest([(day.end, partitions.newest_created(day) or day.end)]))
        number = partitions.drop(day)
        if number is not None:
            _add_cut(missed)
        return number

    def _drop_empty_days(self, now: datetime) -> None:
        """A day that is over gets no more rows."""
        for day in partitions.days():
            if day.end + partitions.DAY <= now and partitions.is_empty(day):
                partitions.drop(day)

    # --- The size of the whole --------------------------------------------------------------------------------

    def _fit_size(self, now: datetime) -> None:
        """Delete the oldest rows, whatever their policy and whoever waits, until the database is small enough."""
        limit = sizes.limit()
        if limit is None:
            return
        if connection.vendor == "postgresql":
            self._drop_oldest_days(limit.bytes, now)
        else:
            self._delete_oldest(limit.bytes)

    def _drop_oldest_days(self, limit: int, now: datetime) -> None:
        excess = sizes.used() - limit
        for day in partitions.days():
            if excess <= 0 or self.stop() or day.end > now:
                return
            size = partitions.size(day)
            number = self._drop_whole(day, _readers())
            if number is None:
                return
            excess -= size
            self._tally.over += number
            self.told(self._tally)

    def _delete_oldest(self, limit: int) -> None:
        """Delete no more than its share of the rows at one look: space inside of the text index comes free later."""
        used = sizes.used()
        share = sizes.share_to_go(used, limit)
        most = int(share * _span()) + self.chunk if share else 0
        while used > limit and most > 0 and not self.stop():
            rows = _read(_ALL, 0, self.chunk)[:most]
            if not rows:
                return
            with transaction.atomic():
                _count_cut(_readers(), rows)
                gone = _delete(rows)
            most -= len(rows)
            self._tally.over += len(gone)
            self.told(self._tally)
            time.sleep(self.pause)
            used = sizes.used()


class _Due:
    """When each rule's rows are old, at one moment."""

    def __init__(self, plan: Plan, now: datetime, patience: timedelta) -> None:
        self.plan = plan
        self.patience = patience
        self.cutoffs = {age: cutoff(age, now) for age in plan.ages}
        self._limits = [self.cutoffs[rule.age] for rule in plan.rules]
        self.oldest = self.cutoffs[plan.longest]
        self.youngest = self.cutoffs[plan.shortest]
        self.at_last = self.oldest - patience

    def is_old(self, row: Seen) -> bool:
        return row.received < self._limits[row.rule]

    def may_go(self, row: Seen, slowest: Position | None) -> bool:
        """Whether an old row has been read by everybody, or has waited for long enough."""
        return slowest is None or row.position <= slowest or row.received < self._limits[row.rule] - self.patience

    def may_go_unread(self, row: Seen) -> bool:
        """Whether a row is so old that under some rule it need not wait for readers any more."""
        return row.received < self.youngest - self.patience


def prune(plan: Plan, now: datetime, **options: Any) -> Tally:
    """Delete what is due at `now`, once; `options` are Pruner's."""
    return Pruner(**options).prune(plan, now)


def dry_run(plan: Plan, now: datetime, *, within: timedelta | None = None, **options: Any) -> Tally:
    """Return what `prune` would delete; looks no longer than `within`, and then says that it is not complete."""
    ends_at = None if within is None else time.monotonic() + within.total_seconds()
    return Pruner(**options, stop=lambda: ends_at is not None and time.monotonic() > ends_at).dry_run(plan, now)


def prune_read(
    position: Position, *, chunk: int = CHUNK, pause: float = PAUSE, stop: Callable[[], bool] = lambda: False
) -> int:
    """Delete the rows up to `position`, however young they are, in chunks as `prune` does; return how many went."""
    number = 0
    while not stop():
        with transaction.atomic():
            gone = _delete([row for row in _read(_ALL, 0, chunk) if row.position <= position])
        if not gone:
            break
        number += len(gone)
        time.sleep(pause)
    return number


def _read(plan: Plan, after: int, chunk: int) -> list[Seen]:
    """Return the next rows with the rule of each."""
    tx: Any = Value(0, output_field=IntegerField())
    if connection.vendor == "postgresql":
        tx = RawSQL("logs_log.tx", [])
    found = (
        Log.objects.filter(id__gt=after)
        .order_by("id")
        .annotate(rule=plan.candidate(), tx=tx)
        .values_list("id", "received", "tx", "rule", "created")[:chunk]
    )
    rows = [Seen(number, received, Position(tx, number), *others) for number, received, tx, *others in found]
    return _settled(plan, rows)


def _note(pruned_to: datetime) -> None:
    """Remember that the minute counts from before this moment are no longer those of the rows that are there."""
    StoreState.objects.get_or_create(id=1)
    StoreState.objects.filter(Q(pruned_to=None) | Q(pruned_to__lt=pruned_to), id=1).update(pruned_to=pruned_to)


def _newest(times: Iterable[tuple[datetime, datetime]]) -> datetime:
    """Return the newest of the moments at which rows were received, and written by their senders' clocks.

    A clock counts that is up to a day ahead: one gone astray must not keep searches from the counts of years.
    """
    return max(max(received, min(created, received + partitions.DAY)) for received, created in times)


def _span() -> int:
    """Return about how many rows there are, at least: the distance from the oldest to the newest."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id) - min(id) + 1, 0) FROM logs_log")
        return int(cursor.fetchone()[0])


def _settled(plan: Plan, rows: Sequence[Seen]) -> list[Seen]:
    """Return the rows, each with the rule that decides, where SQL could only tell which one may."""
    open_ids = {row.id: row for row in rows if not plan.rules[row.rule].is_exact}
    if not open_ids:
        return list(rows)
    moments = [row.received for row in open_ids.values()]
    found = Log.objects.filter(id__in=list(open_ids), received__gte=min(moments), received__lte=max(moments))
    rules = {values["id"]: plan.rule_of(values, open_ids[values["id"]].rule) for values in found.values(*NAMES)}
    # One that another process has deleted meanwhile has no rule any more, and needs none.
    return [row._replace(rule=rules.get(row.id, len(plan.rules) - 1)) for row in rows]


def _delete(rows: Sequence[Seen]) -> list[Seen]:
    """Delete these rows; return them. The bounds in time spare PostgreSQL all other days."""
    if not rows:
        return []
    _note(_newest((row.received, row.created) for row in rows))
    moments = [row.received for row in rows]
    chosen = Log.objects.filter(id__in=[row.id for row in rows], received__gte=min(moments), received__lte=max(moments))
    chosen.delete()
    return list(rows)


def _readers() -> dict[str, Position]:
    return {reader.name: Position.parse(reader.position) for reader in ReaderPosition.objects.all()}


def _count_cut(readers: dict[str, Position], gone: Sequence[Seen]) -> None:
    """Count for each reader what goes now although it was not read."""
    _add_cut({name: sum(row.position > position for row in gone) for name, position in readers.items()})


def _add_cut(missed: dict[str, int]) -> None:
    for name, number in missed.items():
        if number:
            ReaderPosition.objects.filter(name=name).update(cut=F("cut") + number)


@contextmanager
def _alone() -> Iterator[bool]:
    """Give True when no other process deletes old rows now. On SQLite transactions come one after another anyway."""
    if connection.vendor != "postgresql":
        yield True
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        mine = bool(cursor.fetchone()[0])
    try:
        yield mine
    finally:
        if mine:
            with suppress(DatabaseError), connection.cursor() as cursor:  # one that broke has let go by itself
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])
