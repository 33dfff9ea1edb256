"""A destination that is away for a long time. The long form, an hour's volume, is in tests/soak."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil

from tests.benchmarks._installation import Rows
from tests.end_to_end.conftest import Running, Site
from tests.end_to_end.frames import frame
from tests.end_to_end.judge import stream
from tests.end_to_end.test_forwarding import Make, destination, join, wait_until

SYSTEM = "svc-away"
WHERE = f"system_id = '{SYSTEM}'"
PLACE = "000000000"
ROWS = 20_000


class Flood:
    """One stock client that sends as fast as it can: rows with the numbers 0, 1, 2 … as messages."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._before, self._after = frame(PLACE, SYSTEM).split(PLACE.encode())
        self.sent = 0

    def send(self, count: int) -> list[tuple[float, int]]:
        """Send rows and wait until they are stored; return (moment, rows) for each commit."""
        end = self.sent + count
        sending = threading.Thread(target=self._write, args=(self.sent, end))
        with contextlib.closing(Rows(self._site)) as rows:
            sending.start()
            seen = rows.follow(end, timeout=60 + count / 1_000)
        sending.join()
        self.sent = end
        return seen

    def _write(self, start: int, end: int) -> None:
        between = self._after + self._before
        with self._site.connect(timeout=300) as client:
            for first in range(start, end, 2_000):
                numbers = (b"%09d" % number for number in range(first, min(first + 2_000, end)))
                client.sendall(self._before + between.join(numbers) + self._after)
            client.shutdown(socket.SHUT_WR)
            client.recv(1)  # until the bridge has read everything and closes


def seconds_per_row(seen: list[tuple[float, int]]) -> list[float]:
    """Return for each commit but the first how long a row of it took."""
    return [(after[0] - before[0]) / (after[1] - before[1]) for before, after in pairwise(seen[1:])]


class Memory:
    """The most that a bridge and the process that hands its rows on have taken."""

    def __init__(self, bridge: Running) -> None:
        self._bridge = psutil.Process(bridge.pid)
        self._over = threading.Event()
        self._most_of_bridge = self._most_of_forwarders = 0

    @property
    def most_mb(self) -> float:
        return (self._most_of_bridge + self._most_of_forwarders) / 1e6

    def _look(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            self._most_of_bridge = max(self._most_of_bridge, self._bridge.memory_info().rss)
            for child in self._bridge.children():
                self._most_of_forwarders = max(self._most_of_forwarders, child.memory_info().rss)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        watching = threading.Thread(target=self._watch, daemon=True)
        watching.start()
        try:
            yield
        finally:
            self._over.set()
            watching.join()

    def _watch(self) -> None:
        while not self._over.wait(0.2):
            self._look()


@dataclass(frozen=True)
class Outage:
    """What happened: rows a second stored while the far bridge was away, and drained; most memory, disk used."""

    stored_per_second: float
    drained_per_second: float
    memory_mb: float
    disk_gb: float


def be_away(near: Site, far: Site, bridge: Running, flood: Flood, count: int) -> Outage:
    """Store `count` rows while a destination is away, start it, and wait until it has them all."""
    wait_until(lambda: destination(near)["state"] == "unreachable")
    memory = Memory(bridge)
    with memory.watched():
        seen = flood.send(count)
        far.start_bridge()
        with contextlib.closing(Rows(far)) as rows:
            wait_until(lambda: rows.count() > 0)
            drained = rows.follow(flood.sent, timeout=60 + count / 1_000)
    return Outage(
        stored_per_second=count / (seen[-1][0] - seen[0][0]),
        drained_per_second=(drained[-1][1] - drained[0][1]) / (drained[-1][0] - drained[0][0]),
        memory_mb=memory.most_mb,
        disk_gb=sum(size_of(site.directory) for site in (near, far)) / 1e9,
    )


def size_of(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def first_out_of_place(site: Site) -> tuple[int, int] | None:
    """Return the first row (its place, its number) that is not where it was sent; None when all are there, in order."""
    for place, (message,) in enumerate(stream(site, f"SELECT message FROM logs_log WHERE {WHERE} ORDER BY id")):
        if int(message) != place:
            return place, int(message)
    return None


def test_what_came_while_a_destination_was_away_goes_there_oldest_first(sites: Make):
    near, far = sites("near"), sites("far")
    bridge = near.start_bridge()
    flood = Flood(near)
    join(near, far)
    found = be_away(near, far, bridge, flood, ROWS)
    print(f"\n{found}")

    assert near.count(WHERE) == far.count(WHERE) == ROWS
    assert first_out_of_place(near) is None
    assert first_out_of_place(far) is None
