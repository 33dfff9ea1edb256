from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DataError, IntegrityError, InterfaceError, OperationalError, ProgrammingError, connection

from bridge.batcher import OVERHEAD, Batch, Batcher, Chunk, Queue, is_about_content
from bridge.journal import Journal
from bridge.models import BridgeStatus
from bridge.status import Figures, Identity
from logs.models import Log
from logs.record import Record
from tests.end_to_end.frames import frame
from tests.logs.records import record

HOUR = timedelta(hours=1)


def chunk(*payloads: bytes, arrived: float | None = None) -> Chunk:
    moment = time.monotonic() if arrived is None else arrived
    return Chunk(list(payloads), datetime.now(UTC), "10.0.0.7", moment)


def queue(
    *, most: int = 1_000_000, rows: int = 10, age: timedelta = HOUR, on_room: Callable[[], None] = lambda: None
) -> Queue:
    return Queue(most=most, rows=rows, age=age, on_room=on_room)


# --- The queue -----------------------------------------------------------------------------------------------


def test_a_batch_is_taken_when_it_has_enough_rows():
    waiting = queue(rows=3)
    for number in range(4):
        waiting.put(chunk(b"%d" % number))
    batch, weight = waiting.take(0)

    assert [c.payloads for c in batch] == [[b"0"], [b"1"], [b"2"]]
    assert weight == 3 * (1 + OVERHEAD)
    assert waiting.frames == 1


def test_a_batch_is_taken_when_its_first_record_is_old_enough():
    waiting = queue(age=timedelta(seconds=0.05))
    begun = time.monotonic()
    waiting.put(chunk(b"alone"))
    batch, _ = waiting.take(10)

    assert [c.payloads for c in batch] == [[b"alone"]]
    assert 0.05 <= time.monotonic() - begun < 5


def test_a_batch_is_taken_when_it_is_large_enough():
    waiting = queue(most=8_000, rows=1_000)
    waiting.put(chunk(b"x" * 2_000))

    assert len(waiting.take(0)[0]) == 1


def test_a_batch_that_becomes_full_is_taken_at_once():
    waiting = queue(rows=2)
    threading.Timer(0.05, lambda: [waiting.put(chunk(b"a")), waiting.put(chunk(b"b"))]).start()
    begun = time.monotonic()
    batch, _ = waiting.take(30)

    assert len(batch) == 2
    assert time.monotonic() - begun < 10


def test_nothing_comes_back_when_nothing_comes():
    assert queue().take(0.01) == ([], 0)


def test_what_waits_is_taken_without_delay_when_the_queue_is_closed():
    waiting = queue()
    waiting.put(chunk(b"last"))
    waiting.close()

    assert not waiting.is_done
    assert len(waiting.take(30)[0]) == 1
    assert waiting.is_done
    assert waiting.take(30) == ([], 0)


def test_reading_pauses_at_the_high_mark_and_resumes_at_half_of_it():
    told: list[int] = []
    waiting = queue(most=1_000, rows=1, on_room=lambda: told.append(1))
    pauses = [waiting.put(chunk(b"x" * (250 - OVERHEAD))) for _ in range(4)]
    weights = [waiting.take(0)[1] for _ in range(4)]
    waiting.release(weights[0])
    before = list(told)
    waiting.release(weights[1])
    waiting.release(weights[2])

    assert pauses == [False, False, False, True]
    assert before == []
    assert told == [1]


def test_what_is_being_stored_still_counts():
    waiting = queue(most=1_000, rows=1)
    waiting.put(chunk(b"x" * 950))
    _, weight = waiting.take(0)

    assert waiting.put(chunk(b"y"))
    waiting.release(weight)
    assert not waiting.put(chunk(b"z"))


def test_a_frame_larger_than_the_whole_queue_passes():
    told: list[int] = []
    waiting = queue(most=10, rows=1, on_room=lambda: told.append(1))
    assert waiting.put(chunk(b"x" * 1_000))
    batch, weight = waiting.take(0)
    waiting.release(weight)

    assert len(batch) == 1
    assert told == [1]
    assert waiting.bytes == 0


def test_tiny_frames_weigh_what_they_cost():
    assert chunk(*[b""] * 10).weight == 10 * OVERHEAD


# --- Whose fault an error is ------------------------------------------------------------------------------------


def with_state(kind: type[Exception], state: str) -> Exception:
    class FromServer(Exception):
        sqlstate = state

    error = kind("said the server")
    error.__cause__ = FromServer()
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(with_state(DataError, "22021"), True, id="nul-in-text"),
        pytest.param(with_state(OperationalError, "54000"), True, id="index-row-too-long"),
        pytest.param(with_state(IntegrityError, "23502"), True, id="not-null"),
        pytest.param(with_state(IntegrityError, "23505"), False, id="duplicate-key"),
        pytest.param(with_state(OperationalError, "53100"), False, id="disk-full"),
        pytest.param(with_state(OperationalError, "57P01"), False, id="shutdown"),
        pytest.param(with_state(OperationalError, "40P01"), False, id="deadlock"),
        pytest.param(with_state(ProgrammingError, "42P01"), False, id="no-table"),
        pytest.param(OperationalError("database is locked"), False, id="locked"),
        pytest.param(OperationalError("database or disk is full"), False, id="sqlite-full"),
        pytest.param(OperationalError("no such table: logs_log"), False, id="sqlite-no-table"),
        pytest.param(InterfaceError("connection already closed"), False, id="closed"),
        pytest.param(ProgrammingError("Error binding parameter 3: type 'set' is not supported"), True, id="bind"),
        pytest.param(IntegrityError("NOT NULL constraint failed: logs_log.name"), True, id="sqlite-not-null"),
        pytest.param(IntegrityError("UNIQUE constraint failed: logs_log.id"), False, id="sqlite-duplicate"),
        pytest.param(OverflowError("Python int too large to convert to SQLite INTEGER"), True, id="overflow"),
        pytest.param(UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), True, id="surrogate"),
    ],
)
def test_an_error_is_about_content_or_about_the_database(error: Exception, expected: bool):
    assert is_about_content(error) is expected


# --- The batcher -------------------------------------------------------------------------------------------------


@pytest.fixture
def figures() -> Figures:
    return Figures()


def run(figures: Figures, *chunks: Chunk) -> Batcher:
    """Let a batcher work off `chunks`, to its end."""
    waiting = queue()
    identity = Identity("here", 9020, "127.0.0.1:9020", os.getpid(), datetime.now(UTC))
    batcher = Batcher(waiting, figures, Journal("here"), identity)
    for each in chunks:
        waiting.put(each)
    waiting.close()
    batcher.start()
    batcher.join(60)
    assert not batcher.is_alive()
    return batcher


def of(*records: Record) -> Batch:
    """Return a batch of records from senders that get no acknowledgement."""
    batch = Batch()
    batch.records = list(records)
    batch.origins = [None] * len(records)
    return batch


def messages() -> list[str]:
    """Return what clients' records say, in order of arrival."""
    return list(Log.objects.exclude(system_id="herald.bridge").order_by("id").values_list("message", flat=True))


@pytest.mark.django_db(transaction=True)
def test_records_are_stored_and_bad_payloads_counted_with_a_sample(figures: Figures):
    good = [frame(f"record {number}")[4:] for number in range(25)]
    run(figures, chunk(*good[:20], b"\x80\xff nonsense \x1b[0m"), chunk(*good[20:]))

    assert messages() == [f"record {n}" for n in range(25)]
    assert (figures.stored, sum(figures.rejected.values())) == (25, 1)
    sample = figures.samples[0]
    assert sample["peer"] == "10.0.0.7"
    assert sample["bytes"] == r"\x80\xff nonsense \x1b[0m"


@pytest.mark.django_db(transaction=True)
def test_only_the_guilty_records_of_a_batch_are_refused(figures: Figures):
    batcher = run(figures)
    guilty = {3, 4, 17}
    # What no codec lets through: text that cannot be encoded.
    records = [record(f"\ud800 {n}" if n in guilty else str(n)) for n in range(20)]

    assert batcher.store(of(*records)) == 3
    assert messages() == [str(n) for n in range(20) if n not in guilty]
    assert figures.rejected == {"refused by database": 3}
    assert figures.database_errors == 0


@pytest.mark.django_db(transaction=True)
def test_a_database_in_trouble_keeps_the_batch(figures: Figures, caplog: pytest.LogCaptureFixture):
    batcher = run(figures)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE logs_log RENAME TO logs_log_away")

    def store() -> None:
        batcher.store(of(record("kept")))
        connection.close()

    thread = threading.Thread(target=store)
    try:
        thread.start()
        deadline = time.monotonic() + 60
        while figures.database_errors < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        trouble = figures.trouble
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE logs_log_away RENAME TO logs_log")
    thread.join(60)

    assert "logs_log" in trouble
    assert figures.trouble == ""
    assert messages() == ["kept"]
    assert [r.levelno for r in caplog.records if "takes no records" in r.message] == [logging.ERROR]


@pytest.mark.django_db(transaction=True)
def test_the_status_row_says_that_it_stopped(figures: Figures):
    run(figures, chunk(frame("one")[4:]))
    row = BridgeStatus.objects.get()

    assert (row.name, row.stopped, row.figures["stored"], row.figures["queue_bytes"]) == ("here:9020", True, 1, 0)


@pytest.mark.django_db(transaction=True)
def test_rejections_are_summed_up_in_a_row(figures: Figures):
    run(figures, chunk(b"!", b"!", b"{}"))
    told = Log.objects.get(system_id="herald.bridge")

    assert told.message == "rejected 3 payloads: 2 unknown codec, 1 not a record"
    assert told.levelno == logging.WARNING
