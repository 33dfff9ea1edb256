"""What `manage.py check` has to say about the bridge's settings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from bridge import exposure, tls

FRAME_LIMIT = 2**28
"""A frame's length is below what TLS and HTTP begin with, read as a number: so they are told apart."""


def check_bridge(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of record ports that strangers reach, and refuse limits and files that cannot work."""
    found: list[CheckMessage] = [Warning(text, hint=hint, id=id) for id, text, hint in exposure.remarks()]
    found += check_certificates(datetime.now(UTC))
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


def check_certificates(now: datetime) -> list[CheckMessage]:
    """Refuse files that the encrypted port cannot use, and warn of certificates before they end."""
    try:
        files = tls.configured()
        if files is None:
            return _without_port()
        tls.server_context(files)
        return [
            Warning(f"{sentence}.", hint="Make or fetch a new one, and restart the bridge.", id="bridge.W003")
            for sentence in tls.endings(tls.certificates_of(files), now)
        ]
    except tls.TLSTrouble as error:
        return [Error(f"{error}.", id="bridge.E003")]


def _without_port() -> list[CheckMessage]:
    if not (settings.BRIDGE_TLS_CERTIFICATE or settings.BRIDGE_TLS_CLIENT_CA):
        return []
    return [
        Warning(
            "There is a certificate for records by TLS, but no port on which they come in.",
            hint="Set HERALD_BRIDGE_TLS_PORT.",
            id="bridge.W004",
        )
    ]
