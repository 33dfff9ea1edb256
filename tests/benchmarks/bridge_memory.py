"""How much memory the bridge takes when twenty clients send as fast as they can, and a database cannot keep up."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import psutil

from tests.benchmarks import Result
from tests.benchmarks._installation import frame, installation, payloads
from tests.end_to_end.conftest import Site

CLIENTS = 20
SECONDS = 15


def measure() -> Iterator[Result]:
    with installation() as site:
        bridge = site.start_bridge()
        process = psutil.Process(bridge.pid)
        yield Result("bridge.rss_idle_mb", process.memory_info().rss / 1e6, "MB")
        over = threading.Event()
        clients = [threading.Thread(target=flood, args=(site, over), daemon=True) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        most = 0
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            most = max(most, process.memory_info().rss)
            time.sleep(0.05)
        over.set()
        yield Result("bridge.rss_flooded_by_20_mb", most / 1e6, "MB", goal=256, at_most=True)


def flood(site: Site, over: threading.Event) -> None:
    """Send until told otherwise; a bridge that does not read makes this wait, which is what it is for."""
    load = b"".join(map(frame, payloads(1_000)))
    with site.connect() as client:
        client.settimeout(1)
        while not over.is_set():
            left = memoryview(load)
            while left and not over.is_set():
                try:
                    left = left[client.send(left) :]
                except TimeoutError:
                    continue
                except OSError:
                    return
