from __future__ import annotations

import time
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from bridge.journal import Journal
from bridge.keeper import Keeper, as_kept
from bridge.status import Figures
from logs import store
from logs.models import Log
from tests.logs.records import record

DAY = timedelta(days=1)


def days_old(now: datetime, *ages: int) -> None:
    store.append([record(f"{age} days old", at=now - age * DAY) for age in ages])


def wait_until_gone(message: str) -> bool:
    deadline = time.monotonic() + 60
    while Log.objects.filter(message=message).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return not Log.objects.filter(message=message).exists()


def kept() -> set[str]:
    return set(Log.objects.values_list("message", flat=True))


@pytest.mark.django_db(transaction=True)
def test_old_rows_go_at_the_first_look_and_it_is_told():
    days_old(timezone.now(), 40, 31, 29, 0)
    journal = Journal("here")
    keeper = Keeper(30 * DAY, None, Figures(), journal)
    keeper.start()
    gone = wait_until_gone("31 days old")
    keeper.stop()
    keeper.join(60)

    assert gone
    assert kept() == {"29 days old", "0 days old"}
    assert [row.message for row in journal.take()] == ["deleted 2 rows older than 30 days"]


@pytest.mark.django_db(transaction=True)
def test_with_r_it_looks_every_so_many_records():
    days_old(timezone.now(), 40, 0)
    figures = Figures()
    keeper = Keeper(30 * DAY, 100, figures, Journal("here"))
    keeper.start()
    figures.received = 99
    time.sleep(1)
    before = kept()
    figures.received = 100
    gone = wait_until_gone("40 days old")
    keeper.stop()
    keeper.join(60)

    assert before == {"40 days old", "0 days old"}
    assert gone


@pytest.mark.parametrize(
    ("duration", "words"),
    [(30 * DAY, "30 days"), (DAY, "1 day"), (timedelta(seconds=1_309_600), "1,309,600 s"), (DAY / 2, "43,200 s")],
)
def test_how_long_rows_are_kept_is_said_exactly(duration: timedelta, words: str):
    assert as_kept(duration) == words
