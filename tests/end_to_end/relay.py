"""A tunnel that can fall silent: what is written into it vanishes, and nobody is told."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


class Relay:
    """Hands bytes on between connections to `port` and port `to` of loopback, until it is mute.

    Connections that were there when it fell silent, or came meanwhile, stay dead; those that come after `speak` live.
    """

    def __init__(self, to: int, mute_after: int = 0) -> None:
        self._to = to
        self._mute_after = mute_after
        self._carried = 0
        self._generation = 0
        self._is_mute = False
        self._server = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def fall_silent(self) -> None:
        self._is_mute = True
        self._generation += 1

    def speak(self) -> None:
        self._is_mute, self._mute_after = False, 0

    @property
    def is_mute(self) -> bool:
        return self._is_mute

    def close(self) -> None:
        self._server.close()
        for sock in self._sockets:
            sock.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                self._sockets.append(near)
                if self._is_mute:
                    continue
                far = socket.create_connection(("127.0.0.1", self._to))
                self._sockets.append(far)
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(*pair, self._generation), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket, generation: int) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65_536):
                self._carried += len(data)
                if self._mute_after and self._carried > self._mute_after and not self._is_mute:
                    self.fall_silent()
                if generation != self._generation:
                    return  # nobody reads on: whoever writes is not told
                other.sendall(data)
            other.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def relay(to: int, mute_after: int = 0) -> Iterator[Relay]:
    """A relay to port `to`; it falls silent by itself after `mute_after` bytes, where that is not 0."""
    found = Relay(to, mute_after)
    try:
        yield found
    finally:
        found.close()
