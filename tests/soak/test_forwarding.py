"""Bridges in chains and in a ring, killed again and again: the long form of tests/end_to_end/test_forwarding.py."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Running, Site
from tests.end_to_end.judge import first_difference, judge_site
from tests.end_to_end.pushing import last_goes
from tests.end_to_end.storm import rage, rows_of_senders, start_pushing, wait_for_end
from tests.end_to_end.test_forwarding import FORWARDED, Make, join, wait_until

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1_800)]

PUSHED = "system_id LIKE 'push-%%'"
COLUMNS = ", ".join(column for column in FORWARDED if column not in ("peer", "origin"))
CATCH_UP_SECONDS = 300


def started(sites: Make, names: Sequence[str]) -> dict[Site, Running]:
    """Start a bridge for each name."""
    return {site: site.start_bridge() for site in map(sites, names)}


@pytest.mark.parametrize("names", [("near", "far"), ("near", "middle", "far")], ids=len)
def test_a_chain_of_which_any_is_killed_60_times_has_the_same_everywhere(sites: Make, tmp_path: Path, names):
    running = started(sites, names)
    chain = list(running)
    for near, far in pairwise(chain):
        join(near, far)
    pushing, oracles = start_pushing(chain[0], tmp_path / "oracles", ["push-one", "push-two"], 100_000, hold_last=True)
    storm = rage(running, 60, lambda: rows_of_senders(chain[-1]), 200_000, random.Random())
    last_goes(oracles.values())
    wait_for_end(pushing)
    wait_until(lambda: rows_of_senders(chain[-1]) >= 200_000, CATCH_UP_SECONDS)
    print(f"\n{storm}; 200,000 records over {len(names)} bridges")

    for site in chain:
        found = judge_site(site, oracles)
        assert all(findings.is_good for findings in found.values()), found
        assert site.count(PUSHED) == 200_000
    for near, far in pairwise(chain):
        assert first_difference(near, far, COLUMNS, PUSHED) is None
    assert storm.last_at < 200_000, "the last kill came when all had arrived"


def test_a_ring_of_three_of_which_any_is_killed_40_times_has_each_row_once_everywhere(sites: Make, tmp_path: Path):
    running = started(sites, ("one", "two", "three"))
    ring = list(running)
    for site, following in zip(ring, [*ring[1:], ring[0]], strict=True):
        join(site, following, "next")
    pushing: list[Running] = []
    oracles: dict[str, Path] = {}
    for number, site in enumerate(ring):
        more, told = start_pushing(site, tmp_path / "oracles", [f"push-{number}"], 30_000)
        pushing, oracles = pushing + more, oracles | told

    def fewest() -> int:
        return min(map(rows_of_senders, ring))

    storm = rage(running, 40, fewest, 90_000, random.Random())
    wait_for_end(pushing)
    wait_until(lambda: fewest() >= 90_000, CATCH_UP_SECONDS)
    time.sleep(5)  # what goes round for ever would be here again
    print(f"\n{storm}; 90,000 records, three bridges in a ring")

    for site in ring:
        found = judge_site(site, oracles)
        assert all(findings.is_good for findings in found.values()), found
        assert site.count(PUSHED) == 90_000
