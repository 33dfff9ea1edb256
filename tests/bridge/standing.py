"""Destinations and incoming bridges for tests, as their forwarder or their hellos would have left them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from bridge.models import Destination, Hop
from logs.client import sender as line


def destination(now: datetime, name: str = "head-office", /, **fields: Any) -> Destination:
    """Return a stored destination that is connected, and to which a row has just gone."""
    given: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": 9017,
        "state": line.CONNECTED,
        "state_since": now - timedelta(hours=2),
        "newest_row": now,
        "updated": now,
        "held_until": now + timedelta(seconds=10),
        "far_bridge": "b" * 32,
        "far_name": "head office",
        "far_level": 50,
        "clock_offset": 2.14,
        "rows": 1_234,
    }
    return Destination.objects.create(name=name, **given | fields)


def hop(now: datetime, name: str = "branch", /, **fields: Any) -> Hop:
    """Return a stored bridge that sends here and has just sent a row."""
    given: dict[str, Any] = {
        "bridge": f"{name}-bridge-id",
        "peer": "10.0.0.7",
        "level": 40,
        "connected": True,
        "newest_beat": now,
        "newest_row": now,
        "clock_offset": -3.2,
        "held": 1.2,
        "transit": 0.1,
    }
    return Hop.objects.create(name=name, **given | fields)
