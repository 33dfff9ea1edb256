"""What a bridge counts, and how that is told: by `run_bridge --status`, on the page /status."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from bridge.models import BridgeStatus

SAMPLES = 20
SAMPLE_BYTES = 80
SILENT_AFTER = timedelta(seconds=10)
"""A running bridge writes its status every two seconds; one that has not for this long has trouble."""
FORGET_AFTER = timedelta(days=7)


def safe(text: str, limit: int = 300) -> str:
    """Return `text` as at most `limit` characters of printable ASCII in which nothing hides.

    What a stranger sent is shown in no other way.
    """
    return text[:limit].encode("unicode_escape", "backslashreplace").decode("ascii")[:limit]


def safe_bytes(data: bytes) -> str:
    """Return the first bytes of `data` as printable ASCII."""
    return repr(bytes(data[:SAMPLE_BYTES]))[2:-1] + ("…" if len(data) > SAMPLE_BYTES else "")


class Figures:
    """The counters of one bridge since it started.

    A counter is written by one thread only, the listener's or the batcher's, so that none needs a lock; rejections
    come from both and have one.
    """

    def __init__(self) -> None:
        # The listener's.
        self.received = 0
        self.bytes = 0
        self.clients = 0
        self.connections = 0
        self.refused = 0
        self.paused = 0.0
        self.holds: list[str] = []
        # The greeter's.
        self.gaps = 0
        # The batcher's.
        self.stored = 0
        self.batches = 0
        self.repeated = 0
        self.database_errors = 0
        self.last_error: dict[str, str] = {}
        self.trouble = ""
        # Both.
        self.rejected: Counter[str] = Counter()
        self.samples: deque[dict[str, str]] = deque(maxlen=SAMPLES)
        self._lock = threading.Lock()

    def reject(self, reason: str, detail: str, *, peer: str, data: bytes, at: datetime) -> None:
        """Count something that was not taken, and keep a sample of it."""
        sample = {
            "at": at.isoformat(timespec="milliseconds"),
            "peer": peer,
            "reason": reason,
            "detail": safe(detail),
            "bytes": safe_bytes(data),
        }
        with self._lock:
            self.rejected[reason] += 1
            self.samples.append(sample)

    def rejections(self) -> Counter[str]:
        """Return a copy of the rejections so far, by reason."""
        with self._lock:
            return Counter(self.rejected)

    def database_failed(self, error: str, at: datetime) -> None:
        self.database_errors += 1
        self.last_error = {"at": at.isoformat(timespec="milliseconds"), "text": safe(error)}

    def as_dict(self, *, queue_frames: int, queue_bytes: int) -> dict[str, Any]:
        """Return all figures as values that JSON can hold."""
        with self._lock:
            rejected, samples = dict(self.rejected), list(self.samples)
        return {
            "received": self.received,
            "stored": self.stored,
            "rejected": rejected,
            "bytes": self.bytes,
            "queue_frames": queue_frames,
            "queue_bytes": queue_bytes,
            "clients": self.clients,
            "connections": self.connections,
            "refused": self.refused,
            "paused_seconds": round(self.paused, 1),
            "holds": list(self.holds),
            "batches": self.batches,
            "repeated": self.repeated,
            "gaps": self.gaps,
            "database_errors": self.database_errors,
            "last_error": self.last_error,
            "trouble": self.trouble,
            "samples": samples,
        }


@dataclass(frozen=True)
class Identity:
    """Which bridge this is."""

    host: str
    port: int
    address: str
    pid: int
    started: datetime

    @property
    def name(self) -> str:
        return f"{self.host}:{self.port}"


def save(identity: Identity, figures: dict[str, Any], at: datetime, *, stopped: bool = False) -> None:
    """Write the row of one bridge, in a statement of its own; raises django.db.Error."""
    BridgeStatus.objects.bulk_create(
        [
            BridgeStatus(
                name=identity.name,
                host=identity.host,
                address=identity.address,
                pid=identity.pid,
                started=identity.started,
                updated=at,
                stopped=stopped,
                figures=figures,
            )
        ],
        update_conflicts=True,
        unique_fields=["name"],
        update_fields=["host", "address", "pid", "started", "updated", "stopped", "figures"],
    )


def forget_old(now: datetime) -> None:
    """Delete what bridges have left behind that did not run for a week."""
    BridgeStatus.objects.filter(updated__lt=now - FORGET_AFTER).delete()


class State(StrEnum):
    """How a bridge is, by what it last wrote."""

    RUNNING = "running"
    SILENT = "silent"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Report:
    """One bridge as it is told to people."""

    name: str
    address: str
    host: str
    pid: int
    started: datetime
    updated: datetime
    state: State
    age: timedelta
    figures: dict[str, Any]

    @property
    def is_trouble(self) -> bool:
        """Whether somebody should look at it."""
        return self.state is State.SILENT or bool(self.figures.get("trouble"))

    @property
    def rejected(self) -> int:
        return sum(self.figures.get("rejected", {}).values())

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """The reasons of rejections, the most frequent first."""
        return Counter(self.figures.get("rejected", {})).most_common()

    @property
    def samples(self) -> list[dict[str, str]]:
        """What was rejected last, the newest first."""
        return list(reversed(self.figures.get("samples", [])))

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "address": self.address,
            "host": self.host,
            "pid": self.pid,
            "state": self.state.value,
            "started": self.started.isoformat(),
            "updated": self.updated.isoformat(),
            **self.figures,
        }


def state_of(updated: datetime, *, stopped: bool, now: datetime) -> State:
    """Return how a bridge is whose row was written at `updated`."""
    if stopped:
        return State.STOPPED
    return State.RUNNING if now - updated <= SILENT_AFTER else State.SILENT


def report(now: datetime | None = None) -> list[Report]:
    """Return every bridge that ran lately, by name."""
    now = now or datetime.now(UTC)
    return [
        Report(
            name=row.name,
            address=row.address,
            host=row.host,
            pid=row.pid,
            started=row.started,
            updated=row.updated,
            state=state_of(row.updated, stopped=row.stopped, now=now),
            age=now - row.updated,
            figures=row.figures,
        )
        for row in BridgeStatus.objects.order_by("name")
    ]


def lines(reports: Iterable[Report]) -> list[str]:
    """Return what `run_bridge --status` prints."""
    told: list[str] = []
    for bridge in reports:
        told += _lines_of(bridge)
    return told or ["no bridge has run yet: `manage.py run_bridge` starts one"]


def _lines_of(bridge: Report) -> list[str]:
    figures = bridge.figures
    said = f"{bridge.age.total_seconds():.0f} s ago"
    told = [
        f"{bridge.name}  {bridge.state.value}, listens on {bridge.address}, process {bridge.pid}, last word {said}",
        f"  received   {figures['received']:,} records, {figures['bytes']:,} bytes",
        f"  stored     {figures['stored']:,} in {figures['batches']:,} batches",
        f"  waiting    {figures['queue_frames']:,} records, {figures['queue_bytes']:,} bytes",
        f"  clients    {figures['clients']:,} now, {figures['connections']:,} so far, {figures['refused']:,} refused",
        f"  repeated   {figures.get('repeated', 0):,} (sent again, stored once), {figures.get('gaps', 0):,} gaps",
        f"  rejected   {bridge.rejected:,}",
        *(f"    {reason:<16} {number:,}" for reason, number in bridge.reasons),
        f"  paused     {figures['paused_seconds']:.1f} s{_because(figures['holds'])}",
        f"  database   {figures['database_errors']:,} errors",
    ]
    if figures["trouble"]:
        told.append(f"  TROUBLE    {figures['trouble']}")
    if figures["last_error"]:
        told.append(f"  last error {figures['last_error']['at']} {figures['last_error']['text']}")
    return told


def _because(holds: list[str]) -> str:
    return f" (now: {', '.join(holds)})" if holds else ""
