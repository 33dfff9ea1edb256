"""The log that the benchmarks of search look into: a million rows of one day, made once and kept.

They are kept in var/bench, or on the server. Where BENCH_LARGE is set there are five million too, of a busier day, on
SQLite alone.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from django.core.management import call_command
from django.db import connection

from logs import seen, store
from logs.models import Log
from logs.record import Record
from tests.benchmarks._installation import WORDS
from tests.end_to_end.conftest import SERVER

MILLION = 1_000_000
LARGE = 5 * MILLION
DIRECTORY = Path("var/bench")
# Another number makes the rows anew.
VERSION = 2
BATCH = 2_000
DAY = timedelta(days=1)
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
SYSTEMS = [f"System-{number:02}" for number in range(30)]
# A few systems write most of the rows.
SHARES = list(accumulate(1 / (number + 1) for number in range(len(SYSTEMS))))
LEVELS = [(10, "DEBUG"), (20, "INFO"), (30, "WARNING"), (40, "ERROR"), (50, "CRITICAL")]
LEVEL_SHARES = list(accumulate([30, 60, 7, 2.5, 0.5]))
RARE = "disk quota exceeded"
RARE_EVERY = 20_011


def sizes() -> list[int]:
    """Return for how many rows to measure."""
    return [MILLION, LARGE] if os.environ.get("BENCH_LARGE") and not SERVER else [MILLION]


def moment(number: int, rows: int) -> datetime:
    """Return when row `number` (from 0) of `rows` was written."""
    return BEGIN + number * DAY / rows


def row(number: int, rows: int, chance: random.Random) -> Record:
    (system,) = chance.choices(range(len(SYSTEMS)), cum_weights=SHARES)
    ((levelno, levelname),) = chance.choices(LEVELS, cum_weights=LEVEL_SHARES)
    text = " ".join(chance.choices(WORDS, k=6))
    created = moment(number, rows)
    return Record(
        created,
        created + timedelta(milliseconds=30),
        system_id=SYSTEMS[system],
        sub_system_id=f"host-{number % 7}",
        sub_sub_system_id="worker",
        produkt_id="shop",
        package_version=f"1.{number * 4 // rows}",
        name=f"shop.{WORDS[system % len(WORDS)]}",
        levelno=levelno,
        levelname=levelname,
        message=f"{RARE} {text}" if number % RARE_EVERY == 0 else f"{text} {number}",
        exc_text="Traceback (most recent call last)\n  File x\nValueError: bad" if levelno >= 40 else "",
        funcname="charge",
        lineno=system * 10,
        process=1_000 + number % 5,
        extra='{"order": 7}',
    )


@contextlib.contextmanager
def log_of(rows: int) -> Iterator[None]:
    """Point this process's Django at a log of `rows` rows, made where it is not there yet."""
    connection.close()
    name = f"search_{VERSION}_{rows}"
    before = dict(connection.settings_dict)
    if SERVER:
        parts = urlsplit(SERVER)
        with psycopg.connect(SERVER, autocommit=True) as server:
            if not server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [f"herald_{name}"]).fetchone():
                server.execute(f"CREATE DATABASE herald_{name}")
        connection.settings_dict |= {"NAME": f"herald_{name}", "HOST": parts.hostname, "PORT": str(parts.port)}
    else:
        DIRECTORY.mkdir(parents=True, exist_ok=True)
        for file in DIRECTORY.glob("search_*"):
            if not file.name.startswith(f"search_{VERSION}_"):
                file.unlink()
        connection.settings_dict["NAME"] = str((DIRECTORY / f"{name}.sqlite3").resolve())
    try:
        call_command("migrate", database="default", verbosity=0)
        _fill(rows)
        yield
    finally:
        connection.close()
        connection.settings_dict |= before


def _fill(rows: int) -> None:
    """Store what is missing. Each batch has chance of its own, so that one that was interrupted goes on as it began."""
    store.forget_systems()
    seen.forget()
    newest = Log.objects.order_by("-id").values_list("created", flat=True).first()
    done = round((newest - BEGIN) * rows / DAY) + 1 if newest else 0
    if done < rows:
        print(f"making {rows - done:,} rows, once …", file=sys.stderr, flush=True)
    for first in range(done, rows, BATCH):
        chance = random.Random(first)
        store.append([row(number, rows, chance) for number in range(first, min(rows, first + BATCH))])
    if done < rows and SERVER:
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
    elif done < rows:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
