"""What the bridge's benchmarks share: a herald of their own, frames as real clients send them, plain ways to insert."""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import socket
import sqlite3
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import psycopg
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from bridge.codecs import to_record
from logs.models import Log
from logs.record import Record
from logs.store import COLUMNS
from tests.end_to_end.conftest import SERVER, Site

BATCH = 2_000
T = TypeVar("T")
WORDS = [
    "payment",
    "order",
    "customer",
    "retry",
    "timeout",
    "accepted",
    "refused",
    "queue",
    "connection",
    "invoice",
    "shipped",
    "stored",
    "cache",
    "expired",
    "token",
    "session",
    "worker",
    "started",
    "finished",
    "request",
    "response",
    "slow",
    "gateway",
    "mail",
    "balance",
    "transfer",
    "rate",
    "limit",
    "upstream",
]


@contextlib.contextmanager
def installation() -> Iterator[Site]:
    """A migrated herald in a directory (and, on PostgreSQL, a database) of its own."""
    with tempfile.TemporaryDirectory(prefix="herald-bench-") as directory:
        url, name = f"sqlite:///{directory}/herald.sqlite3", ""
        if SERVER:
            name = f"herald_bench_{os.getpid()}_{time.monotonic_ns()}"
            with psycopg.connect(SERVER, autocommit=True) as server:
                server.execute(f"CREATE DATABASE {name}")
            url = urlsplit(SERVER)._replace(path=f"/{name}").geturl()
        site = Site(Path(directory), url)
        try:
            done = site.manage("migrate", "-v0", timeout=300)
            if done.returncode:
                raise RuntimeError(done.stdout + done.stderr)
            yield site
        finally:
            site.close()
            connection.close()
            if name:
                with psycopg.connect(SERVER, autocommit=True) as server:
                    server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def payload(number: int, chance: random.Random, created: float | None = None) -> bytes:
    """Return one record as ps.basic sends it: 27 fields, protocol 1, 660 to 800 bytes."""
    levelno, levelname = chance.choice([(10, "DEBUG"), (20, "INFO"), (20, "INFO"), (30, "WARNING"), (40, "ERROR")])
    service = f"svc-{number % 4}"
    return pickle.dumps(
        {
            "name": service,
            "msg": f"{' '.join(chance.choices(WORDS, k=6))} {number}",
            "args": None,
            "levelname": levelname,
            "levelno": levelno,
            "pathname": f"/srv/app/{service}/handlers.py",
            "filename": "handlers.py",
            "module": "handlers",
            "exc_info": None,
            "exc_text": None,
            "stack_info": None,
            "lineno": chance.randrange(1, 900),
            "funcName": chance.choice(["charge", "handle_request", "main"]),
            "created": created if created is not None else time.time(),
            "msecs": chance.random() * 1000,
            "relativeCreated": number * 1.25,
            "thread": 140_000_000_000_000 + number % 7,
            "threadName": "MainThread",
            "processName": "MainProcess",
            "process": 4_000 + number % 4,
            "package_version": "1.4.2",
            "SYSTEM_ID": service,
            "SUB_SYSTEM_ID": "web-3.example.net",
            "SUB_SUB_SYSTEM_ID": "None",
            "PRODUKT_ID": "shop",
            "USER_SPEC_1": "None",
            "USER_SPEC_2": "None",
        },
        1,
    )


def frame(body: bytes) -> bytes:
    return struct.pack(">L", len(body)) + body


def payloads(count: int, seed: int = 7) -> list[bytes]:
    chance = random.Random(seed)
    return [payload(number, chance) for number in range(count)]


def records(bodies: Sequence[bytes]) -> list[Record]:
    now = datetime.now(UTC)
    return [to_record(body, received=now, peer="127.0.0.1") for body in bodies]


def send(site: Site, bodies: Sequence[bytes], connections: int = 4) -> None:
    """Send all frames without a pause, from several connections at once; returns when they have been handed over."""
    parts = [b"".join(map(frame, bodies[number::connections])) for number in range(connections)]

    def one(part: bytes) -> None:
        with site.connect() as client:
            client.sendall(part)
            client.shutdown(socket.SHUT_WR)
            client.settimeout(120)
            client.recv(1)  # until the bridge has read everything and closes

    threads = [threading.Thread(target=one, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Rows:
    """How many rows of clients a site has, asked so that asking costs next to nothing."""

    def __init__(self, site: Site) -> None:
        self._site = site
        if site.database_url.startswith("postgres"):
            self._connection: Any = psycopg.connect(site.database_url, autocommit=True)
        else:
            self._connection = sqlite3.connect(site.database_url.removeprefix("sqlite:///"))

    def close(self) -> None:
        self._connection.close()

    def follow(self, number: int, timeout: float = 300) -> list[tuple[float, int]]:
        """Return (moment, rows so far) for each commit that shows more rows, until there are `number`."""
        seen = [(time.perf_counter(), self.count())]
        deadline = time.monotonic() + timeout
        while seen[-1][1] < number:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{seen[-1][1]} of {number} rows\n{self._site.running[-1].output}")
            time.sleep(0.001)
            count = self.count()
            if count != seen[-1][1]:
                seen.append((time.perf_counter(), count))
        return seen

    def count(self) -> int:
        asked = self._connection.execute("SELECT coalesce(sum(count), 0) FROM logs_logcount WHERE system_id > 'svc-'")
        return int(asked.fetchone()[0])


def use(site: Site) -> None:
    """Point this process's Django at the database of `site`."""
    connection.close()
    if site.database_url.startswith("postgres"):
        parts = urlsplit(site.database_url)
        connection.settings_dict |= {"NAME": parts.path[1:], "HOST": parts.hostname, "PORT": str(parts.port)}
    else:
        connection.settings_dict["NAME"] = site.database_url.removeprefix("sqlite:///")


_INSERT = f"INSERT INTO logs_log ({', '.join(COLUMNS)}) VALUES ({', '.join(['%s'] * len(COLUMNS))})"
_INDEX = "INSERT INTO logs_log_text (rowid, message, exc_text) SELECT id, message, exc_text FROM logs_log WHERE id > %s"


def insert_raw(rows: Sequence[Record]) -> list[float]:
    """Insert prepared rows the engine's quickest way, 2,000 to a transaction; return each transaction's seconds."""
    prepared: list[tuple[Any, ...]]
    if connection.vendor == "postgresql":
        prepared = [(0, *row) for row in rows]
    else:
        prepared = [(str(row[0].replace(tzinfo=None)), str(row[1].replace(tzinfo=None)), *row[2:]) for row in rows]
    connection.ensure_connection()
    return [_timed(_insert_batch, prepared[start : start + BATCH]) for start in range(0, len(prepared), BATCH)]


def _insert_batch(part: Sequence[tuple[Any, ...]]) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY logs_log (tx, {', '.join(COLUMNS)}) FROM STDIN") as copy:
                for row in part:
                    copy.write_row(row)
        else:
            before = _newest(cursor)
            cursor.executemany(_INSERT, part)
            cursor.execute(_INDEX, [before])


def insert_by_orm(rows: Sequence[Record]) -> list[float]:
    """Insert the same rows by `bulk_create`, into the same indexes; return each transaction's seconds."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE logs_log ALTER tx SET DEFAULT 0")  # a column the model does not know
    plain = [row._asdict() | {"extra": {}, "origin": []} for row in rows]
    return [_timed(_create_batch, plain[start : start + BATCH]) for start in range(0, len(plain), BATCH)]


def _create_batch(part: Sequence[dict[str, Any]]) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        before = _newest(cursor)
        Log.objects.bulk_create([Log(**values) for values in part])
        if connection.vendor == "sqlite":
            cursor.execute(_INDEX, [before])


def _timed(call: Callable[[T], None], argument: T) -> float:
    begun = time.perf_counter()
    call(argument)
    return time.perf_counter() - begun


def _newest(cursor: CursorWrapper) -> int:
    cursor.execute("SELECT coalesce(max(id), 0) FROM logs_log")
    return int(cursor.fetchone()[0])
