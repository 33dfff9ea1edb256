"""A way between two bridges that a test can watch, cut and stop."""

from __future__ import annotations

import contextlib
import socket
import threading


class Tunnel(contextlib.AbstractContextManager["Tunnel"]):
    """Hands bytes on in both directions between `port` of loopback (0: an ephemeral one) and port `to`.

    It remembers those sent, and like ssh's it accepts connections whether or not anybody listens at its far end.
    """

    def __init__(self, to: int, port: int = 0) -> None:
        self._to = to
        self._server = socket.create_server(("127.0.0.1", port))
        self.port = int(self._server.getsockname()[1])
        self._sockets: list[socket.socket] = []
        self._seen = bytearray()
        self._pumps: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Tunnel:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        # A close alone does not wake who waits in accept().
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(10)
        self.cut()
        for thread in self._pumps:
            thread.join(10)

    @property
    def seen(self) -> bytes:
        """Everything that went from the near to the far end."""
        return bytes(self._seen)

    def cut(self) -> None:
        """Break all connections."""
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        self._sockets.clear()

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
            for ends in ((near, far, True), (far, near, False)):
                pump = threading.Thread(target=self._pump, args=ends, daemon=True)
                self._pumps.append(pump)
                pump.start()

    def _pump(self, one: socket.socket, other: socket.socket, is_outward: bool) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65_536):
                if is_outward:
                    self._seen += data
                other.sendall(data)
        for sock in (one, other):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        one.close()
