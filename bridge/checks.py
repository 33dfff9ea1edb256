"""What `manage.py check` has to say about the bridge's settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from bridge.addresses import is_loopback

FRAME_LIMIT = 2**28
"""A frame's length is below what TLS and HTTP begin with, read as a number: so they are told apart."""


def check_bridge(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of a record port that strangers reach, and refuse limits that cannot work."""
    found: list[CheckMessage] = []
    if settings.BRIDGE_PUBLIC and not is_loopback(settings.BRIDGE_HOST):
        found.append(
            Warning(
                f"Other machines reach the record port ({settings.BRIDGE_HOST}:{settings.BRIDGE_PORT}), and record "
                "clients are neither authenticated nor encrypted.",
                hint="Let only trusted machines reach it (a firewall, an ssh tunnel), or set "
                "HERALD_BRIDGE_HOST=127.0.0.1.",
                id="bridge.W001",
            )
        )
    if not 1 <= settings.FRAME_MAX <= FRAME_LIMIT:
        found.append(
            Error(
                f"HERALD_FRAME_MAX is {settings.FRAME_MAX}; it must be from 1 to {FRAME_LIMIT} bytes.",
                id="bridge.E001",
            )
        )
    for name in ("BATCH_ROWS", "QUEUE_BYTES", "CLIENTS_MAX"):
        if getattr(settings, name) < 1:
            found.append(Error(f"HERALD_{name} is {getattr(settings, name)}; it must be at least 1.", id="bridge.E002"))
    return found
