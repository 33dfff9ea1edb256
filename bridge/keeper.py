"""Deletes what is older than rows are kept, and looks after the file, beside the bridge's work and out of its way."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import Error as DatabaseTrouble
from django.db import connection

from bridge.journal import Journal
from bridge.models import Destination
from bridge.status import Figures
from logs import partitions, requests, retention, store
from logs.ages import as_kept
from logs.models import ReaderPosition
from logs.policies import Plan, UnusablePolicy
from logs.retention import Pruner, Tally
from logs.tail import Position

logger = logging.getLogger("herald.bridge")

LOOK_EVERY = timedelta(minutes=10)
GLANCE_SECONDS = 0.25
TELL_EVERY = timedelta(minutes=10)
FAILURES_TOLD_EVERY = timedelta(hours=1)
LET_GO_EVERY = 1.0
ASKED_EVERY = 2.0
SENDERS_KEPT = timedelta(days=90)
SENDERS_MAX = 100_000
"""How long, and how many, marks of senders are kept that are not heard of."""
VERSIONS_KEPT = timedelta(days=90)
VERSIONS_MAX = 50_000
"""The same of the versions of systems."""


class Keeper(threading.Thread):
    """Looks for old rows every ten minutes, or every `every` received records, as the old bridge's `-r` did.

    `keep` stands in for HERALD_RETENTION_DAYS when it is given, as the old bridge's `-s` did; policies go before either.
    It has a thread and a connection of its own; rows go in small transactions with pauses between them, so that
    batches get their turn. What has been deleted is told of every ten minutes at most. It also does what people ask
    for on the page "Delete old rows", and has the days ready into which PostgreSQL puts rows. While records come it
    brings SQLite's write-ahead log into the file every quarter of a second: otherwise every second batch would wait for
    the disk.
    """

    def __init__(self, keep: timedelta | None, every: int | None, figures: Figures, journal: Journal) -> None:
        super().__init__(name="bridge keeper", daemon=True)
        self._keep = keep
        self._every = every
        self._figures = figures
        self._journal = journal
        self._stopping = threading.Event()
        self._pruner = Pruner(patience=settings.READERS_WAIT, stop=self._stopping.is_set)
        self._looked_at = float("-inf")
        self._looked_when = 0
        self._made_ahead_at = float("-inf")
        self._checkpointed_when = 0
        self._deleted: Counter[str] = Counter()
        self._let_go_at = float("-inf")
        self._asked_at = float("-inf")
        self._told_at = float("-inf")
        self._failure_told_at = float("-inf")
        self._bugs: set[tuple[str, type[Exception]]] = set()

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        steps = (self._make_ahead, self._look, self._answer, self._let_go, self._tell, self._checkpoint)
        while not self._stopping.wait(GLANCE_SECONDS):
            for step in steps:
                try:
                    step()
                except Exception as bug:
                    self._stumble(step.__name__, bug)
        connection.close()

    def _is_due(self) -> bool:
        if self._every is not None:
            return self._figures.received - self._looked_when >= self._every
        return time.monotonic() - self._looked_at >= LOOK_EVERY.total_seconds()

    def _make_ahead(self) -> None:
        if time.monotonic() - self._made_ahead_at < LOOK_EVERY.total_seconds():
            return
        self._made_ahead_at = time.monotonic()
        try:
            partitions.make_ahead(datetime.now(UTC))
        except DatabaseTrouble as error:
            self._failed("the days ahead have no partitions yet", error)

    def _look(self) -> None:
        """Delete what is old, when it is time to look for it."""
        if not self._is_due():
            return
        self._looked_at, self._looked_when = time.monotonic(), self._figures.received
        now = datetime.now(UTC)
        try:
            plan = Plan.load(self._keep)
            self._count(plan, self._pruner.prune(plan, now))
            store.forget_senders(now - SENDERS_KEPT, SENDERS_MAX)
            store.forget_versions(now - VERSIONS_KEPT, VERSIONS_MAX)
        except (DatabaseTrouble, UnusablePolicy) as error:
            self._failed("old rows could not be deleted", error)

    def _answer(self) -> None:
        """Do what somebody has asked for, if anybody has."""
        if time.monotonic() - self._asked_at < ASKED_EVERY:
            return
        self._asked_at = time.monotonic()
        try:
            answered = requests.answer(datetime.now(UTC), patience=settings.READERS_WAIT, stop=self._stopping.is_set)
        except DatabaseTrouble as error:
            self._failed("old rows could not be deleted as was asked for", error)
            return
        if answered is not None:
            what = rows(answered.deleted) + (f", then failed: {answered.error}" if answered.error else "")
            self._journal.say(logging.INFO, f"{answered.asked_by} had old rows deleted: {what}")

    def _failed(self, what: str, error: Exception) -> None:
        if isinstance(error, DatabaseTrouble):
            connection.close()
        if time.monotonic() - self._failure_told_at >= FAILURES_TOLD_EVERY.total_seconds():
            self._failure_told_at = time.monotonic()
            said = " ".join(str(error).split())
            self._journal.say(logging.ERROR, f"{what}: {said}; herald tries again")

    def _stumble(self, step: str, bug: Exception) -> None:
        """Tell of a fault of herald's own, once for each kind, and go on: nobody else deletes old rows."""
        connection.close()
        kind = (step, type(bug))
        if kind not in self._bugs:
            self._bugs.add(kind)
            logger.error("a bug of herald's, please report it; the keeper goes on", exc_info=bug)
            said = " ".join(f"{type(bug).__name__}: {bug}".split())
            self._journal.say(logging.ERROR, f"a bug of herald's, please report it; old rows may stay: {said[:500]}")

    def _count(self, plan: Plan, tally: Tally) -> None:
        for number, gone in tally.by_rule.items():
            self._deleted[reason_of(plan, number)] += gone
        if days := sum(tally.days.values()):
            self._deleted[reason_of(plan, None)] += days
        if tally.over:
            self._deleted["the oldest, because of the size"] += tally.over

    def _let_go(self) -> None:
        """On a relay delete what every destination and other reader has; without a destination everything stays."""
        if not settings.RELAY_ONLY or time.monotonic() - self._let_go_at < LET_GO_EVERY:
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
        deleted, self._deleted = self._deleted, Counter()
        if len(deleted) == 1:
            why = next(iter(deleted))
        else:
            why = f"({', '.join(f'{number:,} {reason}' for reason, number in deleted.items())})"
        self._journal.say(logging.INFO, f"deleted {rows(deleted.total())} {why}")


def rows(number: int) -> str:
    return f"{number:,} row{'s' if number != 1 else ''}"


def reason_of(plan: Plan, number: int | None) -> str:
    """Return why rows went: by their rule, or (None) with their whole day."""
    if number is None:
        return f"older than {as_kept(plan.longest)}" if len(plan.rules) == 1 else "with their day"
    rule = plan.rules[number]
    policy = "" if rule.query is None else f" (policy {rule.name})"
    return f"older than {as_kept(rule.age)}{policy}"


def positions_to_wait_for() -> list[Position]:
    """Return how far each reader of the log has come, paused destinations too; none where there is no destination."""
    if not Destination.objects.exists():
        return []
    return [Position.parse(text) for text in ReaderPosition.objects.values_list("position", flat=True)]
