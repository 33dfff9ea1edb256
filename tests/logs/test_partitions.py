"""The days of the log on PostgreSQL: made ahead, dropped whole, beside writers and readers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from django.db import DatabaseError, connection, connections

from logs import partitions, sizes, tail
from logs.models import Log, ReaderPosition, StoreState
from logs.partitions import Day, make_ahead
from logs.policies import Plan, Rule
from logs.query import parse
from logs.retention import Pruner, dry_run, prune
from logs.store import append
from tests.logs.records import record

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no partitions"),
]

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _no_days_but_ours() -> Iterator[None]:
    """A keeper at work in another test makes days too, and they outlive it."""
    _drop_all()
    yield
    _drop_all()


def _drop_all() -> None:
    for day in partitions.days():
        partitions.drop(day)


def names() -> list[str]:
    return [str(day) for day in partitions.days()]


def lies_in(message: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM logs_log WHERE message = %s", [message])
        return str(cursor.fetchone()[0])


def kept() -> list[str]:
    return list(Log.objects.order_by("id").values_list("message", flat=True))


def constraints() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_constraint WHERE conrelid = 'logs_log_default'::regclass AND contype = 'c'"
        )
        return int(cursor.fetchone()[0])


def days_ago(now: datetime, *ages: int) -> None:
    """Store a row a day, each in its day's partition."""
    for age in ages:
        make_ahead(now - age * DAY)
    append([record(f"{age} d", at=now - age * DAY) for age in ages])


def test_today_and_three_days_are_made_ahead_once_and_take_the_rows(now: datetime):
    assert len(make_ahead(now)) == 4
    assert make_ahead(now) == []
    append([record("today", at=now), record("soon", at=now + 3 * DAY), record("astray", at=now + 9 * DAY)])

    assert names() == ["2026-11-22", "2026-11-23", "2026-11-24", "2026-11-25"]
    assert lies_in("today") == "logs_log_20261122"
    assert lies_in("soon") == "logs_log_20261125"
    assert lies_in("astray") == "logs_log_default"
    assert constraints() == 0


def test_a_made_day_has_every_index_of_the_log(now: datetime):
    make_ahead(now)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_indexes WHERE tablename = 'logs_log_default'")
        default = cursor.fetchone()[0]
        cursor.execute("SELECT count(*) FROM pg_indexes WHERE tablename = 'logs_log_20261122'")

        assert cursor.fetchone()[0] == default > 4


def test_a_day_of_which_rows_lie_in_the_default_partition_is_left_there(now: datetime):
    append([record("early", at=now), record("ahead", at=now + 2 * DAY)])

    assert [str(day) for day in make_ahead(now)] == ["2026-11-23", "2026-11-25"]
    assert kept() == ["early", "ahead"]
    assert constraints() == 0
    found = partitions.leftovers()
    assert found is not None
    assert found.bytes > 0
    prune(Plan.of(DAY), now + 4 * DAY, pause=0)
    assert kept() == []
    assert partitions.leftovers() is None


def test_what_a_killed_herald_left_behind_is_taken_back(now: datetime):
    with connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE logs_log_default ADD CONSTRAINT logs_log_not_20261123"
            " CHECK (received < '2026-11-23' OR received >= '2026-11-24')"
        )
    make_ahead(now)

    assert constraints() == 0
    assert len(names()) == 4


def test_a_day_goes_whole_when_all_of_it_is_older_than_every_age_and_not_before(now: datetime):
    days_ago(now, 3, 2, 1, 0)
    append([record("with it", at=now - 3 * DAY)])
    plan = Plan.of(2 * DAY)
    told = dry_run(plan, now)

    tally = prune(plan, now, pause=0)

    assert tally.days == told.days == {Day((now - 3 * DAY).date()): 2}
    assert tally.by_rule == told.by_rule == {}
    assert kept() == ["2 d", "1 d", "0 d"]
    assert names()[0] == "2026-11-20"
    assert StoreState.objects.get().pruned_to == Day((now - 3 * DAY).date()).end


def test_a_day_with_a_row_that_a_policy_keeps_stays_and_the_others_go_one_by_one(now: datetime):
    days_ago(now, 5, 4)
    append([record("gem", at=now - 5 * DAY), record("dull", at=now - 5 * DAY)])
    plan = Plan.of(2 * DAY, Rule("keep", parse("message:/g[e]m/"), 100 * DAY))
    told = dry_run(plan, now)

    tally = prune(plan, now, pause=0)

    assert kept() == ["gem"]
    assert tally.days == told.days == {Day((now - 4 * DAY).date()): 1}
    assert tally.by_rule == told.by_rule == {1: 2}
    assert names()[0] == "2026-11-17"


def test_a_day_that_is_over_and_empty_is_dropped_and_later_ones_stay(now: datetime):
    make_ahead(now)
    prune(Plan.of(36_500 * DAY), now + 2 * DAY + HOUR, pause=0)

    assert names() == ["2026-11-23", "2026-11-24", "2026-11-25"]


def test_a_day_that_a_reader_has_not_read_waits_for_it_up_to_the_bound(now: datetime):
    days_ago(now, 5, 4, 0)
    batch = tail.read_after(tail.Position.START, 10)
    tail.save_position("slow", batch.positions[0])
    plan = Plan.of(2 * DAY)

    told = dry_run(plan, now, patience=30 * DAY)
    assert prune(plan, now, patience=30 * DAY, pause=0).rows == told.rows == 1
    assert kept() == ["4 d", "0 d"]
    assert ReaderPosition.objects.get().cut == 0
    assert prune(plan, now, patience=DAY, pause=0).rows == 1
    assert ReaderPosition.objects.get().cut == 1


def test_the_oldest_days_go_until_the_log_fits_its_size_but_never_that_of_today(now: datetime, settings):
    days_ago(now, 3, 2, 1, 0)
    append([record("x" * 100, at=now - age * DAY) for age in (3, 2, 1, 0) for _ in range(2_000)])
    settings.SIZE_MAX_GB = (sizes.used() - 1) / sizes.GB
    tally = prune(Plan.of(1000 * DAY), now, pause=0)
    assert tally.over == 2_001
    assert Log.objects.count() == 6_003
    assert StoreState.objects.get().pruned_to == Day((now - 3 * DAY).date()).end

    settings.SIZE_MAX_GB = 1 / sizes.GB
    assert prune(Plan.of(1000 * DAY), now, pause=0).over == 4_002
    assert Log.objects.count() == 2_001


def test_a_day_in_use_is_left_for_the_next_look_and_its_rows_are_not_taken_one_by_one(now: datetime):
    days_ago(now, 5)
    other = connections.create_connection("default")
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("SELECT 1 FROM logs_log_20261117")
        pruner = Pruner(pause=0)
        tally = pruner.prune(Plan.of(2 * DAY), now)
        assert tally.rows == 0
        assert kept() == ["5 d"]
        other.rollback()
        assert pruner.prune(Plan.of(2 * DAY), now).rows == 1
    finally:
        other.close()


def test_only_one_process_deletes_at_a_time(now: datetime):
    append([record("old", at=now - DAY)])
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [0x6865_7261_6C66])
        tally = prune(Plan.of(HOUR), now, pause=0)
        assert (tally.busy, tally.rows) == (True, 0)
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock_all()")
        assert prune(Plan.of(HOUR), now, pause=0).rows == 1
    finally:
        other.close()


def test_days_are_made_and_dropped_beside_writers_and_a_reader_who_lose_nothing(now: datetime):
    """Three writers and a follower at work while old days go and new ones come."""
    days_ago(now, 9, 8, 7)
    stop = threading.Event()
    written: list[str] = []
    failures: list[str] = []
    read: list[str] = []
    position = tail.newest()

    def write(name: str) -> None:
        number = 0
        try:
            while not stop.is_set():
                messages = [f"{name}-{number + n}" for n in range(20)]
                append([record(m, at=now + (n % 4) * DAY) for n, m in enumerate(messages)])
                written.extend(messages)
                number += 20
        except DatabaseError as error:
            failures.append(str(error))
        finally:
            connection.close()

    def follow() -> None:
        at = position
        try:
            while True:
                ending = stop.is_set() and not any(w.is_alive() for w in writers)
                batch = tail.read_after(at, 500)
                read.extend(row["message"] for row in batch.rows)
                at = batch.position
                if ending and not batch.rows:
                    return
        finally:
            connection.close()

    make_ahead(now)
    writers = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    follower = threading.Thread(target=follow)
    for thread in (*writers, follower):
        thread.start()
    dropped: list[Day] = []
    pruner = Pruner(pause=0)
    for ahead in range(4):
        make_ahead(now + ahead * DAY)
        dropped += [day for day, rows in pruner.prune(Plan.of(2 * DAY), now).days.items() if rows]
    stop.set()
    for thread in (*writers, follower):
        thread.join(60)

    assert failures == []
    assert [str(day) for day in dropped] == ["2026-11-13", "2026-11-14", "2026-11-15"]
    assert len(names()) >= 7
    assert len(read) == len(set(read))
    assert set(read) == set(written)
    with suppress(DatabaseError):
        connection.close()


def test_a_vacuum_like_lock_is_waited_for_without_anybody_else_waiting(now: datetime):
    other = connections.create_connection("default")
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("LOCK TABLE logs_log_default IN SHARE UPDATE EXCLUSIVE MODE")
        other.inc_thread_sharing()
        leaving = threading.Timer(1.0, other.rollback)
        leaving.start()
        assert len(make_ahead(now)) == 4
        leaving.join()
    finally:
        other.close()
