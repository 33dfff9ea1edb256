from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db.models import Sum

from logs.models import Log, LogCount
from logs.retention import prune
from logs.store import append
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


def test_one_row_from_a_clock_gone_astray_does_not_end_pruning(now: datetime):
    append([record("future", at=now + 1000 * HOUR), *(record(at=now - 2 * HOUR) for _ in range(5))])

    assert prune(now, chunk=3, pause=0) == 5
    assert Log.objects.get().message == "future"
