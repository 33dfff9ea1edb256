"""How fast a backlog goes on to another bridge, beside how fast the bridge stored it.

Both bridges share this machine's processors, so the far one's storing is part of what is measured. Batches are
compared, as in `bridge_throughput`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import pairwise
from statistics import median

from tests.benchmarks import Result
from tests.benchmarks._installation import Rows, installation, payloads
from tests.benchmarks.bridge_throughput import through_bridge
from tests.end_to_end.conftest import Site

ROUNDS = 5
ROWS = 30_000


def measure() -> Iterator[Result]:
    bodies = payloads(ROWS)
    storing: list[float] = []
    forwarding: list[float] = []
    with installation() as near, installation() as far:
        near.start_bridge()
        far.start_bridge()
        told(near, "add", "far", f"127.0.0.1:{far.bridge_port}")
        through_bridge(near, bodies[:4_000])
        drained(near, far)
        for _ in range(ROUNDS):
            told(near, "pause", "far")
            storing += through_bridge(near, bodies)[1]
            told(near, "resume", "far")
            forwarding += drained(near, far)
    yield Result("forward.storing_rows_per_second", 1 / median(storing), "rows/s")
    yield Result("forward.forwarding_rows_per_second", 1 / median(forwarding), "rows/s")
    yield Result("forward.forwarding_over_storing", median(storing) / median(forwarding), "ratio", goal=0.5)


def told(site: Site, *words: str) -> None:
    """Tell a site about a destination."""
    done = site.manage("destinations", *words)
    if done.returncode:
        raise RuntimeError(done.stderr)


def drained(near: Site, far: Site) -> list[float]:
    """Wait until the far bridge has all rows; return for each of its commits but the first its seconds per row."""
    with contextlib.closing(Rows(near)) as rows:
        goal = rows.count()
    with contextlib.closing(Rows(far)) as rows:
        seen = rows.follow(goal)
    return [(after[0] - before[0]) / (after[1] - before[1]) for before, after in pairwise(seen[1:])]
