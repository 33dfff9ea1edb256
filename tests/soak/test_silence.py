"""Far bridges that hang, and ways that die without a word, for as long as herald needs to believe it."""

from __future__ import annotations

import json
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from logs.client import wire
from tests.end_to_end.conftest import Site
from tests.end_to_end.relay import relay
from tests.end_to_end.test_forwarding import Make, destination, join, messages, send, wait_until

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]

NOTICED_SECONDS = 60
ROWS = 20_000
BACK_SECONDS = 100


def noticed(near: Site, name: str = "far") -> float:
    """Wait until the state says that something is wrong; return after how many seconds."""
    begun = time.monotonic()
    wait_until(lambda: destination(near, name)["state"] != "connected", NOTICED_SECONDS)
    return time.monotonic() - begun


def test_a_far_bridge_that_hangs_is_noticed_and_gets_each_row_once_when_it_goes_on(sites: Make):
    near, far = sites("near"), sites("far")
    process = far.start_bridge()
    near.start_bridge()
    join(near, far)
    send(near, 0, 1_000)
    far.wait_for_rows(1_000, "system_id = 'svc'")
    process.send_signal(signal.SIGSTOP)
    send(near, 1_000, ROWS)
    seconds = noticed(near)
    told = destination(near)
    near.wait_for_rows(1_000 + ROWS, "system_id = 'svc'")
    process.send_signal(signal.SIGCONT)
    far.wait_for_rows(1_000 + ROWS, "system_id = 'svc'", timeout=BACK_SECONDS)
    print(f"\nnoticed after {seconds:.0f} s: {told}")

    assert told["state"] in ("lost", "silent")
    assert "nothing was heard" in told["state_text"] or "no herald answers" in told["state_text"]
    assert messages(far) == list(range(1_000 + ROWS))
    wait_until(lambda: destination(near)["state"] == "connected")


def test_a_half_open_connection_is_noticed_and_each_row_arrives_once_when_the_way_is_back(sites: Make):
    near, far = sites("near"), sites("far")
    far.start_bridge()
    near.start_bridge()
    with relay(far.bridge_port) as way:
        assert near.manage("destinations", "add", "far", f"127.0.0.1:{way.port}").returncode == 0
        send(near, 0, 1_000)
        far.wait_for_rows(1_000, "system_id = 'svc'")
        way.fall_silent()
        send(near, 1_000, ROWS)
        seconds = noticed(near)
        told = destination(near)
        near.wait_for_rows(1_000 + ROWS, "system_id = 'svc'")
        way.speak()
        far.wait_for_rows(1_000 + ROWS, "system_id = 'svc'", timeout=BACK_SECONDS)
        print(f"\nnoticed after {seconds:.0f} s: {told}")

        assert told["state"] in ("lost", "silent")
        assert messages(far) == list(range(1_000 + ROWS))


def test_a_half_open_connection_over_which_nothing_would_go_is_noticed_too(sites: Make):
    near, far = sites("near"), sites("far")
    far.start_bridge()
    near.start_bridge()
    with relay(far.bridge_port) as way:
        assert near.manage("destinations", "add", "far", f"127.0.0.1:{way.port}").returncode == 0
        wait_until(lambda: destination(near)["state"] == "connected")
        time.sleep(5)
        way.fall_silent()
        seconds = noticed(near)
        way.speak()
        wait_until(lambda: destination(near)["state"] == "connected")
        send(near, 0, 1)
        far.wait_for_rows(1, "system_id = 'svc'")
        print(f"\nnoticed after {seconds:.0f} s")

        assert seconds <= NOTICED_SECONDS


@contextmanager
def deaf_herald() -> Iterator[int]:
    """A server that welcomes whoever says hello, and reads nothing more."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            try:
                while True:
                    sock, _ = server.accept()
                    held.append(sock)
                    length = struct.unpack(">L", sock.recv(4))[0]
                    json.loads(sock.recv(length))
                    welcome = wire.Welcome(
                        (0, 0), bridge="deafdeafdeafdeaf", name="deaf", level=50, frame_max=1_048_576
                    )
                    sock.sendall(wire.framed(welcome.encode()))
            except OSError:
                pass

        threading.Thread(target=serve, daemon=True).start()
        yield int(server.getsockname()[1])
    for sock in held:
        sock.close()


def test_a_destination_that_welcomes_and_never_reads_is_noticed_and_holds_up_nobody(sites: Make):
    near, far = sites("near"), sites("far")
    far.start_bridge()
    near.start_bridge()
    with deaf_herald() as port:
        assert near.manage("destinations", "add", "deaf", f"127.0.0.1:{port}").returncode == 0
        join(near, far)
        wait_until(lambda: destination(near, "deaf")["state"] == "connected")
        send(near, 0, ROWS)
        far.wait_for_rows(ROWS, "system_id = 'svc'", timeout=30)
        seconds = noticed(near, "deaf")
        told = destination(near, "deaf")
        print(f"\nnoticed after {seconds:.0f} s: {told}")

        assert "nothing was heard from the other end for 30 s" in told["state_text"]
        assert told["waiting"] >= ROWS
        assert messages(far) == list(range(ROWS))
