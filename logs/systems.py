"""Which systems there are, on which hosts, how they are: from signs of life, minute counts and versions alone.

No log row is read, so that this costs the same whatever is stored. Counts go by the senders' clocks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db import connection
from django.db.models import Sum
from django.db.models.expressions import RawSQL

from logs.models import HeartBeat, Level, LogCount, SystemVersion
from logs.query import fold

RETIRED_AFTER = timedelta(days=7)
"""A host that was silent for so long is shown only to who asks for the retired ones."""
SPAN = timedelta(hours=6)
BUCKET = timedelta(minutes=10)
BUCKETS = SPAN // BUCKET
LAST_HOUR = timedelta(hours=1)
RUNNING_WITHIN = timedelta(minutes=2)
"""A version runs that was heard of as lately as the host, within this."""
PER_PAGE = 100
NO_VERSION = frozenset({"", "None", "undef"})


class Sort(StrEnum):
    """By what systems can be sorted; the text is what stands in an address."""

    NAME = "name"
    SEEN = "seen"
    ERRORS = "errors"


@dataclass(frozen=True, slots=True)
class Version:
    """A version and since when it was heard of without another one's coming between."""

    name: str
    since: datetime


@dataclass
class Host:
    """One host of a system. `running` are the versions heard of lately, the newest first; `before` the one they replaced."""

    name: str
    first: datetime
    newest: datetime
    running: list[Version] = field(default_factory=list)
    before: Version | None = None


@dataclass
class System:
    """A system with its hosts, the one heard of last first. `rates` are rows by ten minutes, the oldest first."""

    name: str
    hosts: list[Host]
    levels: dict[Level, int] = field(default_factory=dict)
    rates: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    errors_by_bucket: list[int] = field(default_factory=lambda: [0] * BUCKETS)

    @property
    def newest(self) -> datetime:
        return max(host.newest for host in self.hosts)

    @property
    def errors(self) -> int:
        """Rows at ERROR and above in the last hour."""
        return sum(number for level, number in self.levels.items() if level >= Level.ERROR)


@dataclass(frozen=True, slots=True)
class Overview:
    """One page of systems, and how many there are in all; `retired` counts the hosts that are not shown."""

    systems: list[System]
    number: int
    retired: int
    known: bool
    begins: datetime


def overview(
    now: datetime, *, text: str = "", sort: Sort = Sort.NAME, retired: bool = False, first: int = 0
) -> Overview:
    """Return the systems from number `first` on whose name, or host's name, contains `text` in any case.

    With `retired`, those hosts that have been silent for longer than RETIRED_AFTER instead of the others. `known`
    tells that somebody other than herald has ever given a sign of life.
    """
    limit = now - RETIRED_AFTER
    beats = list(HeartBeat.objects.values_list("system_id", "sub_system_id", "first_heartbeat", "newest_heartbeat"))
    silent = sum(newest < limit for *_, newest in beats)
    chosen = (beat for beat in beats if (beat[3] < limit) is retired)
    found = _systems(chosen, fold(text.strip()))
    levels = _levels(now)
    for system in found:
        system.levels = levels.get(system.name, {})
    found.sort(key=_KEYS[sort])
    shown = found[first : first + PER_PAGE]
    begins = _begin(now)
    _add_rates(shown, begins)
    _add_versions(shown)
    known = any(not beat[0].startswith("herald.") for beat in beats)
    return Overview(shown, len(found), silent, known, begins)


_KEYS = {
    Sort.NAME: lambda system: (fold(system.name), system.name),
    Sort.SEEN: lambda system: (-system.newest.timestamp(), system.name),
    Sort.ERRORS: lambda system: (-system.errors, -system.newest.timestamp(), system.name),
}


def _systems(beats: Iterable[tuple[str, str, datetime, datetime]], text: str) -> list[System]:
    hosts: dict[str, list[Host]] = defaultdict(list)
    for system_id, name, first, newest in beats:
        if text in fold(system_id) or text in fold(name):
            hosts[system_id].append(Host(name, first, newest))
    return [
        System(name, sorted(members, key=lambda host: (-host.newest.timestamp(), host.name)))
        for name, members in hosts.items()
    ]


def _levels(now: datetime) -> dict[str, dict[Level, int]]:
    """Return how many rows each system wrote in the last hour, by level, the gravest first."""
    within = LogCount.objects.filter(minute__gt=now - LAST_HOUR, minute__lte=now)
    sums = within.values_list("system_id", "level").annotate(rows=Sum("count")).order_by("-level")
    found: dict[str, dict[Level, int]] = defaultdict(dict)
    for system_id, level, rows in sums:
        found[system_id][Level(level)] = rows
    return found


def _begin(now: datetime) -> datetime:
    """Return where the first of the buckets begins, the last of which holds `now`."""
    last = datetime.fromtimestamp(now.timestamp() // BUCKET.total_seconds() * BUCKET.total_seconds(), UTC)
    return last - (BUCKETS - 1) * BUCKET


# By ten minutes: the first 15 characters of "2026-11-22 14:03:00".
_BUCKET_OF = {
    "sqlite": "substr(minute, 1, 15) || '0:00'",
    "postgresql": "date_bin('10 minutes', minute, timestamptz '2000-01-01 00:00:00+00')",
}


def _add_rates(systems: Sequence[System], begins: datetime) -> None:
    by_name = {system.name: system for system in systems}
    if not by_name:
        return
    within = LogCount.objects.filter(
        minute__gte=begins, minute__lt=begins + BUCKETS * BUCKET, system_id__in=list(by_name)
    )
    column = RawSQL(_BUCKET_OF[connection.vendor], [])  # noqa: S611 (one of two constants)
    buckets = within.annotate(bucket=column).values_list("bucket", "system_id", "level")
    for bucket, name, level, rows in buckets.annotate(rows=Sum("count")).order_by():
        number = (_moment(bucket) - begins) // BUCKET
        by_name[name].rates[number] += rows
        if level >= Level.ERROR:
            by_name[name].errors_by_bucket[number] += rows


def _moment(bucket: Any) -> datetime:
    return bucket if isinstance(bucket, datetime) else datetime.fromisoformat(bucket).replace(tzinfo=UTC)


def _add_versions(systems: Sequence[System]) -> None:
    hosts = {(system.name, host.name): host for system in systems for host in system.hosts}
    heard: dict[tuple[str, str], list[tuple[str, datetime, datetime]]] = defaultdict(list)
    seen = SystemVersion.objects.filter(system_id__in=[system.name for system in systems]).order_by("-last_seen", "-id")
    for system_id, name, version, since, last in seen.values_list(
        "system_id", "sub_system_id", "version", "first_seen", "last_seen"
    ):
        if version not in NO_VERSION:
            heard[system_id, name].append((version, since, last))
    for key, versions in heard.items():
        if key in hosts:
            _place_versions(hosts[key], versions)


def _place_versions(host: Host, versions: Sequence[tuple[str, datetime, datetime]]) -> None:
    """Tell apart, of versions with the one heard of last first, which run and which was replaced."""
    newest = versions[0][2]
    running = [Version(name, since) for name, since, last in versions if newest - last <= RUNNING_WITHIN]
    host.running = sorted(running, key=lambda version: version.since, reverse=True)
    gone = [Version(name, since) for name, since, last in versions if newest - last > RUNNING_WITHIN]
    host.before = gone[0] if gone else None
