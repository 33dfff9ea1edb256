"""What a sender says of something that accepts connections and is no herald: words that tell where to look."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from logs.client import sender as line
from logs.client import wire


@contextmanager
def peer(serve: Callable[[socket.socket], None]) -> Iterator[line.Address]:
    """Accept one connection and let `serve` deal with it; yields where."""

    def accept() -> None:
        with server.accept()[0] as client:
            serve(client)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield line.Address(*server.getsockname())
        thread.join(10)


def trouble(address: line.Address) -> tuple[str, str]:
    """Return state and text of a sender's first trouble at this address."""
    found: list[tuple[str, str]] = []

    def changed(state: str, text: str) -> None:
        if state not in (line.CONNECTING, line.STOPPED):
            found.append((state, text))
            sender.stop(0.0)

    sender = line.Sender(lambda: address, line.Buffer(), lambda: wire.Hello(sender="s" * 32), changed)
    sender.run()
    return found[0]


def read_and_close(client: socket.socket) -> None:
    client.recv(65_536)


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("serve", [read_and_close, reset])
def test_one_that_closes_is_a_tunnel_without_a_bridge_behind_it(serve: Callable[[socket.socket], None]):
    with peer(serve) as address:
        state, text = trouble(address)

    assert state == line.SILENT
    assert text.startswith("it accepts connections, but closes them")
    assert "a bridge that is down" in text


def test_one_that_stays_mute_hangs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(line, "CONNECT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        state, text = trouble(line.Address(*server.getsockname()))

    assert state == line.SILENT
    assert "no herald answers within" in text
    assert "a tunnel's other end is gone" in text


def test_where_nothing_accepts_connections_it_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = line.Address(*server.getsockname())
    assert trouble(address)[0] == line.UNREACHABLE
