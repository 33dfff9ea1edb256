"""The table of patterns: each row counts once, decisions hold, what comes back is seen, and the table stays small."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from django.db import DataError, IntegrityError, connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from logs import tail
from logs.models import Log, Pattern, PatternTable, ReaderPosition
from logs.patterns import decisions
from logs.patterns.keeping import PatternReader, make_room
from logs.patterns.shapes import pattern_of
from logs.patterns.state import HOURS, SAMPLES, VERSIONS, Fold, begin, hour_of
from logs.policies import Plan
from logs.readers import read_on, readers, standing
from logs.retention import prune
from logs.store import append
from tests.logs.records import record

# A row can be read when its transaction has ended.
pytestmark = pytest.mark.django_db(transaction=True)

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def error(message: str, /, **fields: Any) -> Any:
    given: dict[str, Any] = {"levelno": 40, "levelname": "ERROR"}
    return record(message, **given | fields)


def read_all(limit: int = 100) -> int:
    reader, rows = PatternReader(), 0
    while found := read_on(reader, limit):
        rows += found
    return rows


def facts() -> list[dict[str, Any]]:
    """Everything of every pattern but its number."""
    return sorted(Pattern.objects.values(*(f.name for f in Pattern._meta.fields if f.name != "id")), key=str)


def test_rows_of_one_shape_and_system_are_one_pattern(now: datetime):
    append([error(f"payment {n} failed", at=now + n * MINUTE, package_version="1.4") for n in range(3)])
    append([error("payment 7 failed", at=now + HOUR, system_id="other"), record("payment 8 failed", at=now)])

    assert read_all() == 5

    shop = Pattern.objects.get(system_id="shop")
    assert (shop.template, shop.count, shop.levelno) == ("payment <num> failed", 3, 40)
    assert (shop.first_seen, shop.last_seen) == (now, now + 2 * MINUTE)
    assert [each["text"] for each in shop.samples] == ["payment 0 failed", "payment 1 failed", "payment 2 failed"]
    assert (shop.first_version, shop.newest_version) == ("1.4", "1.4")
    assert Pattern.objects.count() == 2


def test_herald_s_own_rows_count_too(now: datetime):
    append([error("the database is away", at=now, system_id="herald.bridge")])
    read_all()

    assert Pattern.objects.get().system_id == "herald.bridge"


def test_a_pattern_outlives_its_rows(now: datetime):
    append([error("payment 1 failed", at=now)])
    read_all()
    prune(Plan.of(timedelta(0)), now + HOUR, pause=0)

    assert not Log.objects.exists()
    assert Pattern.objects.get().samples[0]["text"] == "payment 1 failed"


def test_what_was_read_is_not_read_again_and_what_a_failed_batch_made_does_not_count(now: datetime):
    class Failing(PatternReader):
        def store(self, prepared: Any) -> None:
            super().store(prepared)
            raise IntegrityError("pulled out")

    append([error("payment 1 failed", at=now)])
    with pytest.raises(IntegrityError):
        read_on(Failing())
    assert not Pattern.objects.exists()

    assert (read_on(PatternReader()), read_on(PatternReader())) == (1, 0)
    assert Pattern.objects.get().count == 1


def test_a_row_of_which_something_unstorable_is_made_does_not_stop_the_reader(now: datetime):
    class Clumsy(PatternReader):
        def store(self, prepared: Any) -> None:
            super().store(prepared)
            if any("odd" in row["message"] for row, _ in prepared):
                raise DataError("a character that cannot be stored")

    append([error(f"{word} broke", at=now) for word in ("first", "odd", "last")])

    assert read_on(Clumsy()) == 3
    assert sorted(Pattern.objects.values_list("template", flat=True)) == ["first broke", "last broke"]


def test_a_reader_that_was_overtaken_stores_nothing(now: datetime):
    class Slow(PatternReader):
        def prepare(self, rows: Any) -> Any:
            assert read_on(PatternReader()) == 2
            return super().prepare(rows)

    append([error("payment 1 failed", at=now), error("payment 2 failed", at=now)])

    assert read_on(Slow()) == 0
    assert Pattern.objects.get().count == 2


def stream(seed: int, now: datetime) -> list[Any]:
    random = Random(seed)
    return [
        error(
            f"{random.choice(('payment', 'order', 'card'))} {n} failed",
            at=now + timedelta(seconds=random.randrange(-50, 50) + 400 * n),
            system_id=random.choice(("shop", "billing")),
            package_version=random.choice(("", "undef", *(f"1.{v}" for v in range(30)))),
            levelno=random.choice((20, 30, 40, 50)),
        )
        for n in range(200)
    ]


def test_it_does_not_matter_where_batches_end(now: datetime):
    append(stream(1, now))
    outcomes = []
    for limit in (1, 7, 1_000):
        Pattern.objects.all().delete()
        ReaderPosition.objects.all().delete()
        assert read_all(limit) == 200
        outcomes.append(facts())

    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert len(outcomes[0]) == 6
    assert sum(each["count"] for each in outcomes[0]) == Log.objects.filter(levelno__gte=30).count()


def test_several_that_read_at_once_count_each_row_once(now: datetime):
    for batch in range(20):
        append([error(f"payment {n} failed", at=now + batch * MINUTE) for n in range(20)])
    failures: list[Exception] = []

    def work() -> None:
        reader, idle = PatternReader(), 0
        try:
            while idle < 20:
                idle = 0 if read_on(reader, 7) else idle + 1
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert Pattern.objects.get().count == 400
    assert sum(each["count"] for each in Pattern.objects.get().versions) == 400


def test_deciding_and_counting_at_the_same_time_lose_nothing(now: datetime):
    append([error("payment 0 failed", at=now)])
    read_all()
    number = Pattern.objects.get().pk
    failures: list[Exception] = []

    def decide() -> None:
        try:
            for _ in range(30):
                decisions.ignore(number, by="anna", now=now + HOUR)
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=decide)
    thread.start()
    for n in range(30):
        append([error(f"payment {n} failed", at=now)])
        read_all()
    thread.join()
    read_all()

    assert failures == []
    assert (Pattern.objects.get().count, Pattern.objects.get().state) == (31, "ignored")


# --- Decisions ------------------------------------------------------------------------------------------------------


def resolved(now: datetime, version: str = "") -> int:
    append([error("payment 1 failed", at=now, package_version="1.4")])
    read_all()
    number = Pattern.objects.get(system_id="shop").pk
    assert decisions.resolve(number, by="anna", now=now + HOUR, version=version)
    return number


def come_back(now: datetime, version: str) -> Pattern:
    append([error("payment 9 failed", at=now, package_version=version)])
    read_all()
    return Pattern.objects.get(system_id="shop")


def test_a_decision_is_kept_with_who_and_when_and_said_in_the_log(now: datetime):
    resolved(now, "1.5")

    found = Pattern.objects.get()
    assert (found.state, found.decided_by, found.decided_at, found.resolved_in) == (
        "resolved",
        "anna",
        now + HOUR,
        "1.5",
    )
    said = Log.objects.get(system_id="herald.patterns")
    assert said.message == "an error of shop was resolved in version 1.5 by anna: payment <num> failed"
    assert said.levelno < 30


@pytest.mark.parametrize("version", ["1.5", "1.10", "2.0rc1", "", "main"])
def test_one_that_comes_back_in_the_same_version_or_a_newer_one_has_regressed(now: datetime, version: str):
    resolved(now, "1.5")
    found = come_back(now + 2 * HOUR, version)

    assert (found.state, found.regressed, found.regressed_in) == ("open", True, version)
    assert found.regressed_at == now + 2 * HOUR
    assert (found.decided_by, found.resolved_in) == ("anna", "1.5")
    assert Log.objects.filter(system_id="herald.patterns", message__contains="has come back").count() == 1


@pytest.mark.parametrize("version", ["1.4", "1.5rc1", "0.9"])
def test_an_older_version_goes_on_failing_without_having_regressed(now: datetime, version: str):
    resolved(now, "1.5")
    found = come_back(now + 2 * HOUR, version)

    assert (found.state, found.regressed, found.count) == ("resolved", False, 2)


def test_without_a_version_anything_that_comes_later_has_regressed(now: datetime):
    resolved(now)
    assert come_back(now + 2 * HOUR, "0.1").regressed


def test_what_came_before_the_decision_and_is_read_after_it_has_not_regressed(now: datetime):
    resolved(now, "1.4")
    assert come_back(now + HOUR, "1.4").state == "resolved"


def test_an_ignored_one_counts_and_stays_ignored(now: datetime):
    number = resolved(now)
    assert decisions.ignore(number, by="bob", now=now + HOUR)
    found = come_back(now + 2 * HOUR, "9.0")

    assert (found.state, found.regressed, found.count) == ("ignored", False, 2)


def test_one_that_regressed_can_be_resolved_again_or_reopened(now: datetime):
    number = resolved(now)
    come_back(now + 2 * HOUR, "1.4")
    assert decisions.resolve(number, by="bob", now=now + 3 * HOUR)
    assert (Pattern.objects.get(pk=number).state, Pattern.objects.get(pk=number).regressed) == ("resolved", False)
    assert decisions.reopen(number, by="bob", now=now + 4 * HOUR)
    assert (Pattern.objects.get(pk=number).state, Pattern.objects.get(pk=number).regressed) == ("open", False)


def test_there_is_nothing_to_decide_about_a_pattern_that_is_gone(now: datetime):
    assert not decisions.resolve(77, by="anna", now=now)
    assert not Log.objects.exists()


# --- Bounds ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 60)), min_size=1, max_size=300))
@settings(max_examples=30)
def test_what_is_kept_of_a_pattern_is_bounded(steps: list[tuple[int, int]]):
    now = datetime.fromisoformat("2026-11-22T12:00:00+00:00")
    row = error("x" * 5_000, exc_text="y\n" * 9_000, at=now)._asdict() | {"id": 1}
    fold = Fold(begin(pattern_of("x"), row))
    for hour, version in steps:
        fold.take(row | {"received": now + hour * HOUR, "package_version": f"1.{version}"})
    pattern = fold.finish()

    assert pattern.count == len(steps)
    assert len(pattern.versions) <= VERSIONS
    assert pattern.versions[0]["version"] == f"1.{steps[0][1]}"
    assert len(pattern.hours) <= HOURS
    assert pattern.hours[-1][0] == hour_of(now) + max(hour for hour, _ in steps)
    assert len(pattern.samples) <= SAMPLES
    assert all(len(str(each)) < 8_000 for each in pattern.samples)


def test_the_oldest_settled_patterns_make_room_first_and_are_counted(now: datetime):
    append([error(f"{word} broke", at=now + n * MINUTE, system_id=word) for n, word in enumerate("abcdef")])
    read_all()
    decisions.ignore(Pattern.objects.get(system_id="e").pk, by="anna", now=now)

    assert make_room([], 4, now) == 2
    assert sorted(Pattern.objects.values_list("system_id", flat=True)) == ["b", "c", "d", "f"]
    assert make_room([], 4, now) == 0
    assert PatternTable.objects.get().dropped == 2


def test_one_system_does_not_push_out_the_others(now: datetime, settings):
    settings.PATTERNS_MAX = 100
    words = ["".join(chr(97 + (n // 26**k) % 26) for k in range(3)) for n in range(150)]
    append([error("the one that matters", at=now - HOUR, system_id="quiet")])
    append([error(f"{word} broke", at=now) for word in words])
    read_all()

    assert Pattern.objects.filter(system_id="shop").count() == 10
    assert Pattern.objects.filter(system_id="quiet").exists()
    assert PatternTable.objects.get().dropped == 140


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"state": "odd"}, "logs_pattern_state_is_known"),
        ({"count": 0}, "logs_pattern_was_seen"),
        ({"state": "resolved", "decided_at": None}, "logs_pattern_was_decided"),
        (
            {"state": "ignored", "decided_at": "2026-11-22T12:00:00Z", "regressed": True},
            "logs_pattern_regressed_is_open",
        ),
    ],
)
def test_the_database_refuses_what_makes_no_sense(now: datetime, changes: dict[str, Any], name: str):
    append([error("payment 1 failed", at=now)])
    read_all()

    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        Pattern.objects.update(**changes)


# --- The reader -----------------------------------------------------------------------------------------------------


def test_how_far_the_reader_is_behind_is_known(now: datetime):
    assert standing("patterns", now).waiting == 0
    append([error("payment 1 failed", at=now), error("payment 2 failed", at=now)])
    behind = standing("patterns", now + MINUTE)
    assert (behind.waiting, behind.lag, behind.read_at) == (2, MINUTE, None)

    read_on(PatternReader(), 1)
    assert standing("patterns", now + MINUTE).waiting == 1
    read_all()
    assert standing("patterns", now + MINUTE).waiting == 0
    assert standing("patterns", now).read_at is not None


def test_the_reader_is_registered_as_a_plugin_would_be():
    assert readers.get("patterns") is PatternReader
    assert tail.load_position("patterns") == tail.Position.START
