"""How much the log takes, and how much it may."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import connection

from logs import partitions, store

GB = 10**9


@dataclass(frozen=True, slots=True)
class Limit:
    """How many bytes the log may take, and which setting says so."""

    bytes: int
    setting: str


def used() -> int:
    """Return the bytes that are in use: on SQLite all of the file but its free pages, on PostgreSQL the log's tables.

    What SQLite has freed is used again, and counts as free; PostgreSQL's tables are counted whole.
    """
    if connection.vendor == "postgresql":
        return partitions.size()
    return (_pragma("page_count") - _pragma("freelist_count")) * _pragma("page_size")


def limit() -> Limit | None:
    """Return the lowest limit that is set; None when there is none."""
    limits: list[Limit] = []
    if settings.SIZE_MAX_GB:
        limits.append(Limit(int(settings.SIZE_MAX_GB * GB), f"HERALD_SIZE_MAX_GB={settings.SIZE_MAX_GB:g}"))
    room = store.room()
    if room is not None:
        # Of what the file could grow to: what others have filled cannot be had by deleting rows.
        share = settings.DISK_USE_MAX_PERCENT
        could_be = room.free_bytes + _file_size()
        limits.append(Limit(int(could_be * share / 100), f"HERALD_DISK_USE_MAX_PERCENT={share:g}"))
    return min(limits, key=lambda one: one.bytes, default=None)


def share_to_go(used_bytes: int, limit_bytes: int) -> float:
    """Return the share of the rows that must go at most, half as much again included for what frees late."""
    return min(1.0, 1.5 * (1 - limit_bytes / used_bytes)) if used_bytes > limit_bytes else 0.0


def _pragma(name: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA {name}")
        return int(cursor.fetchone()[0])


def _file_size() -> int:
    path = Path(str(connection.settings_dict["NAME"]))
    return sum(part.stat().st_size for part in (path, Path(f"{path}-wal")) if part.exists())
