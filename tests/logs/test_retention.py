from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.db.models import Sum

from logs import sizes, tail
from logs.models import Log, LogCount, ReaderPosition, StoreState
from logs.policies import Plan, Rule
from logs.query import parse
from logs.retention import Pruner, dry_run, prune, prune_read
from logs.search import histogram, page
from logs.store import append
from logs.tail import newest
from tests.logs.records import record

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def test_rows_received_before_the_moment_go_with_their_counts_and_all_others_stay(now: datetime):
    append([record(f"{age} h", at=now - age * HOUR) for age in (3, 2, 1, 0)])

    assert prune(Plan.of(HOUR), now, chunk=1, pause=0).rows == 2

    assert list(Log.objects.order_by("id").values_list("message", flat=True)) == ["1 h", "0 h"]
    assert LogCount.objects.aggregate(n=Sum("count"))["n"] == 2


def test_age_is_by_receipt_so_that_late_rows_are_kept_as_long_as_others(now: datetime):
    append([record("late", at=now)._replace(created=now - 100 * HOUR)])

    assert prune(Plan.of(HOUR), now, pause=0).rows == 0


def test_pruning_in_small_chunks_deletes_all_that_is_due(now: datetime):
    append([record(at=now - 2 * HOUR) for _ in range(25)])

    assert prune(Plan.of(HOUR), now, chunk=10, pause=0).rows == 25
    assert not Log.objects.exists()


def test_pruning_stops_when_asked(now: datetime):
    append([record(at=now - 2 * HOUR) for _ in range(25)])
    asked = iter([False, True])

    assert prune(Plan.of(HOUR), now, chunk=10, pause=0, stop=lambda: next(asked, True)).rows == 10


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

    assert prune(Plan.of(HOUR), now, patience=10 * HOUR, pause=0).rows == 2
    assert kept() == ["2", "3"]
    assert set(ReaderPosition.objects.values_list("cut", flat=True)) == {0}


@pytest.mark.django_db(transaction=True)
def test_a_reader_that_is_too_slow_is_not_waited_for_and_what_it_missed_is_counted(now: datetime):
    append([record("old", at=now - 9 * HOUR), *(record(str(n), at=now - 9 * HOUR) for n in range(3))])
    append([record("young", at=now - 5 * HOUR)])
    reads_up_to("slow", "old")
    reads_up_to("quick", "young")

    assert prune(Plan.of(HOUR), now, patience=6 * HOUR, chunk=2, pause=0).rows == 4
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

    assert prune(Plan.of(HOUR), now, chunk=3, pause=0).rows == 5
    assert Log.objects.get().message == "future"


# --- Policies --------------------------------------------------------------------------------------------------------


def rule(query: str, age: timedelta) -> Rule:
    return Rule(query, parse(query), age)


def test_the_first_policy_that_a_row_fits_decides_and_the_default_about_all_others(now: datetime):
    append(
        [
            record("debug", at=now - 2 * HOUR, levelno=10),
            record("audit debug", at=now - 2 * HOUR, levelno=10),
            record("old audit", at=now - 9 * HOUR),
            record("old", at=now - 9 * HOUR),
            record("young", at=now),
        ]
    )
    plan = Plan.of(5 * HOUR, rule("audit", 100 * HOUR), rule("level:DEBUG", HOUR))

    tally = prune(plan, now, pause=0)

    assert kept() == ["audit debug", "old audit", "young"]
    assert tally.by_rule == {1: 1, 2: 1}


@pytest.mark.parametrize("query", ["message:/^pay+ment [0-9]+$/", "extra.kind:x", "NOT /a/ AND system:shop"])
def test_a_policy_that_sql_alone_cannot_decide_is_exact_all_the_same(now: datetime, query: str):
    old = now - 3 * HOUR
    append(
        [
            record("payyment 7", at=old, extra='{"kind": "y"}'),
            record("payment x", at=old, extra='{"kind": "x"}'),
            record("bbb", at=old, extra='{"kind": "xx"}'),
            record("paYment 8", at=old, system_id="till"),
        ]
    )
    wanted = parse(query).to_predicate()
    fitting = {row["message"] for row in tail_rows() if wanted(row)}
    assert 0 < len(fitting) < 4

    prune(Plan.of(100 * HOUR, rule(query, HOUR)), now, chunk=3, pause=0)

    assert set(kept()) == {"payyment 7", "payment x", "bbb", "paYment 8"} - fitting


def tail_rows() -> list[tail.Row]:
    rows = Log.objects.order_by("id").values(*tail.NAMES)
    return [dict(row) for row in rows]


def test_a_dry_run_tells_exactly_what_then_happens_and_deletes_nothing(now: datetime):
    levels = (10, 20, 30, 40)
    append(
        [
            record(f"{n} paid {n % 7}", at=now - n * HOUR, levelno=levels[n % 4], system_id=("a", "b")[n % 3 == 0])
            for n in range(200, -1, -1)
        ]
    )
    plan = Plan.of(
        100 * HOUR, rule("system:b level:>=ERROR", 150 * HOUR), rule("/d [13]$/", 20 * HOUR), rule("level:DEBUG", HOUR)
    )

    told = dry_run(plan, now, chunk=17)
    untouched = Log.objects.count()
    done = prune(plan, now, chunk=17, pause=0)

    assert untouched == 201
    assert (told.by_rule, told.days, told.complete) == (done.by_rule, done.days, True)
    assert Log.objects.count() == 201 - told.rows


def test_a_dry_run_that_is_ended_early_says_so(now: datetime):
    append([record(at=now - 2 * HOUR) for _ in range(50)])

    assert not dry_run(Plan.of(HOUR), now, within=timedelta(seconds=-1)).complete


def test_each_look_finds_what_has_come_of_age_since_the_last_one(now: datetime):
    append([record(f"{n}{'d' if n % 2 else ''}", at=now - n * HOUR) for n in range(20, 0, -1)])
    plan = Plan.of(15 * HOUR, rule("d", 5 * HOUR))
    pruner = Pruner(chunk=3, pause=0)
    for hours in range(0, 12):
        moment = now + hours * HOUR
        pruner.prune(plan, moment)
        left = [n for n in range(20, 0, -1) if n + hours <= (5 if n % 2 else 15)]
        assert kept() == [f"{n}{'d' if n % 2 else ''}" for n in left]


def test_rows_that_were_looked_at_once_are_not_read_again_at_every_look(now: datetime, django_assert_max_num_queries):
    append([record("keep", at=now - 50 * HOUR) for _ in range(300)])
    plan = Plan.of(HOUR, rule("keep", 1000 * HOUR), rule("other", 10 * HOUR))
    pruner = Pruner(chunk=10, pause=0)
    pruner.prune(plan, now)

    with django_assert_max_num_queries(25):
        pruner.prune(plan, now + HOUR)
    assert Log.objects.count() == 300


def test_minute_counts_are_kept_for_the_default_age_whatever_policies_keep(now: datetime):
    append([record("keep", at=now - 50 * HOUR), record("young", at=now)])

    prune(Plan.of(HOUR, rule("keep", 1000 * HOUR)), now, pause=0)

    assert kept() == ["keep", "young"]
    assert LogCount.objects.get().minute == now


def test_a_changed_policy_is_applied_to_rows_that_were_looked_at_before(now: datetime):
    append([record("keep", at=now - 50 * HOUR)])
    pruner = Pruner(pause=0)
    pruner.prune(Plan.of(HOUR, rule("keep", 1000 * HOUR)), now)

    assert pruner.prune(Plan.of(HOUR, rule("keep", 2 * HOUR)), now).rows == 1


@pytest.mark.django_db(transaction=True)
def test_what_waits_for_a_reader_goes_once_it_has_been_read(now: datetime):
    append([record(str(n), at=now - 5 * HOUR) for n in range(10)])
    reads_up_to("slow", "2")
    pruner = Pruner(patience=100 * HOUR, chunk=2, pause=0)
    plan = Plan.of(HOUR)

    assert pruner.prune(plan, now).rows == 3
    reads_up_to("slow", "9")
    assert pruner.prune(plan, now).rows == 7


@pytest.mark.django_db(transaction=True)
def test_the_text_index_is_kept_in_step(now: datetime):
    append([record("needle old", at=now - 5 * HOUR), record("needle young", at=now)])

    prune(Plan.of(HOUR), now, pause=0)

    assert [row["message"] for row in page(AnonymousUser(), parse("needle")).rows] == ["needle young"]
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO logs_log_text (logs_log_text, rank) VALUES ('integrity-check', 1)")


# --- Size ------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL drops whole days: tests/logs/test_partitions.py")
@pytest.mark.django_db(transaction=True)
def test_the_oldest_rows_go_until_the_log_fits_its_size_whatever_policies_say(now: datetime, settings):
    append([record(f"{n} " + "x" * 2_000, at=now) for n in range(3_000)])
    tail.save_position("slow", tail.Position.START)
    settings.SIZE_MAX_GB = sizes.used() / sizes.GB * 0.7
    allowed = sizes.limit()
    assert allowed is not None

    tally = prune(Plan.of(1000 * HOUR, rule("x", 2000 * HOUR)), now, patience=1000 * HOUR, chunk=100, pause=0)

    assert sizes.used() <= allowed.bytes
    numbers = [int(message.split()[0]) for message in kept()]
    assert numbers == list(range(tally.over, 3_000))
    assert 600 < tally.over < 1_500
    assert ReaderPosition.objects.get().cut == tally.over
    assert StoreState.objects.get().pruned_to == now


def test_a_log_within_its_size_loses_nothing(now: datetime, settings):
    append([record(at=now)])
    settings.SIZE_MAX_GB = 10

    assert prune(Plan.of(HOUR), now, pause=0).rows == 0


@pytest.mark.parametrize(("used", "limit", "share"), [(100, 100, 0.0), (100, 80, 0.3), (100, 0, 1.0), (50, 100, 0.0)])
def test_no_look_deletes_much_more_than_its_share(used: int, limit: int, share: float):
    assert sizes.share_to_go(used, limit) == pytest.approx(share)


# --- What minute counts can be asked about ------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_it_is_remembered_up_to_when_something_was_deleted(now: datetime):
    append([record(str(n), at=now - n * HOUR) for n in (3, 2, 1)])
    prune(Plan.of(2 * HOUR), now, pause=0)
    assert StoreState.objects.get().pruned_to == now - 2 * HOUR

    prune(Plan.of(5 * HOUR), now, pause=0)
    assert StoreState.objects.get().pruned_to == now - 2 * HOUR

    prune_read(newest(), pause=0)
    assert StoreState.objects.get().pruned_to == now - HOUR
    assert not Log.objects.exists()


def test_a_policy_that_lets_young_rows_go_is_remembered_and_so_are_clocks_that_are_ahead(now: datetime):
    append([record("short", at=now - 2 * HOUR)])
    plan = Plan.of(100 * HOUR, rule("short", HOUR))

    prune(plan, now, pause=0)
    assert StoreState.objects.get().pruned_to == now - 2 * HOUR

    append([record("short", at=now - 2 * HOUR)._replace(created=now - HOUR / 2)])
    prune(plan, now, pause=0)
    assert StoreState.objects.get().pruned_to == now - HOUR / 2
    assert histogram(AnonymousUser(), parse(""), since=now - HOUR, until=now).kind == "rows"

    append([record("short", at=now - 2 * HOUR)._replace(created=now + 10_000 * HOUR)])
    prune(plan, now, pause=0)
    assert StoreState.objects.get().pruned_to == now + 22 * HOUR


def test_a_dry_run_leaves_the_counts_as_good_as_they_were(now: datetime):
    append([record("old", at=now - 2 * HOUR)])

    assert dry_run(Plan.of(HOUR), now).rows == 1
    assert not StoreState.objects.exclude(pruned_to=None).exists()


@pytest.mark.django_db(transaction=True)
def test_what_waits_for_nobody_yet_moves_nothing(now: datetime):
    append([record("unread", at=now)])

    assert prune_read(tail.Position.START, pause=0) == 0
    assert not StoreState.objects.exclude(pruned_to=None).exists()
