"""The only ordered reader of log rows: whoever follows the log reads here, each with a position of their own.

On SQLite there is one writer at a time, so ids become visible in order. On PostgreSQL they do not: a row is read
only when every transaction that might still bring an earlier one has ended, which is when its `tx` lies below the
oldest transaction still open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import orjson
from django.db import connection

from logs.models import ReaderPosition
from logs.store import COLUMNS, OFFSET, settle_offset

NAMES = ("id", *COLUMNS)
Row = dict[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """How far a reader has read. Its text is opaque to everybody else; positions of one database can be compared."""

    tx: int
    id: int

    START: ClassVar[Position]

    def __str__(self) -> str:
        return f"{self.tx}.{self.id}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """Return the position that `str` wrote; raises ValueError for any other text."""
        tx, dot, number = text.partition(".")
        if not (dot and tx.isascii() and tx.isdigit() and number.isascii() and number.isdigit() and len(text) <= 40):
            raise ValueError("not a position")
        if max(int(tx), int(number)) >= 2**63:
            raise ValueError("not a position")
        return cls(int(tx), int(number))


Position.START = Position(0, 0)


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows in reading order, and the position after the last of them; `positions` has the one after each."""

    rows: list[Row]
    position: Position
    positions: list[Position]


_COLUMNS = ", ".join(NAMES)
_SQLITE = f"SELECT {_COLUMNS} FROM logs_log WHERE id > %s ORDER BY id LIMIT %s"
# The snapshot and the offset are read by the statement that reads the rows, or they could contradict it.
_BOUND = f"(SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint + {OFFSET})"
_POSTGRESQL = (
    f"SELECT tx, {_COLUMNS} FROM logs_log WHERE (tx, id) > (%s, %s) AND tx < {_BOUND} ORDER BY tx, id LIMIT %s"
)
_NEWEST = f"SELECT tx, id FROM logs_log WHERE tx < {_BOUND} ORDER BY tx DESC, id DESC LIMIT 1"


def read_after(position: Position, limit: int) -> Batch:
    """Return at most `limit` rows after `position`, in the one order in which nothing is ever skipped.

    The rows map Log's column names to values: aware datetimes in UTC, `extra` a dict, `origin` a list. An empty
    batch means that nothing new is visible; its position is the one given.
    """
    settle_offset()
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(_SQLITE, [position.id, limit])
            rows = list(map(_row, cursor.fetchall()))
            positions = [Position(0, row["id"]) for row in rows]
            return Batch(rows, positions[-1] if positions else position, positions)
        cursor.execute(_POSTGRESQL, [position.tx, position.id, limit])
        found = cursor.fetchall()
        rows = [_row(values[1:]) for values in found]
        positions = [Position(values[0], values[1]) for values in found]
        return Batch(rows, positions[-1] if positions else position, positions)


def newest() -> Position:
    """Return the position after every row that is readable now."""
    settle_offset()
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'logs_log'")
            return Position(0, cursor.fetchone()[0])
        cursor.execute(_NEWEST)
        found = cursor.fetchone()
        return Position(*found) if found else Position.START


def row_maker(names: Sequence[str]) -> Callable[[Iterable[Any]], Row]:
    """Return what makes a row of the values a cursor gives for the columns `names`, in the types of `read_after`."""
    decoders = [(name, decode) for name, decode in _DECODERS.items() if name in names]

    def row_of(values: Iterable[Any]) -> Row:
        row = dict(zip(names, values))  # noqa: B905 (as many as were selected; this is done for every row)
        for name, decode in decoders:
            row[name] = decode(row[name])
        return row

    return row_of


def _aware(moment: datetime) -> datetime:
    """SQLite keeps moments in UTC, and no zone with them."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _json(text: str) -> Any:
    """Most rows hold nothing here, and a decoder takes its time even for that."""
    return {} if text == "{}" else [] if text == "[]" else orjson.loads(text)


_DECODERS: dict[str, Callable[[Any], Any]] = {"created": _aware, "received": _aware, "extra": _json, "origin": _json}


_row = row_maker(NAMES)


# --- Readers with a name ------------------------------------------------------------------------------------


def load_position(name: str) -> Position:
    """Return where the reader `name` was; the start for one that has never read."""
    text = ReaderPosition.objects.filter(name=name).values_list("position", flat=True).first()
    return Position.parse(text) if text else Position.START


def save_position(name: str, position: Position) -> None:
    """Keep where the reader `name` is. Call it in the transaction of what the reader made of the rows."""
    ReaderPosition.objects.update_or_create(name=name, defaults={"position": str(position)})


# --- Who holds the readers back -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Holder:
    """An open transaction below which readers must wait. `pid` is None for a prepared transaction; `since` and
    `database` are None where herald's role may not see them (grant it pg_monitor)."""

    pid: int | None
    since: datetime | None
    age: timedelta | None
    database: str | None


# pg_locks tells every role which process holds which transaction id; the rest is only for those who may see it.
_HOLDERS = """
SELECT l.pid, coalesce(a.xact_start, p.prepared), now() - coalesce(a.xact_start, p.prepared),
       coalesce(a.datname, p.database)
FROM pg_locks l
LEFT JOIN pg_stat_activity a ON a.pid = l.pid
LEFT JOIN pg_prepared_xacts p ON p.transaction = l.transactionid
WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted
  AND l.pid IS DISTINCT FROM pg_backend_pid()
ORDER BY age(l.transactionid) DESC
"""


def holders(older_than: timedelta = timedelta(seconds=5)) -> list[Holder]:
    """Return the transactions that have held readers back for longer than `older_than`, the oldest first.

    One whose age herald may not see is listed too. Empty on SQLite, where nobody can.
    """
    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute(_HOLDERS)
        found = [Holder(*values) for values in cursor.fetchall()]
    return [holder for holder in found if holder.age is None or holder.age > older_than]
