"""The days of the log on PostgreSQL: one partition each, made ahead of the rows, dropped whole once nobody wants them.

What no day has a partition for lies in the default partition. All this runs beside writers: each step takes its locks
for a moment only, gives up after LOCK_TIMEOUT, and is tried again at the next look. On SQLite there are no days.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import DatabaseError, IntegrityError, connection, transaction

AHEAD = 3
"""How many days after today have their partition already."""
DAY = timedelta(days=1)
LOCK_TIMEOUT = "200ms"
VACUUM_TIMEOUT = "2s"
"""How long an autovacuum is waited for, which gives way after a second. Neither readers nor writers wait for that."""
ATTEMPTS = 5
PAUSE_SECONDS = 0.3
SMALL_DEFAULT = 64 * 1024 * 1024
"""The default partition is read while it is locked only up to this size, in bytes."""

_DEFAULT = "logs_log_default"
_NAME = re.compile(r"logs_log_([0-9]{8})")
_PROMISE = re.compile(r"logs_log_not_[0-9]{8}")


@dataclass(frozen=True, slots=True, order=True)
class Day:
    """The rows received on one day, UTC."""

    date: date

    @property
    def table(self) -> str:
        return f"logs_log_{self.date:%Y%m%d}"

    @property
    def begin(self) -> datetime:
        return datetime(self.date.year, self.date.month, self.date.day, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        return self.begin + DAY

    @property
    def promise(self) -> str:
        """The name of the constraint by which the default partition says that it holds no row of this day."""
        return f"logs_log_not_{self.date:%Y%m%d}"

    def __str__(self) -> str:
        return self.date.isoformat()


def days() -> list[Day]:
    """Return the days that have a partition, the oldest first."""
    if connection.vendor != "postgresql":
        return []
    names = _column("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'logs_log'::regclass")
    found = (_NAME.fullmatch(name) for name in names)
    return sorted(Day(datetime.strptime(name[1], "%Y%m%d").date()) for name in found if name)  # noqa: DTZ007


def size(day: Day | None = None) -> int:
    """Return the bytes that a day takes with its indexes; without one, the whole log."""
    return sum(sizes().values()) if day is None else sizes().get(day.table, 0)


def sizes() -> dict[str, int]:
    """Return the bytes of every partition, indexes and long texts included, by the name of its table."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relid::regclass::text, pg_total_relation_size(relid) FROM pg_partition_tree('logs_log') WHERE isleaf"
        )
        return dict(cursor.fetchall())


# --- Making ------------------------------------------------------------------------------------------------------------


def make_ahead(now: datetime, *, attempts: int = ATTEMPTS) -> list[Day]:
    """Make the partitions of today and of the next AHEAD days where there are none; return those that were made.

    With few `attempts` it takes seconds at most, and may leave some to the next time.

    A day of which rows lie in the default partition already gets none: its rows would have to be moved out of the
    readers' sight. They stay where they are and go one by one; the days after it have their partitions.
    """
    if connection.vendor != "postgresql":
        return []
    today = now.astimezone(UTC).date()
    with _alone() as mine:
        if not mine:
            return []
        _withdraw_promises()
        there = set(days())
        wanted = [Day(today + number * DAY) for number in range(AHEAD + 1)]
        return [day for day in wanted if day not in there and _make(day, today, attempts)]


def _make(day: Day, today: date, attempts: int) -> bool:
    """Make the partition of one day; return False where that cannot be done now.

    To attach one, PostgreSQL must know that the default partition has no row of that day, and reads it through while
    nobody can use it, unless a constraint says so. For the days to come the constraint is given, checked in the light
    of day and taken back; a herald that dies between leaves one that stands in nobody's way before its day.
    """
    if _has_rows(_DEFAULT, day):
        return False
    if day.date <= today:
        return _default_size() <= SMALL_DEFAULT and _patiently(_DEFAULT, lambda: _attach(day), attempts)
    if not _patiently(_DEFAULT, lambda: _run(_ADD_PROMISE, day), attempts):
        return False
    try:
        kept = _patiently(_DEFAULT, lambda: _run(_KEEP_PROMISE, day), attempts)
        return kept and _patiently(_DEFAULT, lambda: _attach(day), attempts)
    except IntegrityError:
        return False  # a clock that is ahead has brought a row meanwhile
    finally:
        _patiently(_DEFAULT, lambda: _run(_DROP_PROMISE, day))


_ADD_PROMISE = (
    "ALTER TABLE logs_log_default ADD CONSTRAINT {promise} "
    "CHECK (received < '{begin}' OR received >= '{end}') NOT VALID"
)
_KEEP_PROMISE = "ALTER TABLE logs_log_default VALIDATE CONSTRAINT {promise}"
_DROP_PROMISE = "ALTER TABLE logs_log_default DROP CONSTRAINT IF EXISTS {promise}"


def _attach(day: Day) -> None:
    _run("CREATE TABLE {table} (LIKE logs_log INCLUDING DEFAULTS)", day)
    _run("ALTER TABLE logs_log ATTACH PARTITION {table} FOR VALUES FROM ('{begin}') TO ('{end}')", day)


def _withdraw_promises() -> None:
    """Take back what a herald that was killed has left."""
    names = _column("SELECT conname FROM pg_constraint WHERE conrelid = 'logs_log_default'::regclass AND contype = 'c'")
    for name in filter(_PROMISE.fullmatch, names):
        _patiently(_DEFAULT, lambda name=name: _execute(f"ALTER TABLE logs_log_default DROP CONSTRAINT {name}"))  # type: ignore[misc]


# --- Dropping ----------------------------------------------------------------------------------------------------------


def drop(day: Day) -> int | None:
    """Drop a day with all of its rows; return how many those were, None when it was in use all the time."""
    number = count(day)
    return number if _patiently(day.table, lambda: _run("DROP TABLE {table}", day)) else None


def count(day: Day) -> int:
    """Return how many rows a day has; it reads the day through."""
    return int(_value(f"SELECT count(*) FROM {day.table}"))


def is_empty(day: Day) -> bool:
    return not _value(f"SELECT EXISTS (SELECT 1 FROM {day.table})")


def newest(day: Day) -> tuple[int, int] | None:
    """Return `tx` and id of the row of this day that readers reach last; None when it has none."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT tx, id FROM {day.table} ORDER BY tx DESC, id DESC LIMIT 1")
        found: tuple[int, int] | None = cursor.fetchone()
        return found


def newest_created(day: Day) -> datetime | None:
    """Return the newest time that a sender has given a row of this day; None when it has none."""
    found: datetime | None = _value(f"SELECT max(created) FROM {day.table}")
    return found


def count_beyond(day: Day, tx: int, number: int) -> int:
    """Return how many rows of this day lie after a reader's position."""
    return int(_value(f"SELECT count(*) FROM {day.table} WHERE (tx, id) > (%s, %s)", tx, number))


# --- The default partition -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Rows that no day's partition took: there are any, and how many bytes they take."""

    bytes: int


def leftovers() -> Leftovers | None:
    """Return what lies in the default partition; None when nothing does, and on SQLite."""
    if connection.vendor != "postgresql" or not _value(f"SELECT EXISTS (SELECT 1 FROM {_DEFAULT})"):
        return None
    return Leftovers(_default_size())


def _default_size() -> int:
    return int(_value("SELECT pg_table_size('logs_log_default')"))


def _has_rows(table: str, day: Day) -> bool:
    return bool(
        _value(f"SELECT EXISTS (SELECT 1 FROM {table} WHERE received >= %s AND received < %s)", day.begin, day.end)
    )


# --- Statements ------------------------------------------------------------------------------------------------------------

_BUSY = ("55P03", "40P01")
"""No lock in time; deadlock."""
_LOCK = 0x6865_7261_6C65
"""Advisory lock: one process at a time makes partitions."""


@contextmanager
def _alone() -> Iterator[bool]:
    """Give True when no other process makes partitions now."""
    mine = bool(_value("SELECT pg_try_advisory_lock(%s)", _LOCK))
    try:
        yield mine
    finally:
        if mine:
            with suppress(DatabaseError):  # a connection that broke has let go by itself
                _execute("SELECT pg_advisory_unlock(%s)", _LOCK)


def _patiently(table: str, step: Callable[[], None], attempts: int = ATTEMPTS) -> bool:
    """Do a step that needs a lock on `table`; return False when others kept it through all attempts.

    Whoever waits for an exclusive lock has everybody wait who comes after: so it is short, and there is a pause for
    them. An autovacuum is sent away before, under a lock that disturbs nobody else.
    """
    for attempt in range(attempts):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        try:
            with transaction.atomic():
                _execute(f"SET LOCAL lock_timeout = '{VACUUM_TIMEOUT}'")
                _execute(f"LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE")
                _execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                step()
        except DatabaseError as error:
            if getattr(error.__cause__, "sqlstate", "") not in _BUSY:
                raise
        else:
            return True
    return False


def _run(statement: str, day: Day) -> None:
    """Execute a statement about one day. Names and moments come from its date alone, never from outside."""
    _execute(
        statement.format(
            table=day.table, promise=day.promise, begin=day.begin.isoformat(" "), end=day.end.isoformat(" ")
        )
    )


def _execute(statement: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)


def _value(statement: str, *values: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchone()[0]


def _column(statement: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return [row[0] for row in cursor.fetchall()]
