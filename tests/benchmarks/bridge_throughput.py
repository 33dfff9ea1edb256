"""How fast records get from the socket into the log, beside the quickest plain ways to insert the same rows.

Batches are compared, not whole runs: virtual machines stand still for half a second again and again, which would
decide a run. The median of the seconds per row of all batches stands for each way.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from itertools import pairwise
from statistics import median

from tests.benchmarks import Result
from tests.benchmarks._installation import (
    BATCH,
    Rows,
    insert_by_orm,
    insert_raw,
    installation,
    payloads,
    records,
    send,
    use,
)
from tests.end_to_end.conftest import SERVER, Site

ROUNDS = 4
ROWS = 20_000
ORM_ROWS = 6_000


def measure() -> Iterator[Result]:
    bodies = payloads(ROWS)
    ready = records(bodies)
    raw: list[float] = []
    orm: list[float] = []
    bridge: list[float] = []
    whole: list[float] = []
    with installation() as site, installation() as plain, installation() as slow:
        site.start_bridge()
        through_bridge(site, bodies[:4_000])
        for _ in range(ROUNDS):
            use(plain)
            raw += [seconds / BATCH for seconds in insert_raw(ready)]
            seconds, batches = through_bridge(site, bodies)
            whole.append(seconds / ROWS)
            bridge += batches
            use(slow)
            orm += [seconds / BATCH for seconds in insert_by_orm(ready[:ORM_ROWS])]
    name = "copy" if SERVER else "executemany"
    over_raw = median(raw) / median(bridge)
    over_orm = median(orm) / median(bridge)
    yield Result("bridge.rows_per_second", 1 / median(bridge), "rows/s")
    yield Result("bridge.rows_per_second_of_the_best_run", 1 / min(whole), "rows/s")
    yield Result(f"bridge.raw_{name}_rows_per_second", 1 / median(raw), "rows/s")
    yield Result("bridge.bulk_create_rows_per_second", 1 / median(orm), "rows/s")
    yield Result(f"bridge.over_raw_{name}", over_raw, "ratio", goal=0.4 if SERVER else 0.5)
    yield Result("bridge.over_bulk_create", over_orm, "ratio", goal=2.5)


def through_bridge(site: Site, bodies: list[bytes]) -> tuple[float, list[float]]:
    """Send frames from four connections without a pause.

    Returns the seconds until all are committed, and for each commit but the first its seconds per row.
    """
    with contextlib.closing(Rows(site)) as rows:
        goal = rows.count() + len(bodies)
        sending = threading.Thread(target=send, args=(site, bodies))
        sending.start()
        seen = rows.follow(goal)
        sending.join()
    return seen[-1][0] - seen[0][0], [
        (after[0] - before[0]) / (after[1] - before[1]) for before, after in pairwise(seen[1:])
    ]
