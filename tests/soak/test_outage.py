"""A destination that is away for an hour in which 1,000 records a second come."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from statistics import median

import psutil
import pytest

from tests.end_to_end.conftest import SERVER, Running, Site
from tests.end_to_end.test_forwarding import Make, destination, join, wait_until
from tests.end_to_end.test_outage import (
    WHERE,
    Flood,
    Memory,
    be_away,
    first_out_of_place,
    seconds_per_row,
)

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1_800)]

RECORDS = 3_600_000
WARM_UP = 100_000
ROUNDS, ROUND_ROWS = 10, 20_000
LOSS_MAX = 0.05
DRAINED_MIN = 5_000
GROWTH_MAX_MB = 50
DISK_MAX_GB = 12
SECONDS_MAX = 900


def rate_with_over_without(near: Site, bridge: Running, flood: Flood) -> float:
    """Return how fast rows are stored with a destination that is away, over how fast they are without one."""
    without: list[float] = []
    beside: list[float] = []
    for _ in range(ROUNDS):
        assert near.manage("destinations", "pause", "far").returncode == 0
        wait_until(lambda: not psutil.Process(bridge.pid).children())
        without += seconds_per_row(flood.send(ROUND_ROWS))
        assert near.manage("destinations", "resume", "far").returncode == 0
        wait_until(lambda: bool(psutil.Process(bridge.pid).children()))
        wait_until(lambda: destination(near)["state"] == "unreachable")
        beside += seconds_per_row(flood.send(ROUND_ROWS))
    return median(without) / median(beside)


@pytest.fixture
def pair(sites: Make) -> Iterator[tuple[Site, Site]]:
    """Two heralds whose databases do not stay behind: they are large."""
    found = sites("near"), sites("far")
    yield found
    for site in found:
        site.close()
        shutil.rmtree(site.directory)


@pytest.mark.skipif(bool(SERVER), reason="its goals are those of SQLite")
def test_a_destination_may_be_away_for_an_hour(pair: tuple[Site, Site]):
    near, far = pair
    assert shutil.disk_usage(near.directory).free > 2 * DISK_MAX_GB * 1e9, "there is not enough room for this test"
    begun = time.monotonic()
    bridge = near.start_bridge()
    flood = Flood(near)
    flood.send(WARM_UP)
    join(near, far, "far", "--from-start")
    before = Memory(bridge)
    with before.watched():
        ratio = rate_with_over_without(near, bridge, flood)
    found = be_away(near, far, bridge, flood, RECORDS)
    seconds = time.monotonic() - begun
    growth = found.memory_mb - before.most_mb
    print(f"\nstoring with over without destination: {ratio:.3f}; {found}; {growth:.0f} MB more; {seconds:.0f} s")

    assert far.count(WHERE) == flood.sent
    assert first_out_of_place(near) is None
    assert first_out_of_place(far) is None
    assert ratio > 1 - LOSS_MAX
    assert found.drained_per_second >= DRAINED_MIN
    assert growth < GROWTH_MAX_MB
    assert found.disk_gb < DISK_MAX_GB
    assert seconds < SECONDS_MAX
