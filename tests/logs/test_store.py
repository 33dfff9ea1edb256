from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest
from django.db import DatabaseError, connection, connections
from django.db.models import Sum

from logs import store
from logs.models import HeartBeat, Log, LogCount, SenderMark
from logs.record import Record
from logs.store import NOWHERE, OTHER, Move, append
from tests.logs.records import record

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


def test_a_record_is_stored_with_every_column(now: datetime):
    full = Record(
        *(now, now + MINUTE, "shop", "web-1", "worker", "product", "u1", "u2", "1.4.2", "2", "shop.pay", 40, "ERROR"),
        *("payment failed", "[1]", "", "Traceback", "stack", "/srv/pay.py", "pay.py", "pay", "charge", 88, 4711),
        *("MainProcess", 140713635085184, "MainThread", "Task-1", "", "", 107.5, 12.25),
        *('{"order": 42, "tags": ["a"]}', "10.0.0.7:4242", '[["near", 1]]', "cut"),
    )

    assert append([full]) == 1

    row = dict(Log.objects.values().get())
    assert isinstance(row.pop("id"), int)
    assert row == full._asdict() | {"extra": {"order": 42, "tags": ["a"]}, "origin": [["near", 1]]}


def test_moments_read_back_equal_whatever_their_fraction(now: datetime):
    moments = [now, now.replace(microsecond=1), now.replace(microsecond=999_999), now.replace(microsecond=500_000)]

    append([record(at=moment) for moment in moments])

    assert list(Log.objects.order_by("id").values_list("created", flat=True)) == moments
    assert list(Log.objects.filter(created__gt=now).order_by("created").values_list("created", flat=True)) == sorted(
        moments[1:]
    )


def test_ids_grow_in_the_order_of_the_batch():
    append([record(f"m{number}") for number in range(500)])

    assert list(Log.objects.order_by("id").values_list("message", flat=True)) == [f"m{n}" for n in range(500)]


def test_an_id_never_comes_back():
    append([record("first")])
    first = Log.objects.get().pk
    Log.objects.all().delete()

    append([record("second")])

    assert Log.objects.get().pk > first


def test_every_record_is_a_sign_of_life_of_its_system_on_its_host(now: datetime):
    append([record(at=now), record(at=now + MINUTE), record(at=now, sub_system_id="web-2"), record(system_id="")])

    beats = {(b.system_id, b.sub_system_id): b.newest_heartbeat for b in HeartBeat.objects.all()}
    assert beats == {("shop", "web-1"): now + MINUTE, ("shop", "web-2"): now}


def test_a_sign_of_life_is_by_heralds_clock_and_never_goes_back(now: datetime):
    append([record(at=now)._replace(created=now - timedelta(days=300))])
    append([record(at=now - MINUTE)])

    beat = HeartBeat.objects.get()
    assert (beat.first_heartbeat, beat.newest_heartbeat) == (now, now)


def test_minute_counts_equal_the_rows(now: datetime):
    at = now.replace(second=59, microsecond=999_999)
    append(
        [record(at=at), record(at=at), record(at=at, levelno=45), record(at=at + MINUTE), record(system_id="", at=at)]
    )
    append([record(at=at)])

    counted = LogCount.objects.values_list("minute", "system_id", "level").annotate(n=Sum("count"))
    assert set(counted) == {
        (now, "shop", 20, 3),
        (now, "shop", 40, 1),
        (now + MINUTE, "shop", 20, 1),
        (now, "", 20, 1),
    }


@pytest.mark.parametrize(
    ("levelno", "level"), [(-5, 0), (0, 0), (9, 0), (10, 10), (25, 20), (50, 50), (60, 50), (2**31 - 1, 50)]
)
def test_odd_levels_are_counted_under_the_standard_level_below(levelno: int, level: int):
    assert store.level_of(levelno) == level


def test_a_mark_moves_with_its_rows():
    append([record()], marks={"a": Move(NOWHERE, (0, 5)), "b": Move(NOWHERE, (7, 1))})
    append([record()], marks={"b": Move((7, 1), (7, 2))})
    append([], marks={"c": Move(NOWHERE, (0, 9))})

    assert store.marks_of(["a", "b", "c", "d"]) == {"a": (0, 5), "b": (7, 2), "c": (0, 9), "d": NOWHERE}
    assert Log.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_mark_that_another_writer_has_moved_stops_the_batch_and_is_told():
    append([record()], marks={"a": Move(NOWHERE, (0, 5))})

    with pytest.raises(store.MarkMoved) as caught:
        append([record()], marks={"a": Move((0, 3), (0, 8)), "b": Move(NOWHERE, (0, 1))})

    assert caught.value.marks == {"a": (0, 5), "b": NOWHERE}
    assert Log.objects.count() == 1
    assert store.mark_of("b") == NOWHERE


@pytest.mark.django_db(transaction=True)
def test_of_two_bridges_that_hold_the_same_records_one_stores_them():
    """A sender was handed from one bridge to another while the first had not stored what it held."""
    outcomes: list[str] = []
    start = threading.Barrier(4)

    def store_them() -> None:
        start.wait()
        try:
            append([record(str(n)) for n in range(50)], marks={"a": Move(NOWHERE, (0, 50))})
            outcomes.append("stored")
        except store.MarkMoved as moved:
            outcomes.append(f"at {moved.marks['a']}")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=store_them) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sorted(outcomes) == ["at (0, 50)"] * 3 + ["stored"]
    assert Log.objects.count() == 50


@pytest.mark.django_db(transaction=True)
def test_a_batch_with_marks_is_on_the_disk_before_it_is_acknowledged():
    append([record()])
    quick = durability()
    append([], marks={"a": Move(NOWHERE, (0, 1))})

    assert durability() == {"sqlite": 2, "postgresql": "on"}[connection.vendor]
    if connection.vendor == "sqlite":
        append([record()])
        assert (quick, durability()) == (1, 1)


def durability() -> object:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous" if connection.vendor == "sqlite" else "SHOW synchronous_commit")
        return cursor.fetchone()[0]


def test_a_sender_that_has_an_owner_is_nobody_else_s():
    append([], marks={"a": Move(NOWHERE, (0, 7))})
    assert store.mark_of("a", "shop") == (0, 7)
    assert store.mark_of("b", "shop") == NOWHERE
    append([], marks={"b": Move(NOWHERE, (0, 1))})

    assert store.mark_of("b", "shop") == (0, 1)
    for thief in ("billing", ""):
        with pytest.raises(store.NotTheirs):
            store.mark_of("a", thief)


def test_marks_of_senders_long_silent_are_forgotten(now: datetime):
    for number in range(5):
        append([], marks={f"s{number}": Move(NOWHERE, (0, 1))})
        SenderMark.objects.filter(sender=f"s{number}").update(updated=now + timedelta(days=number))

    assert store.forget_senders(now + timedelta(days=1), most=2) == 3
    assert set(SenderMark.objects.values_list("sender", flat=True)) == {"s3", "s4"}


@pytest.mark.django_db(transaction=True)
def test_a_batch_the_database_refuses_leaves_nothing_behind():
    poison = record(lineno="no number" if connection.vendor == "postgresql" else object())

    with pytest.raises((DatabaseError, TypeError)):
        append([record(), poison], marks={"a": Move(NOWHERE, (0, 1))})

    assert not Log.objects.exists()
    assert not HeartBeat.objects.exists()
    assert not LogCount.objects.exists()
    assert not SenderMark.objects.exists()


def test_systems_beyond_the_bound_are_booked_together(settings, now: datetime):
    settings.SYSTEMS_MAX = 3

    append([record(at=now, system_id=f"s{number}", sub_system_id="") for number in range(3)])
    append([record(at=now, system_id=name, sub_system_id="") for name in ("s0", "s8", "s9", "s9")])

    assert set(HeartBeat.objects.values_list("system_id", flat=True)) == {"s0", "s1", "s2", OTHER}
    assert dict(LogCount.objects.values_list("system_id", "count")) == {"s0": 2, "s1": 1, "s2": 1, OTHER: 3}
    assert Log.objects.filter(system_id="s9").count() == 2, "the rows themselves keep their names"


def test_the_bound_holds_for_a_writer_that_starts_later(settings):
    settings.SYSTEMS_MAX = 2
    append([record(system_id="s1"), record(system_id="s2")])
    store.forget_systems()

    append([record(system_id="s3"), record(system_id="s1")])

    assert set(HeartBeat.objects.values_list("system_id", flat=True)) == {"s1", "s2", OTHER}


def test_a_hostile_flood_of_names_keeps_the_tables_bounded(settings):
    settings.SYSTEMS_MAX = 10

    for batch in range(20):
        append([record(system_id=f"x{batch}-{number}") for number in range(50)])

    assert HeartBeat.objects.count() == 11
    assert Log.objects.count() == 1000


@pytest.mark.django_db(transaction=True)
def test_writers_at_once_neither_wait_for_one_another_for_ever_nor_lose_a_row():
    errors: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for batch in range(10):
                names = [f"s{n}" for n in range(8)]
                if number % 2:
                    names.reverse()
                move = Move((0, batch), (0, batch + 1))
                append(
                    [record(f"{number}.{batch}", system_id=name) for name in names],
                    marks={f"{name} of {number}": move for name in names},
                )
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert errors == []
    assert Log.objects.count() == 320
    assert LogCount.objects.aggregate(n=Sum("count"))["n"] == 320


def find(text: str) -> set[int]:
    """Return the ids of rows whose text holds `text`, by the substring index alone."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            tokens = " AND ".join(f'"{text[i : i + 3]}"' for i in range(len(text) - 2))
            cursor.execute("SELECT rowid FROM logs_log_text WHERE logs_log_text MATCH %s", [tokens])
        else:
            cursor.execute("SET enable_seqscan = off")
            cursor.execute(
                "SELECT id FROM logs_log WHERE message ILIKE %s OR exc_text ILIKE %s", [f"%{text}%", f"%{text}%"]
            )
        return {row[0] for row in cursor.fetchall()}


def test_the_substring_index_is_kept_in_step_with_inserts_and_deletes():
    append([record("payment declined"), record("ok", exc_text="ConnectionRefusedError: payment"), record("other")])
    ids = dict(Log.objects.values_list("message", "id"))

    assert find("payment") == {ids["payment declined"], ids["ok"]}

    Log.objects.filter(message="ok").delete()

    assert find("payment") == {ids["payment declined"]}
    assert find("refused") == set()
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO logs_log_text (logs_log_text, rank) VALUES ('integrity-check', 1)")


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="partitions are PostgreSQL's")
def test_log_is_partitioned_by_the_day_of_receipt_with_a_default_partition(now: datetime):
    day = now.replace(hour=0)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE logs_log_one PARTITION OF logs_log FOR VALUES FROM (%s) TO (%s)",
            [day, day + timedelta(days=1)],
        )
        try:
            append([record(at=now), record(at=now + timedelta(days=2))])
            cursor.execute("SELECT tableoid::regclass::text, count(*) FROM logs_log GROUP BY 1 ORDER BY 1")
            assert cursor.fetchall() == [("logs_log_default", 1), ("logs_log_one", 1)]
        finally:
            cursor.execute("DROP TABLE logs_log_one")


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="a server knows its disk itself")
def test_room_is_that_of_the_databases_disk(settings):
    found = store.room()

    assert found is not None
    assert 0 < found.free_percent < 100
    settings.DISK_FREE_MIN_PERCENT = 100.0
    assert store.is_full()
    settings.DISK_FREE_MIN_PERCENT = 0.0
    assert not store.is_full()
