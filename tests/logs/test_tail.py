from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TypeVar

import psycopg
import pytest
from django.db import connection, connections, transaction

from logs import store, tail
from logs.models import Log, ReaderPosition, StoreState
from logs.store import append
from logs.tail import Position, read_after
from tests import with_postgresql
from tests.logs.records import record

Test = TypeVar("Test", bound=Callable[..., None])

database = pytest.mark.django_db(transaction=True)


def postgresql(test: Test) -> Test:
    """Mark what happens only where rows become visible in another order than their ids."""
    reason = "SQLite has one writer at a time"
    database(pytest.mark.skipif("connection.vendor != 'postgresql'", reason=reason)(test))
    return test


def messages_after(position: Position, limit: int = 1000) -> list[str]:
    return [row["message"] for row in read_after(position, limit).rows]


@database
def test_rows_come_in_the_order_they_were_stored_and_once():
    append([record(f"m{number}") for number in range(25)])
    position, seen = Position.START, []

    while (batch := read_after(position, 10)).rows:
        seen += [row["message"] for row in batch.rows]
        position = batch.position

    assert seen == [f"m{number}" for number in range(25)]
    assert read_after(position, 10) == tail.Batch([], position, [])


@database
def test_a_row_maps_columns_to_values(now: datetime):
    append([record("hi", at=now, extra='{"a": [1]}', origin='[["near"]]', thread=2**62, msecs=0.5)])

    (row,) = read_after(Position.START, 1).rows

    assert set(row) == {field.column for field in Log._meta.fields}
    assert (row["created"], row["received"]) == (now, now)
    assert (row["extra"], row["origin"]) == ({"a": [1]}, [["near"]])
    assert (row["thread"], row["msecs"], row["lineno"]) == (2**62, 0.5, None)


@database
def test_newest_is_after_all_that_is_there_and_before_all_that_comes():
    assert messages_after(tail.newest()) == []
    append([record("old")])

    position = tail.newest()
    append([record("new")])

    assert messages_after(position) == ["new"]
    assert position < tail.newest()


@database
def test_a_position_survives_deletion_of_all_rows():
    append([record("old")])
    position = read_after(Position.START, 10).position
    Log.objects.all().delete()

    append([record("new")])

    assert messages_after(position) == ["new"]


@database
def test_a_position_is_kept_by_name():
    assert tail.load_position("reader") == Position.START

    tail.save_position("reader", Position(7, 3))
    tail.save_position("reader", Position(8, 1))

    assert tail.load_position("reader") == Position(8, 1)
    assert ReaderPosition.objects.count() == 1


@pytest.mark.parametrize("position", [Position.START, Position(0, 5), Position(2**62, 2**63 - 1)])
def test_a_position_is_what_its_text_says(position: Position):
    assert Position.parse(str(position)) == position


@pytest.mark.parametrize(
    "text", ["", "5", "1.2.3", "-1.2", "a.b", "1.", ".1", "\u0661.\u0662", f"1.{2**63}", "1" * 50 + ".1"]
)
def test_text_that_is_no_position_is_refused(text: str):
    with pytest.raises(ValueError, match="not a position"):
        Position.parse(text)


# --- PostgreSQL: rows become visible in another order than their ids ---------------------------------------


@contextmanager
def other_connection() -> Iterator[psycopg.Connection]:
    """Another client of the test database, who can hold a transaction open."""
    parameters = connection.get_connection_params()
    with psycopg.connect(
        host=parameters["host"], port=parameters["port"], user=parameters["user"], dbname=parameters["dbname"]
    ) as other:
        yield other


@postgresql
def test_a_reader_waits_for_an_earlier_transaction_that_is_still_open():
    with other_connection() as other:
        other.execute("SELECT pg_current_xact_id()")
        append([record("later")])

        assert messages_after(Position.START) == []

        other.commit()
    assert messages_after(Position.START) == ["later"]


@postgresql
def test_an_open_transaction_that_only_reads_holds_nobody_back():
    with other_connection() as other:
        other.execute("SELECT count(*) FROM logs_log")
        append([record("now")])

        assert messages_after(Position.START) == ["now"]


@postgresql
def test_who_holds_readers_back_is_named_with_pid_and_age():
    with other_connection() as other:
        other.execute("SELECT pg_current_xact_id()")
        time.sleep(0.05)

        (holder,) = tail.holders(older_than=timedelta(0))

        assert holder.pid == other.info.backend_pid
        assert holder.age is not None
        assert holder.age >= timedelta(seconds=0.05)
        assert holder.since is not None
        assert holder.database == connection.settings_dict["NAME"]
        assert tail.holders(older_than=timedelta(minutes=1)) == []
    assert tail.holders(older_than=timedelta(0)) == []


@postgresql
def test_a_holder_in_another_database_and_a_prepared_transaction_are_named():
    with other_connection() as other:
        name = other.info.dbname
        elsewhere = psycopg.connect(host="127.0.0.1", port=other.info.port, user="herald", dbname="postgres")
        with elsewhere:
            elsewhere.execute("SELECT pg_current_xact_id()")
            other.execute("SELECT pg_current_xact_id()")
            other.execute("PREPARE TRANSACTION 'forgotten'")
            try:
                found = tail.holders(older_than=timedelta(0))
            finally:
                elsewhere.rollback()
                other.autocommit = True
                other.execute("ROLLBACK PREPARED 'forgotten'")

    assert {(h.pid is None, h.database) for h in found} == {(False, "postgres"), (True, name)}


@database
def test_nobody_holds_readers_back_when_no_transaction_is_open():
    assert tail.holders(older_than=timedelta(0)) == []


def write_slowly(writer: int, batches: int, seed: int) -> None:
    """Append batches of a row each, with pauses between insert and commit as a busy disk would make."""
    pauses = random.Random(seed)
    try:
        for batch in range(batches):
            with transaction.atomic():
                append([record(f"{writer}.{batch}")])
                time.sleep(pauses.random() * 0.01)
    finally:
        connections.close_all()


@postgresql
@pytest.mark.parametrize("batches", [25, pytest.param(500, marks=pytest.mark.soak)])
def test_the_tail_misses_nothing_of_four_writers_where_reading_by_id_does(batches: int):
    writers = 4
    threads = [threading.Thread(target=write_slowly, args=(number, batches, number)) for number in range(writers)]
    for thread in threads:
        thread.start()
    position, by_tail = Position.START, []
    last, by_id = 0, set()
    running = True
    while running:
        running = any(thread.is_alive() for thread in threads)
        ids = list(Log.objects.filter(id__gt=last).order_by("id").values_list("id", flat=True))
        by_id.update(ids)
        last = max([last, *ids])
        batch = read_after(position, 1000)
        by_tail += batch.rows
        position = batch.position

    stored = set(Log.objects.values_list("message", flat=True))
    assert len(stored) == batches * writers
    assert len(by_tail) == len(stored), "no row twice"
    assert {row["message"] for row in by_tail} == stored
    assert len(by_id) < len(stored), "if this reads all, the test above shows nothing"
    for number in range(writers):
        mine = [int(row["message"].split(".")[1]) for row in by_tail if row["message"].startswith(f"{number}.")]
        assert mine == sorted(mine), "each writer's rows keep their order"


# --- PostgreSQL: a restored database counts its transactions anew ------------------------------------------


@postgresql
def test_the_offset_is_raised_when_stored_transactions_are_ahead():
    append([record("before")])
    position = read_after(Position.START, 10).position
    with connection.cursor() as cursor:  # as if this cluster had counted much further before the restore
        cursor.execute("UPDATE logs_log SET tx = tx + 1000000000")
    position = Position(position.tx + 1_000_000_000, position.id)
    connection.close()

    append([record("after")])

    assert messages_after(position) == ["after"]
    assert messages_after(Position.START) == ["before", "after"]


@postgresql
def test_a_reader_alone_sees_restored_rows_before_anybody_writes():
    append([record("before")])
    with connection.cursor() as cursor:
        cursor.execute("UPDATE logs_log SET tx = tx + 1000000000")
    connection.close()

    assert messages_after(Position.START) == ["before"]


@postgresql
def test_the_offset_passes_the_positions_of_readers_whose_rows_are_gone():
    far = Position(5_000_000_000, 12)
    tail.save_position("reader", far)
    connection.close()

    append([record("after")])

    assert messages_after(far) == ["after"]


@postgresql
def test_the_offset_stays_while_nothing_was_restored():
    for _ in range(3):
        append([record()])
        connection.close()

    assert not StoreState.objects.filter(tx_offset__gt=0).exists()


@postgresql
def test_raising_the_offset_waits_for_writers_under_the_old_one():
    append([record("before")])
    with connection.cursor() as cursor:
        cursor.execute("UPDATE logs_log SET tx = tx + 1000000000")
    raised = threading.Event()

    def settle() -> None:
        store.settle_offset()
        raised.set()
        connections.close_all()

    with other_connection() as writer:
        writer.execute("SELECT pg_advisory_xact_lock_shared(%s)", [store.TX_LOCK])
        thread = threading.Thread(target=settle)
        thread.start()
        assert not raised.wait(0.3), "a writer still holds an id under the old offset"
        writer.commit()
    thread.join(10)
    assert raised.is_set()


@postgresql
def test_a_restore_from_pg_dump_into_a_fresh_cluster_skips_nothing(tmp_path, settings):
    here = with_postgresql.Server(with_postgresql.newest(), tmp_path, int(connection.settings_dict["PORT"]))
    with connection.cursor() as cursor:  # make sure that the fresh cluster is far behind
        for _ in range(50):
            cursor.execute("SELECT pg_current_xact_id()")
        cursor.execute("SELECT nextval('logs_log_id_seq')")
    append([record(f"old {number}") for number in range(5)])
    with connection.cursor() as cursor:
        cursor.execute("UPDATE logs_log SET tx = tx + 100000000")
    connection.close()
    tail.save_position("reader", Position(10**8, 0))
    position = read_after(Position.START, 3).position
    dump = here.run("pg_dump", "-Fc", str(connection.settings_dict["NAME"]))

    with with_postgresql.server() as fresh:
        fresh.create("restored")
        fresh.run("pg_restore", "--no-owner", "-d", "restored", stdin=dump)
        with pointed_at(fresh.port, "restored"):
            append([record("new 1")])
            append([record("new 2")])
            everything = messages_after(Position.START)
            rest = messages_after(position)
            ids = list(Log.objects.order_by("id").values_list("id", flat=True))

    assert everything == [*(f"old {number}" for number in range(5)), "new 1", "new 2"]
    assert rest == everything[3:]
    assert len(set(ids)) == 7


@contextmanager
def pointed_at(port: int, database: str) -> Iterator[None]:
    """Let Django's connection of this thread lead to another server for a while."""
    kept = {key: connection.settings_dict[key] for key in ("PORT", "NAME")}
    connection.close()
    connection.settings_dict.update(PORT=port, NAME=database)
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(kept)
