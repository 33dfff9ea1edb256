"""How long a sender waits between connections, against small servers of the test's own."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

from logs.client import sender, wire

Serve = Callable[[socket.socket], None]


class OneRecord(sender.Buffer):
    """Always has a next record."""

    sender = "0123456789abcdef"

    def begin(self, welcome: wire.Welcome, hello: wire.Hello) -> None:
        self._next = welcome.acked[1] + 1

    def read(self, bytes_max: int) -> list[tuple[wire.Sequence, bytes]]:
        number, self._next = self._next, self._next + 1
        return [((0, number), b'{"msg":"x"}')] if number < 5 else []

    def acknowledge(self, ack: wire.Ack) -> None:
        self.acked = ack.acked


@contextlib.contextmanager
def server(serve: Serve) -> Iterator[tuple[int, list[float]]]:
    """Answer hellos, have each connection served, and close it; give the port, and when connections came."""
    came: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    sock, _ = listening.accept()
                    came.append(time.monotonic())
                    with sock:
                        sock.recv(struct.unpack(">L", sock.recv(4))[0])
                        sock.sendall(wire.framed(wire.Welcome((0, 0), frame_max=1_000).encode()))
                        serve(sock)

        threading.Thread(target=accept, daemon=True).start()
        yield int(listening.getsockname()[1]), came
        listening.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def sending(port: int, silence_seconds: float = 30.0) -> Iterator[None]:
    """Send to `port` for as long as the context lasts."""
    buffer = OneRecord()
    found = sender.Sender(
        lambda: sender.Address("127.0.0.1", port),
        buffer,
        lambda: wire.Hello(buffer.sender, acked=buffer.acked),
        poll_seconds=0.02,
        silence_seconds=silence_seconds,
    )
    thread = threading.Thread(target=found.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        found.stop(0.0)
        thread.join(10)
    assert not thread.is_alive()


def acknowledge_one(sock: socket.socket) -> None:
    sock.recv(1_000)
    sock.sendall(wire.framed(wire.Ack((0, 1)).encode()))
    time.sleep(0.05)


def say_nothing(sock: socket.socket) -> None:
    while sock.recv(1_000):
        pass


def connections_within(seconds: float, came: list[float], enough: int) -> int:
    until = time.monotonic() + seconds
    while time.monotonic() < until and len(came) < enough:
        time.sleep(0.02)
    return len(came)


def test_connections_that_brought_acknowledgements_are_made_again_without_growing_pauses():
    with server(acknowledge_one) as (port, came), sending(port):
        assert connections_within(8, came, enough=12) == 12


def test_connections_that_brought_nothing_are_made_at_growing_intervals():
    with server(say_nothing) as (port, came), sending(port, silence_seconds=0.05):
        assert 2 <= connections_within(3, came, enough=12) <= 7
    pauses = [later - earlier for earlier, later in pairwise(came)]

    assert pauses[-1] > 2 * pauses[0]
