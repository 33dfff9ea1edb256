from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count as numbers

import pytest
from django.contrib.auth.models import AnonymousUser

from logs.models import HeartBeat, Log, LogCount
from logs.policies import Plan
from logs.query import parse
from logs.retention import prune
from logs.search import Histogram, histogram, histograms
from logs.store import OTHER, append
from tests.logs.records import record

pytestmark = pytest.mark.django_db
ANYBODY = AnonymousUser()
MINUTE = timedelta(minutes=1)


@pytest.fixture
def hour(now: datetime) -> datetime:
    """60 rows, one a minute: every third an error, every second of the system till."""
    append(
        [
            record(
                f"row {minute}",
                at=now + minute * MINUTE,
                levelno=40 if minute % 3 == 0 else 25,
                system_id="till" if minute % 2 else "shop",
            )
            for minute in range(60)
        ]
    )
    return now


def asked(text: str, since: datetime, minutes: int = 60, buckets: int = 6) -> Histogram:
    return histogram(ANYBODY, parse(text, now=since), since, since + minutes * MINUTE, buckets)


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("", {20: [6, 7, 7, 6, 7, 7], 40: [4, 3, 3, 4, 3, 3]}),
        ("level:>=ERROR", {40: [4, 3, 3, 4, 3, 3]}),
        ("level:>=CRITICAL", {}),
        ("system:TILL", {20: [3, 4, 3, 3, 4, 3], 40: [2, 1, 2, 2, 1, 2]}),
        ("system:(till OR shop) level:>=40", {40: [4, 3, 3, 4, 3, 3]}),
        ("system:nobody", {}),
        ("time:<now+5m time:>=now", {20: [3], 40: [2]}),
    ],
)
def test_minute_counts_say_all_of_simple_queries(hour: datetime, text: str, levels: dict[int, list[int]]):
    Log.objects.all().delete()  # what is counted is not looked at

    found = asked(text, hour, buckets=6 if "now" not in text else 1)

    assert (found.kind, found.rows, found.is_complete) == ("counts", 0, True)
    assert found.levels == levels
    assert len(found.moments) == found.buckets
    assert (found.start, found.width * 6) == (hour, timedelta(hours=1)) or "now" in text


@pytest.mark.parametrize(
    "text",
    [
        "row",
        "level:>25",
        "level:25",
        "level:<=ERROR",
        "host:web-1",
        "system:shop OR host:web-1",
        "NOT system:x",
        "time:>now",
    ],
)
def test_what_minute_counts_do_not_know_is_looked_at(hour: datetime, text: str):
    wanted = filter(parse(text, now=hour).to_predicate(), Log.objects.values())
    found = asked(text, hour)

    assert found.kind == "rows"
    assert found.total == found.rows == len(list(wanted)) > 0


@pytest.mark.parametrize("text", ["", "level:>=ERROR", "system:shop"])
@pytest.mark.parametrize("buckets", [1, 6, 60])
def test_counts_and_rows_say_the_same(hour: datetime, text: str, buckets: int):
    counted = asked(text, hour, buckets=buckets)
    looked_at = asked(f"{text} message:row", hour, buckets=buckets)

    assert (counted.kind, looked_at.kind) == ("counts", "rows")
    assert (counted.start, counted.width, counted.levels) == (looked_at.start, looked_at.width, looked_at.levels)


@pytest.mark.parametrize(
    ("minutes", "buckets", "width"), [(60, 60, 1), (61, 60, 2), (90, 60, 2), (24 * 60, 60, 30), (30 * 1_440, 60, 1_440)]
)
def test_buckets_have_a_width_people_know_and_begin_on_multiples_of_it(
    hour: datetime, minutes: int, buckets: int, width: int
):
    found = asked("", hour + 7 * MINUTE, minutes, buckets)

    assert found.width == width * MINUTE
    assert (found.start - histograms.EPOCH) % found.width == timedelta(0)
    assert found.start <= hour + 7 * MINUTE
    assert len(found.moments) <= buckets
    assert found.moments[-1] + found.width >= hour + (7 + minutes) * MINUTE


def test_without_a_beginning_it_begins_with_the_oldest_row(hour: datetime):
    assert histogram(ANYBODY, parse(""), until=hour + 60 * MINUTE).start == hour
    assert histogram(ANYBODY, parse("row"), until=hour + 60 * MINUTE).total == 60
    assert len(histogram(ANYBODY, parse(""), until=hour + timedelta(days=40_000)).moments) <= 60


def test_an_empty_log_has_an_empty_histogram(now: datetime):
    found = histogram(ANYBODY, parse("row"), until=now)

    assert (found.total, found.moments, found.is_complete) == (0, [now - MINUTE], True)


def test_where_rows_were_pruned_the_counts_are_not_asked(hour: datetime):
    prune(Plan.of(timedelta(0)), hour + 30 * MINUTE, pause=0)

    assert asked("", hour).kind == "rows"
    assert asked("", hour).total == 30
    assert asked("", hour + 30 * MINUTE, 30).kind == "counts"
    assert histogram(ANYBODY, parse(""), until=hour + 60 * MINUTE).kind == "counts"


def test_where_systems_share_a_place_the_counts_are_not_asked_for_one(hour: datetime):
    HeartBeat.objects.create(system_id=OTHER, sub_system_id=OTHER, first_heartbeat=hour, newest_heartbeat=hour)

    assert asked("system:shop", hour).kind == "rows"
    assert asked("", hour).kind == "counts"


def test_many_rows_are_estimated_from_some_of_every_time(now: datetime, monkeypatch: pytest.MonkeyPatch):
    append([record("row", at=now + number * MINUTE / 100, levelno=40 if number % 4 else 20) for number in range(6_000)])
    monkeypatch.setattr(histograms, "ROWS_MAX", 500)
    monkeypatch.setattr(histograms, "WINDOW", 20)

    found = asked("row", now)

    assert (found.kind, found.is_complete) == ("sample", True)
    assert 0 < found.rows <= histograms.STRATA * 20
    assert found.total == pytest.approx(6_000, rel=0.05)
    for level, number in ((20, 250), (40, 750)):
        assert found.levels[level] == pytest.approx([number] * 6, rel=0.25)


def test_an_estimate_out_of_time_says_so(now: datetime, monkeypatch: pytest.MonkeyPatch):
    append([record("row", at=now + number * MINUTE / 100) for number in range(6_000)])
    monkeypatch.setattr(histograms, "ROWS_MAX", 500)
    seconds = numbers()
    found = histogram(
        ANYBODY, parse("/r/"), now, now + 60 * MINUTE, 6, within=timedelta(0), clock=lambda: float(next(seconds))
    )

    assert (found.kind, found.is_complete) == ("sample", False)
    assert found.levels[20][0] == 0 < found.levels[20][-1]
    assert LogCount.objects.exists()
