"""How fast records get from the socket into the log, beside the quickest plain ways to insert the same rows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median

from tests.benchmarks import Result
from tests.benchmarks._installation import (
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

ROUNDS = 3
ROWS = 30_000
ORM_ROWS = 10_000


def measure() -> Iterator[Result]:
    bodies = payloads(ROWS)
    ready = records(bodies)
    raw, orm, bridge = [], [], []
    with installation() as site, installation() as plain, installation() as slow:
        site.start_bridge()
        through_bridge(site, bodies[:4_000])
        for _ in range(ROUNDS):
            use(plain)
            raw.append(ROWS / insert_raw(ready))
            bridge.append(ROWS / through_bridge(site, bodies))
            use(slow)
            orm.append(ORM_ROWS / insert_by_orm(ready[:ORM_ROWS]))
    name = "COPY" if SERVER else "executemany"
    yield Result("bridge.rows_per_second", median(bridge), "rows/s")
    yield Result(f"bridge.raw_{name.lower()}_rows_per_second", median(raw), "rows/s")
    yield Result("bridge.bulk_create_rows_per_second", median(orm), "rows/s")
    yield Result(f"bridge.over_raw_{name.lower()}", median(bridge) / median(raw), "ratio", goal=0.4 if SERVER else 0.5)
    yield Result("bridge.over_bulk_create", median(bridge) / median(orm), "ratio", goal=2.5)


def through_bridge(site: Site, bodies: list[bytes]) -> float:
    """Send frames from four connections without a pause; return the seconds until all are committed."""
    rows = Rows(site)
    before = rows.count()
    begun = time.perf_counter()
    send(site, bodies)
    rows.wait_for(before + len(bodies))
    return time.perf_counter() - begun
