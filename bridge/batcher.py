"""From queued payloads to stored rows.

One thread decodes and inserts: a decoding thread beside an inserting one costs more in waiting for the interpreter
than it gains. The queue in front of it is bounded by bytes; whoever fills it is told to stop reading, so that a slow
database is felt by the senders and never by herald's memory.

A batch is decoded before its transaction begins. So even under full load SQLite's lock is free for about half of the
time, and other writers get their turn without a gap made for them (`bridge.other_writers_wait…` measures it).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.db import DataError, IntegrityError, InterfaceError, ProgrammingError, connection
from django.db import Error as DatabaseTrouble

from bridge import status
from bridge.codecs import Rejected, to_record
from bridge.journal import Journal
from bridge.status import Figures, Identity
from logs import store
from logs.record import Record

logger = logging.getLogger(__name__)

OVERHEAD = 64
"""What a payload costs in memory beside its bytes; without it a flood of tiny frames would not count."""
STATUS_EVERY = 2.0
SUMMARY_EVERY = 60.0
IDLE_WAIT = 0.5
RETRY_FIRST = 0.05
RETRY_LONGEST = 2.0


class Chunk(NamedTuple):
    """Payloads that arrived together on one connection."""

    payloads: list[bytes]
    received: datetime
    peer: str
    arrived: float
    """By time.monotonic()."""

    @property
    def weight(self) -> int:
        """What it counts in the queue, in bytes."""
        return sum(map(len, self.payloads)) + OVERHEAD * len(self.payloads)


class Queue:
    """Payloads on their way from the listener to the batcher; what is taken counts until it is released.

    `put` never waits and never refuses: a frame that has been read is accepted. It answers whether reading must
    pause; `on_room` is called, from the batcher's thread, once half of the room is free again.
    """

    def __init__(self, *, most: int, rows: int, age: timedelta, on_room: Callable[[], None]) -> None:
        self._most = most
        self._batch_rows = rows
        # A batch of large frames must not be the whole queue, or there would be nothing to read ahead.
        self._batch_bytes = max(1, most // 8)
        self._age = age.total_seconds()
        self._on_room = on_room
        self._chunks: deque[tuple[Chunk, int]] = deque()
        self._changed = threading.Condition()
        self._wakes_at = 0  # frames; 0: nobody waits
        self._waiting_bytes = 0
        self._paused = False
        self._closed = False
        self.frames = 0
        self.bytes = 0

    def put(self, chunk: Chunk) -> bool:
        """Queue `chunk`; return whether reading must pause until `on_room` is called."""
        weight = chunk.weight
        with self._changed:
            self._chunks.append((chunk, weight))
            self.frames += len(chunk.payloads)
            self.bytes += weight
            self._waiting_bytes += weight
            if self._wakes_at and (self.frames >= self._wakes_at or self._waiting_bytes >= self._batch_bytes):
                self._wakes_at = 0
                self._changed.notify()
            if self.bytes >= self._most:
                self._paused = True
            return self._paused

    def take(self, patience: float) -> tuple[list[Chunk], int]:
        """Return the next batch, and its weight, which the caller gives back by `release`.

        Waits `patience` seconds for a first payload, then until the batch is full or its first payload is as old as a
        batch may get. Empty when nothing came, and when the queue is closed and empty. The last chunk may
        exceed the number of rows by what one read from a socket holds.
        """
        with self._changed:
            if not self._chunks and not self._closed:
                self._sleep(1, patience)
            if self._chunks:
                due = self._chunks[0][0].arrived + self._age
                while not self._is_batch_full() and (left := due - time.monotonic()) > 0:
                    self._sleep(self._batch_rows, left)
            return self._pop()

    def _sleep(self, frames: int, seconds: float) -> None:
        self._wakes_at = frames
        self._changed.wait(seconds)
        self._wakes_at = 0

    def _is_batch_full(self) -> bool:
        return self._closed or self.frames >= self._batch_rows or self._waiting_bytes >= self._batch_bytes

    def _pop(self) -> tuple[list[Chunk], int]:
        batch: list[Chunk] = []
        rows = total = 0
        while self._chunks and rows < self._batch_rows and total < self._batch_bytes:
            chunk, weight = self._chunks.popleft()
            batch.append(chunk)
            rows += len(chunk.payloads)
            total += weight
        self.frames -= rows
        self._waiting_bytes -= total
        return batch, total

    def release(self, weight: int) -> None:
        """Give back what a batch weighed: its records are stored, or refused."""
        with self._changed:
            self.bytes -= weight
            has_room = self._paused and self.bytes <= self._most // 2
            if has_room:
                self._paused = False
        if has_room:
            self._on_room()

    def close(self) -> None:
        """Say that nothing more will come."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    @property
    def is_done(self) -> bool:
        """Whether nothing will come any more and everything has been taken."""
        return self._closed and not self._chunks


def is_about_content(error: Exception) -> bool:
    """Whether the database refuses what it was given, rather than being in trouble itself.

    Told apart so that one guilty record does not hold up all others for ever, and a database in trouble costs none.
    A duplicate key is no fault of a record: herald gives the keys.
    """
    state: str = getattr(error.__cause__, "sqlstate", None) or ""
    if state:
        # data exception, integrity violation, limit exceeded (an index row, say)
        return state[:2] in ("22", "23", "54") and state != "23505"
    if isinstance(error, IntegrityError):
        return "UNIQUE" not in str(error)
    if isinstance(error, DataError):
        return True
    if isinstance(error, InterfaceError | ProgrammingError):
        return "bind" in str(error)  # SQLite: a value of a type it does not know
    # Not the database's word at all: an adapter could not even write the value down.
    return not isinstance(error, DatabaseTrouble)


class Batcher(threading.Thread):
    """Decodes what is queued and stores it, batch by batch, until the queue is closed and empty.

    `on_end` is called from this thread when it ends; `failure` is what it died of.
    """

    def __init__(
        self,
        queue: Queue,
        figures: Figures,
        journal: Journal,
        identity: Identity,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(name="bridge batcher", daemon=True)
        self.failure: BaseException | None = None
        self._queue = queue
        self._figures = figures
        self._journal = journal
        self._identity = identity
        self._on_end = on_end
        self._in_hand = 0
        self._trouble_since: float | None = None
        self._status_due = 0.0
        self._summary_due = time.monotonic() + SUMMARY_EVERY
        self._summed = figures.rejections()
        self._bugs: set[str] = set()

    @property
    def unstored(self) -> int:
        """How many accepted records are neither stored nor rejected."""
        return self._queue.frames + self._in_hand

    def run(self) -> None:
        try:
            while not self._queue.is_done:
                self._turn(IDLE_WAIT)
            self._sum_up()
            self.store(self._journal.take())
            self._save_status(stopped=True)
        except BaseException as failure:  # the daemon re-raises it: a thread's end must not go unnoticed
            self.failure = failure
        finally:
            connection.close()
            self._on_end()

    def _turn(self, patience: float) -> None:
        chunks, weight = self._queue.take(patience)
        self._in_hand = sum(len(chunk.payloads) for chunk in chunks)
        records = self._decode(chunks)
        sent = len(records)
        records += self._journal.take()
        if records:
            self._figures.stored += sent - self.store(records)
            self._figures.batches += 1
        self._in_hand = 0
        self._queue.release(weight)
        self._keep_accounts()

    # --- Decoding --------------------------------------------------------------------------------------

    def _decode(self, chunks: Sequence[Chunk]) -> list[Record]:
        records: list[Record] = []
        add = records.append
        for payloads, received, peer, _ in chunks:
            for payload in payloads:
                try:
                    add(to_record(payload, received=received, peer=peer))
                except Rejected as rejected:
                    self._figures.reject(rejected.reason, rejected.detail, peer=peer, data=payload, at=received)
                except Exception as bug:
                    self._figures.reject("herald's bug", repr(bug), peer=peer, data=payload, at=received)
                    self._tell_bug(bug)
        return records

    def _tell_bug(self, bug: Exception) -> None:
        """Log the traceback of a fault of herald's own, once for each kind: a sender could repeat it for ever."""
        kind = f"{type(bug).__name__} at {_place(bug)}"
        if kind not in self._bugs and len(self._bugs) < 100:
            self._bugs.add(kind)
            logger.error("a bug of herald's, please report it; the record is skipped", exc_info=bug)

    # --- Storing ---------------------------------------------------------------------------------------

    def store(self, records: Sequence[Record]) -> int:
        """Store `records`, however long the database needs; return how many it refused for their content."""
        delay = RETRY_FIRST
        while records:
            try:
                store.append(records)
            except Exception as error:
                if is_about_content(error):
                    return self._store_by_halves(records, error)
                self._begin_trouble(error)
                time.sleep(delay)
                delay = min(2 * delay, RETRY_LONGEST)
            else:
                self._end_trouble()
                break
        return 0

    def _store_by_halves(self, records: Sequence[Record], error: Exception) -> int:
        """Find the guilty ones: what can be stored is, in order."""
        if len(records) == 1:
            self._refuse(records[0], error)
            return 1
        middle = len(records) // 2
        return self.store(records[:middle]) + self.store(records[middle:])

    def _refuse(self, record: Record, error: Exception) -> None:
        said = " ".join(str(error).split())
        data = record.message.encode("utf-8", "backslashreplace")
        self._figures.reject("refused by database", said, peer=record.peer, data=data, at=record.received)
        if not isinstance(error, DatabaseTrouble):
            self._tell_bug(error)

    def _begin_trouble(self, error: Exception) -> None:
        """Say once that the database does not work; the batch is kept, and tried again."""
        said = " ".join(str(error).split())
        self._figures.database_failed(said, datetime.now(UTC))
        if self._trouble_since is None:
            self._trouble_since = time.monotonic()
            # Not a row of the log: that is what does not work.
            logger.error("the database takes no records: %s. They wait, and senders will; herald keeps trying", said)
        self._figures.trouble = status.safe(said)
        try:
            connection.close_if_unusable_or_obsolete()
        except DatabaseTrouble:
            connection.close()

    def _end_trouble(self) -> None:
        if self._trouble_since is None:
            return
        lasted = time.monotonic() - self._trouble_since
        self._trouble_since = None
        said, self._figures.trouble = self._figures.trouble, ""
        self._journal.say(logging.WARNING, f"the database works again after {lasted:.1f} s without it: {said}")

    # --- Accounts --------------------------------------------------------------------------------------

    def _keep_accounts(self) -> None:
        now = time.monotonic()
        if now >= self._summary_due:
            self._summary_due = now + SUMMARY_EVERY
            self._sum_up()
        if now >= self._status_due:
            self._status_due = now + STATUS_EVERY
            self._save_status()

    def _sum_up(self) -> None:
        """Tell in one row what was rejected since the last time."""
        rejected = self._figures.rejections()
        fresh, self._summed = rejected - self._summed, rejected
        if fresh:
            reasons = ", ".join(f"{number:,} {reason}" for reason, number in fresh.most_common())
            total = fresh.total()
            what = "payload" if total == 1 else "payloads"
            self._journal.say(logging.WARNING, f"rejected {total:,} {what}: {reasons}")

    def _save_status(self, *, stopped: bool = False) -> None:
        figures = self._figures.as_dict(queue_frames=self._queue.frames, queue_bytes=self._queue.bytes)
        try:
            status.save(self._identity, figures, datetime.now(UTC), stopped=stopped)
        except DatabaseTrouble as error:
            logger.debug("the status could not be written: %s", error)


def _place(bug: Exception) -> str:
    trace = bug.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
