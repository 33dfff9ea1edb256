"""What herald writes into its own log about patterns: what people decided, and what came back."""

from __future__ import annotations

import logging
import os
from datetime import datetime

from django.conf import settings

from logs import store
from logs.record import Record
from logs.storable import clean

SYSTEM = "herald.patterns"


def say(message: str, at: datetime, level: int = logging.INFO) -> None:
    """Store one row, in the transaction at hand. Below WARNING, or there would be patterns of patterns."""
    row = Record(
        created=at,
        received=at,
        system_id=SYSTEM,
        sub_system_id=clean(settings.HOST_NAME)[:200],
        produkt_id="herald",
        name=SYSTEM,
        levelno=level,
        levelname=logging.getLevelName(level),
        message=clean(message),
        module="patterns",
        process=os.getpid(),
    )
    store.append([row])
