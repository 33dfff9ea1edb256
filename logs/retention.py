"""How long rows are kept: for a time, and then until everybody who follows the log has read them, within a bound."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import F

from logs.models import Log, LogCount, ReaderPosition, StoreState
from logs.tail import Position

_OLDEST = "SELECT max(id) FROM (SELECT id FROM logs_log ORDER BY id LIMIT %s) AS oldest"
_BEYOND = {"sqlite": "id > %s", "postgresql": "(tx, id) > (%s, %s)"}
_UP_TO = {"sqlite": "id <= %s", "postgresql": "(tx, id) <= (%s, %s)"}


def prune(
    before: datetime,
    *,
    patience: timedelta = timedelta(0),
    chunk: int = 1_000,
    pause: float = 0.05,
    stop: Callable[[], bool] = lambda: False,
) -> int:
    """Delete the rows received before `before`, oldest first, and their minute counts; return how many rows went.

    A row that a named reader of the log has not read yet stays for another `patience`; after that it goes all the same, and
    is counted as cut for that reader.
    Each chunk is a transaction of its own, with `pause` seconds after it in which other writers get their turn.
    `stop` is asked before each chunk. Rows that a clock gone astray stamped with the future end the search early
    only when they fill a whole chunk.
    """
    gone = 0
    _note(before)
    while not stop():
        deleted = _prune_chunk(before, before - patience, chunk)
        if not deleted:
            break
        gone += deleted
        time.sleep(pause)
    LogCount.objects.filter(minute__lt=before).delete()
    return gone


def prune_read(
    position: Position, *, chunk: int = 1_000, pause: float = 0.05, stop: Callable[[], bool] = lambda: False
) -> int:
    """Delete the rows up to `position`, however young they are, in chunks as `prune` does; return how many went."""
    gone = 0
    up_to = _UP_TO[connection.vendor]
    while not stop():
        last = _oldest(chunk)
        if last is None:
            break
        with transaction.atomic(), connection.cursor() as cursor:
            _note(Log.objects.filter(id=last).values_list("received", flat=True).first())
            cursor.execute(f"DELETE FROM logs_log WHERE id <= %s AND {up_to}", [last, *_values(position)])  # noqa: S608
            deleted = int(cursor.rowcount)
        if not deleted:
            break
        gone += deleted
        time.sleep(pause)
    return gone


def _note(pruned_to: datetime | None) -> None:
    """Remember that the minute counts from before this moment are no longer those of the rows that are there."""
    if pruned_to is None:
        return
    state, _ = StoreState.objects.get_or_create(id=1)
    if state.pruned_to is None or state.pruned_to < pruned_to:
        StoreState.objects.filter(id=1).update(pruned_to=pruned_to)


def _oldest(chunk: int) -> int | None:
    """Return the id up to which the oldest `chunk` rows lie."""
    with connection.cursor() as cursor:
        cursor.execute(_OLDEST, [chunk])
        found: int | None = cursor.fetchone()[0]
        return found


def _prune_chunk(before: datetime, at_last: datetime, chunk: int) -> int:
    last = _oldest(chunk)
    if last is None:
        return 0
    with transaction.atomic():
        readers = [(reader.name, Position.parse(reader.position)) for reader in ReaderPosition.objects.all()]
        slowest = min((position for _, position in readers), default=None)
        for name, position in readers:
            _count_cut(name, position, last, min(before, at_last))
        return _delete(last, before, at_last, slowest)


def _delete(last: int, before: datetime, at_last: datetime, slowest: Position | None) -> int:
    condition, values = "received < %s", [last, _moment(before)]
    if slowest is not None:
        condition += f" AND ({_UP_TO[connection.vendor]} OR received < %s)"
        values += [*_values(slowest), _moment(at_last)]
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM logs_log WHERE id <= %s AND {condition}", values)  # noqa: S608
        return int(cursor.rowcount)


def _count_cut(name: str, position: Position, last: int, at_last: datetime) -> None:
    """Count for one reader what goes now although it was not read."""
    beyond = _BEYOND[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM logs_log WHERE id <= %s AND received < %s AND {beyond}",  # noqa: S608
            [last, _moment(at_last), *_values(position)],
        )
        cut = cursor.fetchone()[0]
    if cut:
        ReaderPosition.objects.filter(name=name).update(cut=F("cut") + cut)


def _values(position: Position) -> Sequence[int]:
    return [position.id] if connection.vendor == "sqlite" else [position.tx, position.id]


def _moment(moment: datetime) -> Any:
    return str(moment.replace(tzinfo=None)) if connection.vendor == "sqlite" else moment
