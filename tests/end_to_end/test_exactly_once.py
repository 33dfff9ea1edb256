"""Acknowledged means stored, once and in order, whatever is killed. The long forms are in tests/soak."""

from __future__ import annotations

import random
from pathlib import Path

import psutil

from tests.end_to_end.conftest import Site
from tests.end_to_end.judge import Findings, judge_site
from tests.end_to_end.pushing import last_goes
from tests.end_to_end.storm import Storm, rage, rows_of_senders, start_pushing, wait_for_end
from tests.end_to_end.test_forwarding import Make, join, wait_until


def push_through_kills(
    site: Site, directory: Path, *, kills: int, senders: int, each: int
) -> tuple[Storm, list[Findings]]:
    """Let senders push while the bridge is killed again and again; return what the judge finds for each of them."""
    total = senders * each
    running = {site: site.start_bridge()}
    pushing, oracles = start_pushing(
        site, directory, [f"push-{number}" for number in range(senders)], each, hold_last=True
    )
    storm = rage(running, kills, lambda: rows_of_senders(site), total, random.Random())
    last_goes(oracles.values())
    wait_for_end(pushing)
    found = judge_site(site, oracles)
    print(f"\n{storm}; {total:,} records")
    assert judge_site(site, oracles, "id") == found, "pages show another order than readers see"
    return storm, list(found.values())


def test_what_is_acknowledged_outlives_five_kills_once_and_in_order(site: Site, tmp_path: Path):
    storm, found = push_through_kills(site, tmp_path / "oracles", kills=5, senders=5, each=4_000)

    assert found == [Findings(acknowledged=4_000, stored=4_000)] * 5
    assert storm.last_at < 20_000


def kill_forwarding(bridge: psutil.Process) -> None:
    """Kill the process that hands rows on, and wait until there is another."""
    killed = bridge.children()[0]
    killed.kill()
    wait_until(lambda: [child.pid for child in bridge.children()] not in ([], [killed.pid]))


def test_a_bridge_whose_forwarding_process_is_killed_starts_another_that_repeats_nothing(sites: Make, tmp_path: Path):
    near, far = sites("near"), sites("far")
    far.start_bridge()
    bridge = psutil.Process(near.start_bridge().pid)
    join(near, far)
    pushing, oracles = start_pushing(near, tmp_path / "oracles", ["push-on"], 10_000)
    wait_until(lambda: rows_of_senders(far) >= 1_000)
    kill_forwarding(bridge)
    wait_until(lambda: rows_of_senders(far) >= 2_000)
    kill_forwarding(bridge)
    wait_for_end(pushing)
    wait_until(lambda: rows_of_senders(far) >= 10_000)

    good = {"push-on": Findings(acknowledged=10_000, stored=10_000)}
    assert judge_site(near, oracles) == judge_site(far, oracles) == good
    near.wait_for_rows(2, "system_id = 'herald.bridge' AND message LIKE '%%hands rows on ended with code -9%%'")
