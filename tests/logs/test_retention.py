from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db.models import Sum

from logs import tail
from logs.models import Log, LogCount, ReaderPosition, StoreState
from logs.retention import prune, prune_read
from logs.store import append
from logs.tail import newest
from tests.logs.records import record

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def test_rows_received_before_the_moment_go_with_their_counts_and_all_others_stay(now: datetime):
    append([record(f"{age} h", at=now - age * HOUR) for age in (3, 2, 1, 0)])

    assert prune(now - 1 * HOUR, chunk=1, pause=0) == 2

    assert list(Log.objects.order_by("id").values_list("message", flat=True)) == ["1 h", "0 h"]
    assert LogCount.objects.aggregate(n=Sum("count"))["n"] == 2


def test_age_is_by_receipt_so_that_late_rows_are_kept_as_long_as_others(now: datetime):
    append([record("late", at=now)._replace(created=now - 100 * HOUR)])

    assert prune(now - HOUR, pause=0) == 0


def test_pruning_in_small_chunks_deletes_all_that_is_due(now: datetime):
    append([record(at=now - 2 * HOUR) for _ in range(25)])

    assert prune(now, chunk=10, pause=0) == 25
    assert not Log.objects.exists()


def test_pruning_stops_when_asked(now: datetime):
    append([record(at=now - 2 * HOUR) for _ in range(25)])
    asked = iter([False, True])

    assert prune(now, chunk=10, pause=0, stop=lambda: next(asked)) == 10


def reads_up_to(name: str, message: str) -> None:
    """Let a named reader have read up to and with the row of that message."""
    row = Log.objects.get(message=message)
    batch = tail.read_after(tail.Position.START, 1_000)
    at = next(p for p, read in zip(batch.positions, batch.rows, strict=True) if read["id"] == row.pk)
    tail.save_position(name, at)


def kept() -> list[str]:
    return list(Log.objects.order_by("id").values_list("message", flat=True))


@pytest.mark.django_db(transaction=True)
def test_what_a_reader_has_not_read_waits_for_it(now: datetime):
    append([record(str(n), at=now - 5 * HOUR) for n in range(4)])
    reads_up_to("slow", "1")
    reads_up_to("quick", "3")

    assert prune(now - HOUR, patience=10 * HOUR, pause=0) == 2
    assert kept() == ["2", "3"]
    assert set(ReaderPosition.objects.values_list("cut", flat=True)) == {0}


@pytest.mark.django_db(transaction=True)
def test_a_reader_that_is_too_slow_is_not_waited_for_and_what_it_missed_is_counted(now: datetime):
    append([record("old", at=now - 9 * HOUR), *(record(str(n), at=now - 9 * HOUR) for n in range(3))])
    append([record("young", at=now - 5 * HOUR)])
    reads_up_to("slow", "old")
    reads_up_to("quick", "young")

    assert prune(now - HOUR, patience=6 * HOUR, chunk=2, pause=0) == 4
    assert kept() == ["young"]
    assert dict(ReaderPosition.objects.values_list("name", "cut")) == {"slow": 3, "quick": 0}


@pytest.mark.django_db(transaction=True)
def test_what_has_been_read_may_go_at_once(now: datetime):
    append([record(str(n), at=now) for n in range(5)])
    batch = tail.read_after(tail.Position.START, 3)

    assert prune_read(batch.position, chunk=2, pause=0) == 3
    assert kept() == ["3", "4"]
    assert prune_read(tail.Position.START, pause=0) == 0


def test_one_row_from_a_clock_gone_astray_does_not_end_pruning(now: datetime):
    append([record("future", at=now + 1000 * HOUR), *(record(at=now - 2 * HOUR) for _ in range(5))])

    assert prune(now, chunk=3, pause=0) == 5
    assert Log.objects.get().message == "future"


@pytest.mark.django_db(transaction=True)
def test_it_is_remembered_up_to_when_something_was_deleted(now: datetime):
    append([record(str(n), at=now - n * HOUR) for n in (3, 2, 1)])
    prune(now - 2 * HOUR, pause=0)
    assert StoreState.objects.get().pruned_to == now - 2 * HOUR

    prune(now - 5 * HOUR, pause=0)
    assert StoreState.objects.get().pruned_to == now - 2 * HOUR

    prune_read(newest(), pause=0)
    assert StoreState.objects.get().pruned_to == now - HOUR
    assert not Log.objects.exists()
