"""Readers of the log with a name: each makes something of every row, exactly once, however often it is killed.

A reader's rows are read and looked at outside of any transaction. What it made of them and how far it has read are then
stored in one, which first makes sure that nobody else has read them meanwhile. So two that run by mistake do the work
twice, and store it once.
"""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.db import DataError, connection, transaction
from django.db import Error as DatabaseTrouble

from logs import tail
from logs.models import ReaderPosition
from logs.registry import Registry
from logs.tail import Position, Row

logger = logging.getLogger(__name__)

READ_ROWS = 500
LOOK_EVERY = 0.5
BREATHE = 0.01
"""Between two full batches, so that other writers of a small database get their turn."""
STANDBY_SECONDS = 2.0
RETRY_LONGEST = 30.0
TELL_EVERY = 600.0
_LOCK = 0x7265_6164


class Reader(ABC):
    """One that follows the log from the oldest row that is kept; a plugin subclasses it and registers.

    `prepare` looks at rows and must not touch the database; `store` is called in the transaction that moves the reader on,
    with what `prepare` returned.
    """

    name: ClassVar[str]

    @abstractmethod
    def prepare(self, rows: Sequence[Row]) -> Any:
        """Return what is to be stored of these rows, which come in the order of the log."""

    @abstractmethod
    def store(self, prepared: Any) -> None:
        """Store it. Raises django.db.Error where the database refuses: then nothing of it counts."""


readers: Registry[type[Reader]] = Registry("reader of the log")


def read_on(reader: Reader, limit: int = READ_ROWS) -> int:
    """Let `reader` have the next rows; return how many. 0 also where another one was quicker.

    Where the database refuses the values that were made of them, they are taken one by one, and the one at fault is
    left out: it would stop the reader for ever.
    """
    try:
        return _read_on(reader, limit)
    except DataError:
        return sum(_read_one(reader) for _ in range(limit))


def _read_one(reader: Reader) -> int:
    try:
        return _read_on(reader, 1)
    except DataError as error:
        return _leave_out(reader, " ".join(str(error).split()))


def _leave_out(reader: Reader, why: str) -> int:
    before = tail.load_position(reader.name)
    batch = tail.read_after(before, 1)
    with transaction.atomic():
        if not batch.rows or not _is_still_at(reader.name, before):
            return 0
        tail.save_position(reader.name, batch.position)
    logger.error(
        "a bug of herald's, please report it; reader %s leaves out row %s: %s", reader.name, batch.rows[0]["id"], why
    )
    return 1


def _read_on(reader: Reader, limit: int) -> int:
    before = tail.load_position(reader.name)
    batch = tail.read_after(before, limit)
    if not batch.rows:
        return 0
    prepared = reader.prepare(batch.rows)
    with transaction.atomic():
        if not _is_still_at(reader.name, before):
            return 0
        reader.store(prepared)
        tail.save_position(reader.name, batch.position)
    return len(batch.rows)


def _is_still_at(name: str, position: Position) -> bool:
    """Whether nobody has moved the reader; nobody will, until this transaction ends."""
    # SQLite has one writer at a time, and its transactions begin as writers.
    position_of = ReaderPosition.objects.select_for_update().filter(name=name).values_list("position", flat=True)
    found = position_of.first()
    if found is None:
        # Of two that begin at the same time the second one waits here for the first, and then sees how far that came.
        ReaderPosition.objects.get_or_create(name=name, defaults={"position": str(Position.START)})
        found = position_of.get()
    return Position.parse(found) == position


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a reader has come: about how many rows are still to be read, since when the first of them waits, when it
    last read something, and how many rows were deleted before it had read them."""

    waiting: int
    lag: timedelta
    read_at: datetime | None
    cut: int


def standing(name: str, now: datetime) -> Standing:
    """Return how a reader stands, as the database knows it, whoever runs it."""
    found = ReaderPosition.objects.filter(name=name).first()
    position = Position.parse(found.position) if found is not None else Position.START
    read_at, cut = (found.updated, found.cut) if found is not None else (None, 0)
    newest = tail.newest()
    following = tail.read_after(position, 1) if newest > position else None
    if following is None or not following.rows:
        return Standing(0, timedelta(0), read_at, cut)
    first = following.rows[0]
    return Standing(max(1, newest.id - first["id"] + 1), max(timedelta(0), now - first["received"]), read_at, cut)


class Follower(threading.Thread):
    """Runs one reader until told to stop. A bug of the reader's ends it, and is raised by `reraise`."""

    def __init__(self, reader: Reader, on_end: Callable[[], None]) -> None:
        super().__init__(name=f"reader {reader.name}", daemon=True)
        self.failure: Exception | None = None
        self._reader = reader
        self._on_end = on_end
        self._stopping = threading.Event()
        self._holding: object | None = None
        self._trouble = 0.0
        self._told_at = float("-inf")

    def stop(self) -> None:
        """Finish the batch at hand, and leave."""
        self._stopping.set()

    def run(self) -> None:
        try:
            while not self._stopping.wait(self._round()):
                pass
        except Exception as bug:
            self.failure = bug
        finally:
            connection.close()
            self._on_end()

    def _round(self) -> float:
        """Read on once; return for how many seconds to wait."""
        try:
            if not self._is_the_one():
                return STANDBY_SECONDS
            found = read_on(self._reader)
        except DatabaseTrouble as error:
            return self._wait_out(error)
        self._trouble = 0.0
        return BREATHE if found == READ_ROWS else LOOK_EVERY

    def _is_the_one(self) -> bool:
        """Whether this is the only one of its name at work on a database of several herald's; the others stand by.

        The lock belongs to the connection: it is free when that ends, however it ends.
        """
        if connection.vendor != "postgresql":
            return True  # a lock on a file of the data directory has seen to it
        connection.ensure_connection()
        if self._holding is connection.connection:
            return True
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [_LOCK, self._reader.name])
            if not cursor.fetchone()[0]:
                return False
        self._holding = connection.connection
        return True

    def _wait_out(self, error: DatabaseTrouble) -> float:
        connection.close()
        self._trouble = min(max(LOOK_EVERY, 2 * self._trouble), RETRY_LONGEST)
        if time.monotonic() - self._told_at >= TELL_EVERY:
            self._told_at = time.monotonic()
            logger.error("reader %s has to wait: %s", self._reader.name, " ".join(str(error).split()))
        return self._trouble
