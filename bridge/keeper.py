"""Deletes what is older than rows are kept, and looks after the file, beside the bridge's work and out of its way."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import Error as DatabaseTrouble
from django.db import connection

from bridge.journal import Journal
from bridge.models import Destination
from bridge.status import Figures
from logs import retention, store
from logs.models import ReaderPosition
from logs.tail import Position

LOOK_EVERY = timedelta(minutes=10)
GLANCE_SECONDS = 0.25
TELL_EVERY = timedelta(minutes=10)
FAILURES_TOLD_EVERY = timedelta(hours=1)
LET_GO_EVERY = 1.0
SENDERS_KEPT = timedelta(days=90)
SENDERS_MAX = 100_000
"""How long, and how many, marks of senders are kept that are not heard of."""


class Keeper(threading.Thread):
    """Looks for old rows every ten minutes, or every `every` received records, as the old bridge's `-r` did.

    It has a thread and a connection of its own; rows go in small transactions with pauses between them, so that
    batches get their turn. What has been deleted is told of every ten minutes at most. While records come it also
    brings SQLite's write-ahead log into the file every quarter of a second: otherwise every second batch would wait for
    the disk.
    """

    def __init__(self, keep: timedelta, every: int | None, figures: Figures, journal: Journal) -> None:
        super().__init__(name="bridge keeper", daemon=True)
        self._keep = keep
        self._every = every
        self._figures = figures
        self._journal = journal
        self._stopping = threading.Event()
        self._looked_at = float("-inf")
        self._looked_when = 0
        self._checkpointed_when = 0
        self._deleted = 0
        self._let_go_at = float("-inf")
        self._told_at = float("-inf")
        self._failure_told_at = float("-inf")

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        while not self._stopping.wait(GLANCE_SECONDS):
            if self._is_due():
                self._looked_at, self._looked_when = time.monotonic(), self._figures.received
                self._look(datetime.now(UTC))
            if settings.RELAY_ONLY:
                self._let_go()
            self._tell()
            self._checkpoint()
        connection.close()

    def _is_due(self) -> bool:
        if self._every is not None:
            return self._figures.received - self._looked_when >= self._every
        return time.monotonic() - self._looked_at >= LOOK_EVERY.total_seconds()

    def _look(self, now: datetime) -> None:
        try:
            self._deleted += retention.prune(
                now - self._keep, patience=settings.READERS_WAIT, stop=self._stopping.is_set
            )
            store.forget_senders(now - SENDERS_KEPT, SENDERS_MAX)
        except DatabaseTrouble as error:
            connection.close()
            if time.monotonic() - self._failure_told_at >= FAILURES_TOLD_EVERY.total_seconds():
                self._failure_told_at = time.monotonic()
                said = " ".join(str(error).split())
                self._journal.say(logging.ERROR, f"old rows could not be deleted: {said}; herald tries again")

    def _let_go(self) -> None:
        """Delete what every destination and every other reader has; without a destination everything stays."""
        if time.monotonic() - self._let_go_at < LET_GO_EVERY:
            return
        self._let_go_at = time.monotonic()
        try:
            positions = positions_to_wait_for()
            if positions:
                retention.prune_read(min(positions), stop=self._stopping.is_set)
        except DatabaseTrouble:
            connection.close()  # the batcher says so, if it matters

    def _checkpoint(self) -> None:
        if self._figures.stored == self._checkpointed_when:
            return
        self._checkpointed_when = self._figures.stored
        try:
            store.checkpoint()
        except DatabaseTrouble:
            connection.close()  # the batcher says so, if it matters

    def _tell(self) -> None:
        if not self._deleted or time.monotonic() - self._told_at < TELL_EVERY.total_seconds():
            return
        self._told_at = time.monotonic()
        rows, self._deleted = self._deleted, 0
        self._journal.say(
            logging.INFO, f"deleted {rows:,} row{'s' if rows != 1 else ''} older than {as_kept(self._keep)}"
        )


def positions_to_wait_for() -> list[Position]:
    """Return how far each reader of the log has come, paused destinations too; none where there is no destination."""
    if not Destination.objects.exists():
        return []
    return [Position.parse(text) for text in ReaderPosition.objects.values_list("position", flat=True)]


def as_kept(duration: timedelta) -> str:
    """Return how long rows are kept, exactly: `30 days`, `1,309,600 s`."""
    if duration >= timedelta(days=1) and duration % timedelta(days=1) == timedelta(0):
        return f"{duration.days:,} day{'s' if duration.days != 1 else ''}"
    return f"{duration.total_seconds():,.0f} s"
