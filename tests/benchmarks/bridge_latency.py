"""How long a record is on its way, and how long another writer of the same SQLite file waits for its turn."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections.abc import Iterator
from datetime import datetime

from tests.benchmarks import Result
from tests.benchmarks._installation import Rows, frame, installation, payload, payloads, send
from tests.end_to_end.conftest import SERVER, Site

RATE = 5_000
SECONDS = 10
POLL_SECONDS = 0.005
NEIGHBOUR_WRITES = 100


def measure() -> Iterator[Result]:
    with installation() as site:
        site.start_bridge()
        send(site, payloads(4_000))
        with contextlib.closing(Rows(site)) as rows:
            rows.follow(4_000)
        delays = delays_at(site, RATE, SECONDS)
        delays.sort()
        yield Result("bridge.send_to_commit_p50_ms_at_5000_per_second", 1_000 * delays[len(delays) // 2], "ms")
        yield Result("bridge.send_to_commit_p99_ms_at_5000_per_second", 1_000 * delays[len(delays) * 99 // 100], "ms")
        if not SERVER:
            waits = neighbour_waits(site)
            yield Result("bridge.other_writers_wait_p50_ms", 1_000 * waits[len(waits) // 2], "ms")
            yield Result("bridge.other_writers_wait_worst_ms", 1_000 * waits[-1], "ms")


class Sender(threading.Thread):
    """Sends a hundredth of a second's records every hundredth of a second, each with the moment it is sent."""

    def __init__(self, site: Site, rate: int, seconds: int) -> None:
        super().__init__(daemon=True)
        self.site, self.rate, self.seconds = site, rate, seconds
        self.chance = random.Random(7)

    def run(self) -> None:
        with self.site.connect() as client:
            begun = time.monotonic()
            for step in range(self.seconds * 100):
                time.sleep(max(0.0, begun + step / 100 - time.monotonic()))
                now = time.time()
                client.sendall(b"".join(frame(payload(n, self.chance, now)) for n in range(self.rate // 100)))
            client.shutdown(socket.SHUT_WR)
            client.settimeout(60)
            client.recv(1)


def delays_at(site: Site, rate: int, seconds: int) -> list[float]:
    """Return for each record the seconds from sending it to the first look that finds it committed."""
    (newest,) = site.sql("SELECT max(id) FROM logs_log")[0]
    sender = Sender(site, rate, seconds)
    sender.start()
    delays: list[float] = []
    deadline = time.monotonic() + 10 * seconds
    while len(delays) < rate * seconds and time.monotonic() < deadline:
        rows = site.sql("SELECT id, created FROM logs_log WHERE id > %s AND system_id LIKE 'svc-%%'", newest)
        seen = time.time()
        if rows:
            newest = max(row[0] for row in rows)
            delays += [seen - moment(row[1]) for row in rows]
        time.sleep(POLL_SECONDS)
    return delays


def moment(value: object) -> float:
    return (value if isinstance(value, datetime) else datetime.fromisoformat(f"{value}+00:00")).timestamp()


def neighbour_waits(site: Site) -> list[float]:
    """Return, in order, how long small transactions of another process take while the bridge is flooded."""
    over = threading.Event()
    flood = payloads(10_000)

    def keep_flooding() -> None:
        while not over.is_set():
            send(site, flood)

    flooding = threading.Thread(target=keep_flooding)
    flooding.start()
    waits: list[float] = []
    for number in range(NEIGHBOUR_WRITES):
        begun = time.perf_counter()
        site.sql(
            "INSERT INTO logs_readerposition (name, position, updated, cut) VALUES (%s, '0.0', '', 0)", f"n{number}"
        )
        waits.append(time.perf_counter() - begun)
    over.set()
    flooding.join()
    return sorted(waits)
