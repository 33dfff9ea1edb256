"""The only writer of log rows.

A batch is one transaction: the rows, the signs of life they are, their minute counts, the versions they were written by, the
values seen in them, and the marks of acknowledged senders become visible together or not at all. The path is executemany on
SQLite and COPY on
PostgreSQL, through Django's connection and without the ORM.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
import weakref
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection, transaction

from logs import seen
from logs.models import HeartBeat, Level, SenderMark, SystemVersion
from logs.record import Record

OTHER = "(other)"
"""Stands for every system beyond the first HERALD_SYSTEMS_MAX."""

COLUMNS = Record._fields
TX_LOCK = 0x6865_7261_6C64
"""Advisory lock on PostgreSQL: writers share it, and who raises the offset of `tx` holds it alone."""

_LEVELS = tuple(sorted(level.value for level in Level))
_HIGHEST = _LEVELS[-1]

_Key = tuple[str, str]
"""A system and its host."""
_Source = tuple[str, str, str]
"""A system, its host, and the version of it that runs there."""
MINUTE = timedelta(minutes=1)
VERSIONS_MAX = 20
VERSIONS_IN = timedelta(hours=1)
"""How many versions of one system are written down for one host within what time."""
GONE = timedelta(minutes=5)
"""A version that was not heard of for so long, while another began, does not run any more."""

Mark = tuple[int, int]
"""How far a sender has come: the number of its last record, in two halves."""
NOWHERE: Mark = (0, 0)


class Move(NamedTuple):
    """A sender's mark goes from `after`, where this writer last saw it, to `to`."""

    after: Mark
    to: Mark


class MarkMoved(Exception):
    """Another writer has moved a sender's mark meanwhile: some of these records may be stored already.

    Nothing of the batch was stored. `marks` tells where the marks of its senders really are.
    """

    def __init__(self, marks: Mapping[str, Mark]) -> None:
        super().__init__(f"marks were moved by another writer: {', '.join(sorted(marks))}")
        self.marks = dict(marks)


def append(records: Sequence[Record], *, marks: Mapping[str, Move] | None = None) -> int:
    """Store `records` and move `marks` (by sender) in one transaction; return the number of rows.

    Raises django.db.Error and stores nothing when the database refuses; the same batch may then be given again.
    Raises MarkMoved, and stores nothing, when a mark is not where it is moved from. With marks, the transaction is
    on the disk when this returns: an acknowledgement may follow.
    Several processes may append at once: marks first, then all upserts by sorted key, so that no two wait for
    each other.
    """
    if not records and not marks:
        return 0
    settle_offset()
    _choose_durability(acknowledged=bool(marks))
    sighted: list[_Sighting] = []
    try:
        with transaction.atomic():
            if marks:
                _move(marks)
            if records:
                told = _summarise(records)
                systems = _admission.admit(source[:2] for source in told.newest)
                _insert(records)
                _beat(told, systems)
                _count(told, systems)
                sighted = _versions.due(told, systems)
                _see(sighted)
                seen.remember(records)
                _admission.accept(systems)
    except _Elsewhere:
        # Read only now: within the transaction the marks that could be moved were already where they shall be.
        raise MarkMoved(marks_of(marks or ())) from None
    _versions.remember(sighted)
    return len(records)


class _Elsewhere(Exception):
    """A mark is not where it is moved from."""


class NotTheirs(Exception):
    """A sender belongs to somebody else."""


def mark_of(sender: str, owner: str = "") -> Mark:
    """Return how far `sender` has come; NOWHERE for one that is not known.

    With an `owner` the sender is theirs from now on. Raises NotTheirs where it already is somebody else's: whoever learns
    another's id must not move its mark.
    """
    if not owner:
        found = SenderMark.objects.filter(sender=sender).first()
    else:
        found, _ = SenderMark.objects.get_or_create(sender=sender, defaults={"owner": owner})
        if not found.owner:
            SenderMark.objects.filter(pk=found.pk, owner="").update(owner=owner)
            found.refresh_from_db()
    if found is None:
        return NOWHERE
    if found.owner != owner:
        raise NotTheirs(sender)
    return found.high, found.low


def marks_of(senders: Iterable[str]) -> dict[str, Mark]:
    """Return how far each sender has come."""
    wanted = list(senders)
    found = {
        sender: (high, low)
        for sender, high, low in SenderMark.objects.filter(sender__in=wanted).values_list("sender", "high", "low")
    }
    return {sender: found.get(sender, NOWHERE) for sender in wanted}


def forget_senders(before: datetime, most: int) -> int:
    """Delete the marks of senders that were not heard of since `before`, and of the longest silent beyond `most`.

    A sender that comes back tells in its hello what it was acknowledged, so that nothing is stored twice.
    """
    gone, _ = SenderMark.objects.filter(updated__lt=before).delete()
    newest = SenderMark.objects.order_by("-updated", "-id").values_list("updated", flat=True)[most : most + 1].first()
    if newest is not None:
        gone += SenderMark.objects.filter(updated__lte=newest).delete()[0]
    return gone


def writer() -> str:
    """Return the name under which this process counts: one row per writer, so that writers never wait."""
    return f"{socket.gethostname()[:150]}/{os.getpid()}"


def level_of(levelno: int) -> int:
    """Return the standard level at or below `levelno` (0 to 50), under which it is counted."""
    return max(0, min(_HIGHEST, levelno // 10 * 10))


# --- Rows --------------------------------------------------------------------------------------------

_INSERT = f"INSERT INTO logs_log ({', '.join(COLUMNS)}) VALUES ({', '.join(['%s'] * len(COLUMNS))})"
# One statement for the batch: FTS5 writes its index out at the end of each statement.
_INDEX_TEXT = """
INSERT INTO logs_log_text (rowid, message, exc_text) SELECT id, message, exc_text FROM logs_log WHERE id > %s
"""
_COPY = f"COPY logs_log (tx, {', '.join(COLUMNS)}) FROM STDIN"
# A missing row in StoreState means that nothing was ever restored.
OFFSET = "coalesce((SELECT tx_offset FROM logs_storestate), 0)"
_TX = f"SELECT pg_current_xact_id()::text::bigint + {OFFSET}"


def _insert(records: Sequence[Record]) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT coalesce(max(id), 0) FROM logs_log")
            newest = cursor.fetchone()
            cursor.executemany(_INSERT, _rows_as_text(records))
            cursor.execute(_INDEX_TEXT, newest)
            return
        # The lock is taken before the id is: whoever raises the offset has seen every transaction under the old one.
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [TX_LOCK])
        cursor.execute(_TX)
        tx = cursor.fetchone()[0]
        with connection.wrap_database_errors, cursor.copy(_COPY) as copy:
            for record in records:
                copy.write_row((tx, *record))


def _rows_as_text(records: Iterable[Record]) -> list[tuple[Any, ...]]:
    """Return rows as SQLite takes them. What was read together was received at one moment: most repeat it."""
    rows: list[tuple[Any, ...]] = []
    received, text = None, ""
    for record in records:
        if record[1] is not received:
            received = record[1]
            text = _text(received)
        rows.append((_text(record[0]), text) + record[2:])  # noqa: RUF005 (a third quicker than unpacking)
    return rows


def _text(moment: datetime) -> str:
    """Return a moment in UTC as Django keeps it in SQLite, without its offset of +00:00."""
    return moment.isoformat(" ")[:-6]


def _moment(moment: datetime) -> datetime | str:
    return _text(moment) if connection.vendor == "sqlite" else moment


# --- What rows say about their systems ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Summary:
    """What the rows of a batch say about their sources: newest arrival, and rows by minute of `created` and level."""

    newest: dict[_Source, datetime]
    counts: dict[tuple[datetime, _Source, int], int]


def _summarise(records: Iterable[Record]) -> _Summary:
    """Go through the rows once; what is done here is done for every row, so it is little."""
    newest: dict[_Source, datetime] = {}
    counts: dict[tuple[datetime, _Source, int], int] = {}
    minute = end = datetime.min.replace(tzinfo=UTC)
    for record in records:
        created, received, system_id, sub_system_id = record[:4]
        source = (system_id, sub_system_id, record.package_version)
        before = newest.get(source)
        if before is not received and (before is None or before < received):
            newest[source] = received
        if not minute <= created < end:
            minute = created.replace(second=0, microsecond=0)
            end = minute + MINUTE
        count = (minute, source, record.levelno)
        counts[count] = counts.get(count, 0) + 1
    return _Summary(newest, counts)


@dataclass(frozen=True, slots=True)
class _Systems:
    """Which systems of a batch have a place of their own, and which of them are new."""

    known: frozenset[_Key] | set[_Key]
    fresh: frozenset[_Key]

    def place(self, key: _Key) -> _Key:
        """Return under which system and host something is kept."""
        return key if not key[0] or key in self.known or key in self.fresh else (OTHER, OTHER)


class _Admission:
    """Keeps the tables keyed by system within HERALD_SYSTEMS_MAX, whatever senders call themselves.

    The bound is on (system, host) pairs. Each writer admits by what it has seen in the database, so that several
    writers may pass the bound together by what they admit in the same moment.
    """

    def __init__(self) -> None:
        self._known: set[_Key] = set()
        self._lock = threading.Lock()

    def admit(self, found: Iterable[_Key]) -> _Systems:
        keys = {key for key in found if key[0]}
        with self._lock:
            strangers = keys - self._known
            room = settings.SYSTEMS_MAX - len(self._known)
            if strangers and room > 0:
                self._known.update(HeartBeat.objects.values_list("system_id", "sub_system_id"))
                strangers = keys - self._known
                room = settings.SYSTEMS_MAX - len(self._known)
            return _Systems(self._known, frozenset(sorted(strangers)[: max(room, 0)]))

    def accept(self, systems: _Systems) -> None:
        """Remember the new ones; a rollback after this only means that they are admitted again."""
        with self._lock:
            self._known.update(systems.fresh)

    def forget(self) -> None:
        """Look the systems up anew at the next batch, as when retired ones were deleted."""
        with self._lock:
            self._known.clear()


_admission = _Admission()


def forget_systems() -> None:
    """Look systems and versions up anew at the next batch, as when retired ones were deleted."""
    _admission.forget()
    _versions.forget()


_BEAT = """
INSERT INTO logs_heartbeat (system_id, sub_system_id, first_heartbeat, newest_heartbeat) VALUES (%s, %s, %s, %s)
ON CONFLICT (system_id, sub_system_id) DO UPDATE SET newest_heartbeat = excluded.newest_heartbeat
WHERE excluded.newest_heartbeat > logs_heartbeat.newest_heartbeat
"""
_COUNT = """
INSERT INTO logs_logcount (minute, system_id, level, writer, count) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (minute, system_id, level, writer) DO UPDATE SET count = logs_logcount.count + excluded.count
"""
# Whoever finds the mark elsewhere than it was last seen moves nothing: the number of rows tells.
_MOVE = """
INSERT INTO logs_sendermark (sender, owner, high, low, updated) VALUES (%s, '', %s, %s, %s)
ON CONFLICT (sender) DO UPDATE SET high = excluded.high, low = excluded.low, updated = excluded.updated
WHERE logs_sendermark.high = %s AND logs_sendermark.low = %s
"""


def _beat(told: _Summary, systems: _Systems) -> None:
    newest: dict[_Key, datetime] = {}
    for source, moment in told.newest.items():
        if source[0]:
            place = systems.place(source[:2])
            newest[place] = max(moment, newest.get(place, moment))
    _upsert(_BEAT, [(*key, moment, moment) for key, moment in ((k, _moment(newest[k])) for k in sorted(newest))])


def beat(system_id: str, host: str, at: datetime) -> None:
    """Record a sign of life that is no log row: a daemon's own."""
    _upsert(_BEAT, [(system_id, host, _moment(at), _moment(at))])


def _count(told: _Summary, systems: _Systems) -> None:
    counts: Counter[tuple[datetime, str, int]] = Counter()
    for (minute, source, levelno), number in told.counts.items():
        counts[minute, systems.place(source[:2])[0], level_of(levelno)] += number
    me = writer()
    _upsert(_COUNT, [(_moment(k[0]), k[1], k[2], me, n) for k, n in sorted(counts.items())])


class _Sighting(NamedTuple):
    """A version of a system on a host, and when it was heard of."""

    key: _Key
    version: str
    at: datetime


class _Versions:
    """Knows which versions were written down lately, so that hardly any batch writes one.

    A host may change its version as often as it likes, but VERSIONS_MAX times an hour are written down.
    """

    def __init__(self) -> None:
        self._written: dict[_Key, dict[str, datetime]] = {}
        self._lock = threading.Lock()

    def due(self, told: _Summary, systems: _Systems) -> list[_Sighting]:
        """Return, sorted, what of a batch is new or was written down a minute ago or longer."""
        found: list[_Sighting] = []
        fresh: Counter[_Key] = Counter()
        with self._lock:
            for (system_id, host, version), at in told.newest.items():
                key = (system_id, host)
                if not (system_id and version) or systems.place(key) != key:
                    continue
                written = self._written.get(key, {})
                last = written.get(version)
                if last is None:
                    fresh[key] += 1
                    if _busy(written, at) + fresh[key] > VERSIONS_MAX:
                        continue
                if last is None or at - last >= MINUTE:
                    found.append(_Sighting(key, version, at))
        return sorted(found)

    def remember(self, sighted: Iterable[_Sighting]) -> None:
        """Note what has been committed."""
        with self._lock:
            for key, version, at in sighted:
                written = self._written.setdefault(key, {})
                written.pop(version, None)
                written[version] = at
                if len(written) > VERSIONS_MAX:
                    del written[next(iter(written))]  # the one written down longest ago

    def forget(self) -> None:
        with self._lock:
            self._written.clear()


def _busy(written: Mapping[str, datetime], at: datetime) -> int:
    """Return how many versions of one host were written down within the last hour."""
    return sum(at - last < VERSIONS_IN for last in written.values())


_versions = _Versions()

# One that comes back after another has begun (a deployment that was undone) begins anew.
_SEE = """
INSERT INTO logs_systemversion (system_id, sub_system_id, version, first_seen, last_seen) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (system_id, sub_system_id, version) DO UPDATE SET
    first_seen = CASE WHEN logs_systemversion.last_seen < %s AND EXISTS (
        SELECT 1 FROM logs_systemversion AS other
        WHERE other.system_id = excluded.system_id AND other.sub_system_id = excluded.sub_system_id
          AND other.first_seen > logs_systemversion.last_seen
    ) THEN excluded.first_seen ELSE logs_systemversion.first_seen END,
    last_seen = excluded.last_seen
WHERE excluded.last_seen > logs_systemversion.last_seen
"""


def _see(sighted: Sequence[_Sighting]) -> None:
    _upsert(
        _SEE,
        [
            (*one.key, one.version, moment, moment, _moment(one.at - GONE))
            for one in sighted
            for moment in [_moment(one.at)]
        ],
    )


def forget_versions(before: datetime, most: int) -> int:
    """Delete the versions that were not heard of since `before`, and the longest silent beyond `most`."""
    gone, _ = SystemVersion.objects.filter(last_seen__lt=before).delete()
    newest = SystemVersion.objects.order_by("-last_seen").values_list("last_seen", flat=True)[most : most + 1].first()
    if newest is not None:
        gone += SystemVersion.objects.filter(last_seen__lte=newest).delete()[0]
    return gone


def _move(marks: Mapping[str, Move]) -> None:
    now = _moment(datetime.now(UTC))
    rows = [(sender, *move.to, now, *move.after) for sender, move in sorted(marks.items())]
    with connection.cursor() as cursor:
        cursor.executemany(_MOVE, rows)
        moved = cursor.rowcount
    if moved != len(rows):
        raise _Elsewhere


def _choose_durability(*, acknowledged: bool) -> None:
    """See to it that what is acknowledged outlives a power cut; what is not may be quicker."""
    if connection.vendor == "sqlite":
        if not connection.in_atomic_block:  # it cannot be changed within a transaction
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA synchronous=FULL" if acknowledged else "PRAGMA synchronous=NORMAL")
    elif acknowledged:
        with connection.cursor() as cursor:
            cursor.execute(_DURABLE)


def _upsert(statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(statement, rows)


# --- The offset of `tx` -----------------------------------------------------------------------------------

# What the next transaction's `tx` will be at least, and the greatest that has been given out or read up to.
_TX_BOUNDS = f"""
SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint + {OFFSET},
       greatest((SELECT max(tx) FROM logs_log),
                (SELECT max(split_part(position, '.', 1)::bigint) FROM logs_readerposition))
"""
_RAISE = """
INSERT INTO logs_storestate (id, tx_offset) VALUES (1, %s)
ON CONFLICT (id) DO UPDATE SET tx_offset = logs_storestate.tx_offset + excluded.tx_offset
"""

# A database may have been told to answer before its disk has; anything stricter than `on` stays.
_DURABLE = """
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')
"""

_settled: weakref.WeakSet[Any] = weakref.WeakSet()


def settle_offset() -> None:
    """Raise the offset where transaction ids have begun anew below rows that are already there.

    This is so after a restore into another cluster. Looked at once per connection, by writers and readers: a
    restored database is one that everybody had to connect to again.
    """
    if connection.vendor != "postgresql":
        return
    connection.ensure_connection()
    if connection.connection in _settled:
        return
    with transaction.atomic(), connection.cursor() as cursor:
        if _shortfall(cursor):
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [TX_LOCK])
            # Another process may have raised it while this one waited.
            if shortfall := _shortfall(cursor):
                cursor.execute(_RAISE, [shortfall])
    _settled.add(connection.connection)


def _shortfall(cursor: Any) -> int:
    cursor.execute(_TX_BOUNDS)
    coming, given = cursor.fetchone()
    return 0 if given is None or given < coming else given - coming + 1


# --- Out of the way of writers -----------------------------------------------------------------------------


def checkpoint() -> None:
    """Move what SQLite's write-ahead log holds into the database file; nobody waits for it. Nothing on a server."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")


# --- Room -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Room:
    """How much of the database's disk is free."""

    path: Path
    free_percent: float
    free_bytes: int


def room() -> Room | None:
    """Return the room on the disk that holds the database; None when it lies on a server, which knows itself."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor != "sqlite" or name.startswith("file:") or name == ":memory:":
        return None
    path = Path(name).parent
    usage = shutil.disk_usage(path)
    return Room(path, 100.0 * usage.free / usage.total, usage.free)


def is_full() -> bool:
    """Whether the disk has less room than HERALD_DISK_FREE_MIN_PERCENT: then herald takes no more records."""
    found = room()
    return found is not None and found.free_percent < settings.DISK_FREE_MIN_PERCENT
