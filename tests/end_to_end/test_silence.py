"""Ways that die without a word, and rows that come alone. The long forms are in tests/soak."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from logs.client import sender
from tests.end_to_end.conftest import PATIENCE, Site
from tests.end_to_end.judge import Findings, judge, read_oracle
from tests.end_to_end.pushing import Numbers, sender_of
from tests.end_to_end.relay import relay
from tests.end_to_end.test_forwarding import Make, join, messages, send, wait_until

COUNT = 20_000
ALONE_SECONDS = 2.0


def test_a_sender_leaves_a_connection_that_fell_silent_and_what_it_sent_is_stored_once(site: Site, tmp_path: Path):
    site.start_bridge()
    oracle = tmp_path / "oracle"
    states: list[tuple[str, str]] = []
    with relay(site.bridge_port, mute_after=1_500_000) as way, oracle.open("w") as file:
        pushing = sender_of(
            way.port,
            Numbers("push-silent", COUNT, file),
            silence_seconds=1.0,
            on_change=lambda state, text: states.append((state, text)),
        )
        thread = threading.Thread(target=pushing.run, daemon=True)
        thread.start()
        wait_until(lambda: way.is_mute and any(state == sender.LOST for state, _ in states))
        way.speak()
        thread.join(PATIENCE)
    stored = [row["message"] for row in site.rows("system_id = 'push-silent'")]

    assert "nothing was heard from the other end for 1 s" in dict(states)[sender.LOST]
    assert judge(read_oracle(oracle), stored) == Findings(acknowledged=COUNT, stored=COUNT)


def test_a_row_that_comes_alone_goes_on_at_once(sites: Make):
    near, far = sites("near"), sites("far")
    far.start_bridge()
    near.start_bridge()
    join(near, far)
    send(near, 0, 1)
    far.wait_for_rows(1, "system_id = 'svc'")
    waited = []
    for number in range(1, 4):
        time.sleep(0.6)
        begun = time.monotonic()
        send(near, number, 1)
        far.wait_for_rows(number + 1, "system_id = 'svc'")
        waited.append(time.monotonic() - begun)

    assert messages(far) == [0, 1, 2, 3]
    assert max(waited) < ALONE_SECONDS
