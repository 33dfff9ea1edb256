"""How long rows are kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from django.db import connection, transaction

from logs.models import LogCount

_OLDEST = "SELECT max(id) FROM (SELECT id FROM logs_log ORDER BY id LIMIT %s) AS oldest"
_DELETE = "DELETE FROM logs_log WHERE id <= %s AND received < %s"


def prune(
    before: datetime, *, chunk: int = 1_000, pause: float = 0.05, stop: Callable[[], bool] = lambda: False
) -> int:
    """Delete the rows received before `before`, oldest first, and their minute counts; return how many rows went.

    Each chunk is a transaction of its own, with `pause` seconds after it in which other writers get their turn.
    `stop` is asked before each chunk. Rows that a clock gone astray stamped with the future end the search early
    only when they fill a whole chunk.
    """
    gone = 0
    while not stop():
        deleted = _prune_chunk(before, chunk)
        if not deleted:
            break
        gone += deleted
        time.sleep(pause)
    LogCount.objects.filter(minute__lt=before).delete()
    return gone


def _prune_chunk(before: datetime, chunk: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_OLDEST, [chunk])
        (last,) = cursor.fetchone()
    if last is None:
        return 0
    moment = str(before.replace(tzinfo=None)) if connection.vendor == "sqlite" else before
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_DELETE, [last, moment])
        return int(cursor.rowcount)
