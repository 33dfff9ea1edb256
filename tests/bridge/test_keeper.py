from __future__ import annotations

import time
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from bridge.journal import Journal
from bridge.keeper import Keeper
from bridge.status import Figures
from logs import partitions, requests, store
from logs.models import Log, PruneRequest, RetentionPolicy
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


@pytest.mark.django_db(transaction=True)
def test_a_policy_goes_before_the_age_given_by_s_and_each_reason_is_told():
    RetentionPolicy.objects.create(name="long", query="message:31", age=100 * DAY)
    RetentionPolicy.objects.create(name="short", query="message:29", age=3 * DAY)
    days_old(timezone.now(), 40, 31, 29, 0)
    journal = Journal("here")
    keeper = Keeper(30 * DAY, None, Figures(), journal)
    keeper.start()
    gone = wait_until_gone("29 days old")
    keeper.stop()
    keeper.join(60)

    assert gone
    assert kept() == {"31 days old", "0 days old"}
    (told,) = [row.message for row in journal.take()]
    assert told.startswith("deleted 2 rows (1 older than ")
    assert "1 older than 3 days (policy short)" in told
    assert "1 older than 30 days" in told


@pytest.mark.django_db(transaction=True)
def test_nothing_is_deleted_while_a_policy_cannot_be_read_and_that_is_said():
    RetentionPolicy.objects.create(name="broken", query="message:(", age=DAY)
    days_old(timezone.now(), 40)
    journal = Journal("here")
    keeper = Keeper(30 * DAY, None, Figures(), journal)
    keeper.start()
    deadline = time.monotonic() + 60
    said: list[str] = []
    while not said and time.monotonic() < deadline:
        said = [row.message for row in journal.take()]
        time.sleep(0.05)
    keeper.stop()
    keeper.join(60)

    assert said[0].startswith("old rows could not be deleted: the retention policy 'broken' cannot be read")
    assert kept() == {"40 days old"}


@pytest.mark.django_db(transaction=True)
def test_what_somebody_asks_for_is_done_by_the_keeper():
    days_old(timezone.now(), 40, 5, 0)
    requests.ask("ada", 3 * DAY, timezone.now())
    journal = Journal("here")
    keeper = Keeper(36_500 * DAY, None, Figures(), journal)
    keeper.start()
    gone = wait_until_gone("5 days old")
    deadline = time.monotonic() + 60
    while not PruneRequest.objects.exclude(finished=None).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    keeper.stop()
    keeper.join(60)

    assert gone
    assert kept() == {"0 days old"}
    assert PruneRequest.objects.get().deleted == 2
    assert [row.message for row in journal.take()] == ["ada had old rows deleted: 2 rows"]


@pytest.mark.django_db(transaction=True)
def test_after_a_fault_of_its_own_the_keeper_says_so_once_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def fail(now: datetime) -> None:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(partitions, "make_ahead", fail)
    monkeypatch.setattr("bridge.keeper.LOOK_EVERY", timedelta(0))
    days_old(timezone.now(), 40, 0)
    journal = Journal("here")
    keeper = Keeper(30 * DAY, None, Figures(), journal)
    keeper.start()
    gone = wait_until_gone("40 days old")
    days_old(timezone.now(), 41)
    gone_again = wait_until_gone("41 days old")
    keeper.stop()
    keeper.join(60)

    assert gone
    assert gone_again
    said = [row.message for row in journal.take() if "a bug" in row.message]
    assert said == ["a bug of herald's, please report it; old rows may stay: RuntimeError: no such thing"]
    (told,) = [each for each in caplog.records if each.exc_info]
    assert told.exc_info is not None
    assert told.exc_info[0] is RuntimeError
