"""The bridges that send their rows here, and those behind them: when each was last heard of, and how.

What is heard is kept in memory and written every few seconds. A hop beat says that a bridge is alive and can reach
this one; rows say what it has to tell. So a site that is quiet differs from one that is gone.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from bridge.models import Hop
from logs import store
from logs.client import wire
from logs.storable import clean, cut

BEAT_SYSTEM = "herald.hop"
"""system_id of the heartbeat that a hop beat is; its host is the bridge's name."""
BEAT_EVERY = timedelta(seconds=30)
SILENT_AFTER = timedelta(seconds=95)
"""Three beats have not come, and the third has had its time."""
SILENT_BEHIND_AFTER = timedelta(seconds=285)
"""One that is heard of through others: each of them tells it with its own next beat."""
QUIET_AFTER = timedelta(minutes=5)
"""A bridge that beats, but has sent no row for so long, is quiet."""
BEHIND_MAX = 50
HOPS_MAX = 1_000
STALE = timedelta(days=30)
_ID = re.compile(r"[0-9A-Za-z_-]{8,64}")


@dataclass(eq=False)
class Heard:
    """One bridge, as this process hears it. Rows and beats are noted by the batcher, connections by the greeter."""

    bridge: str
    name: str
    peer: str
    level: int
    via: str = ""
    connections: int = 0
    said_goodbye: bool = False
    started: datetime | None = None
    newest_beat: datetime | None = None
    newest_row: datetime | None = None
    rows: int = 0
    waiting: int = 0
    clock_offset: float | None = None
    transit: float | None = None
    held: float | None = None
    behind: dict[str, dict[str, Any]] = field(default_factory=dict)
    is_fresh: bool = True

    def row(self, origin: list[dict[str, Any]], received: datetime) -> None:
        """Note a row, and from the moments in its origin how long it was on its way."""
        self.newest_row = received
        self.rows += 1
        self.is_fresh = True
        if origin and self.rows % 64 == 1:
            self._time(origin[-1], received)

    def _time(self, hop: Mapping[str, Any], received: datetime) -> None:
        sent, arrived = moment(hop.get("sent")), moment(hop.get("received"))
        if sent is None:
            return
        # Its clock minus its lead is ours.
        self.transit = (received - sent).total_seconds() + (self.clock_offset or 0.0)
        if arrived is not None:
            self.held = (sent - arrived).total_seconds()

    def beat(self, told: Mapping[str, Any], at: datetime) -> None:
        """Note a sign of life, and what it tells about the bridge and those behind it."""
        self.newest_beat = at
        self.said_goodbye = told.get("bye") is True
        self.started = moment(told.get("started")) or self.started
        self.waiting = _count(told.get("waiting"))
        offset = told.get("clock_offset")
        if isinstance(offset, int | float) and not isinstance(offset, bool) and abs(offset) < 1e9:
            # It measured how far we are ahead of it.
            self.clock_offset = -float(offset)
        behind = told.get("behind")
        if isinstance(behind, list):
            self.behind = {
                b["bridge"]: b for b in behind[:BEHIND_MAX] if isinstance(b, dict) and _is_id(b.get("bridge"))
            }
        self.is_fresh = True


class Hops:
    """What this process hears of other bridges."""

    def __init__(self) -> None:
        self._heard: dict[str, Heard] = {}
        self._lock = threading.Lock()

    def hear(self, hello: wire.Hello, peer: str) -> Heard:
        """Return what is known of the bridge that says hello; it is connected from now on."""
        with self._lock:
            heard = self._heard.get(hello.bridge)
            if heard is None:
                heard = Heard(hello.bridge, _name(hello.name or peer), peer, hello.level)
                if len(self._heard) < HOPS_MAX:
                    self._heard[hello.bridge] = heard
            heard.name, heard.peer, heard.level = _name(hello.name or peer), peer, hello.level
            heard.connections += 1
            heard.said_goodbye = False
            heard.is_fresh = True
            return heard

    def leave(self, heard: Heard) -> None:
        """One connection of that bridge has ended."""
        with self._lock:
            heard.connections -= 1
            heard.is_fresh = True

    def save(self, own: str) -> None:
        """Write what is new, in small statements of their own; raises django.db.Error."""
        with self._lock:
            fresh = [heard for heard in self._heard.values() if heard.is_fresh]
            for heard in fresh:
                heard.is_fresh = False
        for heard in fresh:
            _save(heard)
            if heard.newest_beat is not None:
                store.beat(BEAT_SYSTEM, heard.name[:200], heard.newest_beat)
            for told in heard.behind.values():
                if told["bridge"] != own:
                    _save_behind(heard, told)


_MOMENTS_AND_FIGURES = ("started", "newest_beat", "newest_row", "clock_offset", "transit", "held")


def _save(heard: Heard) -> None:
    # What this process has not heard yet, the one before it may have.
    known = {name: value for name in _MOMENTS_AND_FIGURES if (value := getattr(heard, name)) is not None}
    Hop.objects.update_or_create(
        bridge=heard.bridge,
        defaults={
            "name": heard.name,
            "via": "",
            "peer": heard.peer[:200],
            "level": heard.level,
            "connected": heard.connections > 0,
            "said_goodbye": heard.said_goodbye,
            "rows": heard.rows,
            "waiting": heard.waiting,
            **known,
        },
    )


def _save_behind(heard: Heard, told: Mapping[str, Any]) -> None:
    """Write what a bridge told of one behind it, unless that one is heard here itself."""
    name = _name(str(told.get("name", "")))
    newest, row = moment(told.get("newest_beat")), moment(told.get("newest_row"))
    lead = timedelta(seconds=heard.clock_offset or 0.0)
    values = {
        "name": name,
        "via": heard.name,
        "connected": told.get("connected") is True,
        "said_goodbye": told.get("said_goodbye") is True,
        "newest_beat": newest - lead if newest else None,
        "newest_row": row - lead if row else None,
    }
    changed = Hop.objects.filter(bridge=told["bridge"]).exclude(via="").update(**values)
    if not changed and Hop.objects.count() < HOPS_MAX:
        Hop.objects.get_or_create(bridge=told["bridge"], defaults=values)


def told_behind(now: datetime) -> list[dict[str, Any]]:
    """Return what this bridge tells the next one of those behind it."""
    return [
        {
            "bridge": hop.bridge,
            "name": hop.name,
            "connected": hop.connected,
            "said_goodbye": hop.said_goodbye,
            "newest_beat": hop.newest_beat.isoformat() if hop.newest_beat else None,
            "newest_row": hop.newest_row.isoformat() if hop.newest_row else None,
        }
        for hop in Hop.objects.filter(newest_beat__gt=now - STALE).order_by("-newest_beat")[:BEHIND_MAX]
    ]


def forget_connections() -> None:
    """At a start nobody is connected yet, whatever a process that was killed has left behind."""
    Hop.objects.filter(connected=True, via="").update(connected=False)


class HopState(StrEnum):
    """How an incoming bridge is, by what it was last heard to do."""

    UP = "up"
    QUIET = "quiet"
    STOPPED = "stopped"
    SILENT = "silent"
    GONE = "gone"


def state_of(hop: Hop, now: datetime) -> HopState:
    """Return how a bridge is.

    Stopped: it said goodbye. Gone: its connection broke without a word, so it was killed, or the tunnel is down. Silent:
    the connection stands, but no beat has come for 95 s (285 s, through others). Quiet: it beats, and has nothing to tell.
    """
    if hop.said_goodbye:
        return HopState.STOPPED
    beat = hop.newest_beat
    is_alive = beat is not None and now - beat <= (SILENT_BEHIND_AFTER if hop.via else SILENT_AFTER)
    if not hop.connected:
        return HopState.GONE
    if not is_alive:
        return HopState.SILENT
    return HopState.UP if hop.newest_row and now - hop.newest_row <= QUIET_AFTER else HopState.QUIET


def moment(value: Any) -> datetime | None:
    """Return a moment that another bridge wrote, in UTC; None for anything else."""
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return found.astimezone(UTC) if found.tzinfo is not None and 2000 <= found.year <= 9000 else None


def _name(text: str) -> str:
    return cut(clean(text), 200)


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else 0


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None
