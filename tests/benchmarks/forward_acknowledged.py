"""How fast acknowledged records get into the log, beside the same records from the stock handler.

Both come over four connections, from frames that were made before; the acknowledged ones are the JSON of what a record
holds, without its empty fields. Batches are compared, as in `bridge_throughput`.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import secrets
import threading
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median

from logs.client import wire
from tests.benchmarks import Result
from tests.benchmarks._installation import Rows, installation, payloads
from tests.benchmarks.bridge_throughput import through_bridge
from tests.end_to_end.acked import Client
from tests.end_to_end.conftest import Site

ROUNDS = 8
ROWS = 20_000
CONNECTIONS = 4
EMPTY = (None, "", "None")
"""What a field may hold that says nothing; the last one is ps.basic's."""


def measure() -> Iterator[Result]:
    stock_bodies = payloads(ROWS)
    acked_bodies = [as_json(body) for body in stock_bodies]
    stock: list[float] = []
    acked: list[float] = []
    with installation() as site:
        site.start_bridge()
        through_bridge(site, stock_bodies[:4_000])
        acknowledged(site, acked_bodies[:4_000])
        for _ in range(ROUNDS):
            stock += through_bridge(site, stock_bodies)[1]
            acked += acknowledged(site, acked_bodies)
    yield Result("forward.stock_rows_per_second", 1 / median(stock), "rows/s")
    yield Result("forward.acked_rows_per_second", 1 / median(acked), "rows/s")
    yield Result("forward.acked_over_stock", median(stock) / median(acked), "ratio", goal=1.0)


def as_json(body: bytes) -> bytes:
    """Return the JSON in which a client of herald's sends a record that was pickled."""
    fields = pickle.loads(body)
    kept = {name: value for name, value in fields.items() if value not in EMPTY}
    return json.dumps(kept, separators=(",", ":")).encode()


def acknowledged(site: Site, bodies: Sequence[bytes]) -> list[float]:
    """Send records over the acknowledged protocol; return for each commit but the first its seconds per row."""
    parts = [bodies[number::CONNECTIONS] for number in range(CONNECTIONS)]
    ready = [b"".join(wire.numbered((0, n), body) for n, body in enumerate(part, 1)) for part in parts]
    threads = [
        threading.Thread(target=_send, args=(site, blob, len(part))) for blob, part in zip(ready, parts, strict=True)
    ]
    with contextlib.closing(Rows(site)) as rows:
        goal = rows.count() + len(bodies)
        for thread in threads:
            thread.start()
        seen = rows.follow(goal)
        for thread in threads:
            thread.join()
    return [(after[0] - before[0]) / (after[1] - before[1]) for before, after in pairwise(seen[1:])]


def _send(site: Site, blob: bytes, number: int) -> None:
    with Client(site, secrets.token_hex(16)) as client:
        client.socket.settimeout(120)
        client.hello()
        client.socket.sendall(blob)
        client.acked(number)
