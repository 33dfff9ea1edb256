"""Records for tests, made without a bridge."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from logs.record import Record

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Answer  # what Django's test client answers
else:
    from django.http import HttpResponse as Answer

__all__ = ["Answer", "record"]


def record(message: str = "hello", /, *, at: datetime | None = None, **fields: Any) -> Record:
    """Return a storable record of system `shop`, created and received at `at` (now)."""
    moment = at or timezone.now()
    given = {"system_id": "shop", "sub_system_id": "web-1", "levelno": 20, "levelname": "INFO", "name": "shop"}
    return Record(**{"created": moment, "received": moment, "message": message, **given, **fields})
