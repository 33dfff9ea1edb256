"""Long faults: a bridge killed again and again, a database that is locked again and again."""

from __future__ import annotations

import contextlib
import signal
import threading
import time

import pytest

from tests.end_to_end.conftest import PATIENCE, SERVER, Site
from tests.end_to_end.frames import frame
from tests.end_to_end.test_faults import locked

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

KILLS = 20
RESTART_SECONDS = 2.0


class Sender(threading.Thread):
    """Sends numbered records for ever, connecting again as the stock handler does."""

    def __init__(self, site: Site) -> None:
        super().__init__(daemon=True)
        self.site = site
        self.over = threading.Event()
        self.sent = 0

    def run(self) -> None:
        while not self.over.is_set():
            # Longer than any lock: records of two connections would have no order that could be judged.
            with contextlib.suppress(OSError), self.site.connect(timeout=PATIENCE) as client:
                while not self.over.is_set():
                    client.sendall(b"".join(frame(str(self.sent + n)) for n in range(20)))
                    self.sent += 20
                    time.sleep(0.005)
            time.sleep(0.05)


def numbers(site: Site) -> list[int]:
    return [int(row["message"]) for row in site.rows("system_id = 'svc'")]


def test_kill_9_again_and_again_costs_nothing_that_was_committed(site: Site):
    bridge = site.start_bridge()
    sender = Sender(site)
    sender.start()
    before: set[int] = set()
    restarts: list[float] = []
    for _ in range(KILLS):
        site.wait_for_rows(len(before) + 300, "system_id = 'svc'")
        before = set(numbers(site))
        bridge.stop(signal.SIGKILL)
        begun = time.monotonic()
        bridge = site.start_bridge()
        restarts.append(time.monotonic() - begun)
        assert before <= set(numbers(site))
    sender.over.set()
    sender.join(20)
    bridge.stop()
    found = numbers(site)

    assert SERVER or site.sql("PRAGMA integrity_check") == [("ok",)]
    assert len(found) == len(set(found)), "a record was stored twice"
    # The middle one: a machine that is busy with something else for a moment is not the bridge's fault.
    assert sorted(restarts)[KILLS // 2] <= RESTART_SECONDS


def test_a_database_locked_again_and_again_costs_no_record(site: Site):
    bridge = site.start_bridge()
    sender = Sender(site)
    sender.start()
    for seconds in (0.1, 1, 7, 0.5, 25):
        time.sleep(1)
        with locked(site):
            time.sleep(seconds)
    sender.over.set()
    sender.join(60)
    site.wait_for_rows(sender.sent, "system_id = 'svc'", timeout=120)

    assert bridge.stop() == 0
    assert numbers(site) == list(range(sender.sent))
