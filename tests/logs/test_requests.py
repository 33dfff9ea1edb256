from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from logs import requests
from logs.models import Log, PruneRequest, RetentionPolicy
from logs.store import append
from tests.logs.records import record

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def answer(now: datetime) -> PruneRequest | None:
    return requests.answer(now, patience=timedelta(0), pause=0)


def test_one_request_is_open_at_a_time(now: datetime):
    first = requests.ask("ada", HOUR, now)

    assert first is not None
    assert requests.ask("bob", HOUR, now) is None
    answer(now)
    assert requests.ask("bob", HOUR, now) is not None


def test_a_request_deletes_what_was_shown_and_tells_how_much(now: datetime):
    append([record("old", at=now - 2 * HOUR), record("young", at=now)])
    requests.ask("ada", HOUR, now)

    done = answer(now)

    assert done is not None
    assert (done.deleted, done.error, done.finished is not None) == (1, "", True)
    assert Log.objects.get().message == "young"
    assert answer(now) is None


def test_a_request_is_taken_once(now: datetime):
    requests.ask("ada", HOUR, now)
    PruneRequest.objects.update(taken=now, updated=now)

    assert answer(now + MINUTE) is None


def test_a_request_whose_taker_was_killed_is_taken_again(now: datetime):
    append([record("old", at=now - 2 * HOUR)])
    requests.ask("ada", HOUR, now)
    PruneRequest.objects.update(taken=now, updated=now, deleted=7)

    done = answer(now + 3 * MINUTE)

    assert done is not None
    assert done.deleted == 8


def test_a_bridge_that_stops_leaves_the_request_to_the_next(now: datetime):
    append([record("old", at=now - 2 * HOUR)])
    requests.ask("ada", HOUR, now)

    assert requests.answer(now, patience=timedelta(0), stop=lambda: True) is None
    assert answer(now) is not None


def test_a_request_under_a_policy_that_cannot_be_read_deletes_nothing_and_says_why(now: datetime):
    append([record("old", at=now - 2 * HOUR)])
    RetentionPolicy.objects.create(name="broken", query="a:(", age=HOUR)
    requests.ask("ada", HOUR, now)

    done = answer(now)

    assert done is not None
    assert "'broken' cannot be read" in done.error
    assert Log.objects.count() == 1


def test_requests_long_done_are_forgotten(now: datetime):
    for _ in range(requests.KEPT + 5):
        requests.ask("ada", HOUR, now)
        answer(now)

    assert PruneRequest.objects.count() == requests.KEPT
