"""Bridges that are killed with -9 at random moments of a stream, and started again at once."""

from __future__ import annotations

import random
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.conftest import PATIENCE, Running, Site
from tests.end_to_end.pushing import last_goes

STARTS_KILLED = 0.12
"""Part of the kills that hit a bridge while it starts."""
START_SECONDS = 1.2


def rows_of_senders(site: Site) -> int:
    """Return how many rows of pushing senders a site has; asking costs next to nothing."""
    return int(site.sql("SELECT coalesce(sum(count), 0) FROM logs_logcount WHERE system_id LIKE 'push-%%'")[0][0])


def start_pushing(
    site: Site, directory: Path, systems: Sequence[str], each: int, *, hold_last: bool = False
) -> tuple[list[Running], dict[str, Path]]:
    """Start a sender for each system; return the processes, and where each writes down what was acknowledged.

    With `hold_last` each keeps its last record until `pushing.last_goes` is called.
    """
    directory.mkdir(exist_ok=True)
    oracles = {system: directory / f"{system}.oracle" for system in systems}
    if not hold_last:
        last_goes(oracles.values())
    module = "tests.end_to_end.pushing"
    pushing = [
        site.launch([sys.executable, "-m", module, str(site.bridge_port), system, str(each), str(oracle)])
        for system, oracle in oracles.items()
    ]
    return pushing, oracles


@dataclass(frozen=True)
class Storm:
    """What happened: kills, rows at the first and at the last of them, seconds."""

    kills: int
    first_at: int
    last_at: int
    seconds: float


def rage(running: dict[Site, Running], kills: int, rows: Callable[[], int], total: int, chance: random.Random) -> Storm:
    """Kill one of the `running` bridges `kills` times while `rows()` grows to `total`; the moments are random.

    A bridge that was killed is started again at once, and some are killed again while they start. Fails when the rows
    do not grow for a long time.
    """
    begun, sites = time.monotonic(), list(running)
    moments = sorted(chance.randrange(total * 19 // 20) for _ in range(kills))
    hit: list[int] = []
    while len(hit) < kills:
        hit.append(_wait(rows, moments[len(hit)], running))
        time.sleep(chance.random() * 0.08)
        victim = chance.choice(sites)
        _kill(victim, running)
        while len(hit) < kills and chance.random() < STARTS_KILLED:
            hit.append(hit[-1])
            time.sleep(chance.random() * START_SECONDS)
            _kill(victim, running)
    return Storm(kills, hit[0], hit[-1], time.monotonic() - begun)


def _kill(victim: Site, running: dict[Site, Running]) -> None:
    """Kill a site's bridge and start it again."""
    running[victim].stop(signal.SIGKILL)
    victim.running.remove(running[victim])
    running[victim] = victim.start("run_bridge")


def _wait(rows: Callable[[], int], number: int, running: Mapping[Site, Running]) -> int:
    newest, since = -1, time.monotonic()
    while (found := rows()) < number:
        if found != newest:
            newest, since = found, time.monotonic()
        if time.monotonic() - since > PATIENCE:
            said = "\n".join(process.output for process in running.values())
            pytest.fail(f"{found} rows do not become {number}\n{said}")
        time.sleep(0.02)
    return found


def wait_for_end(pushing: Sequence[Running], timeout: float = PATIENCE) -> None:
    """Wait until every sender has been told that all it had is stored."""
    deadline = time.monotonic() + timeout
    for process in pushing:
        process.wait(max(1.0, deadline - time.monotonic()))
        assert process.returncode == 0, process.output
