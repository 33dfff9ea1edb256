"""A tunnel for tests: like ssh's, it accepts connections whether or not anybody listens at its far end."""

from __future__ import annotations

import socket
import threading


class Tunnel:
    """Hands on connections to `port` of loopback to its port `to`, in both directions, while the context is open."""

    def __init__(self, port: int, to: int) -> None:
        self._port = port
        self._to = to
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Tunnel:
        self._server = socket.create_server(("127.0.0.1", self._port))
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        # A thread that waits in accept() would keep a socket that is merely closed listening.
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for sock in self._sockets:
            _end(sock)
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                near.close()
                continue
            self._sockets += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(one, other), daemon=True).start()


def _pump(one: socket.socket, other: socket.socket) -> None:
    try:
        while data := one.recv(65_536):
            other.sendall(data)
    except OSError:
        pass
    finally:
        _end(one)
        _end(other)


def _end(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
