"""A client of the acknowledged protocol by hand, for tests that speak to a bridge as another language would."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import struct
import time
from typing import Any

from tests.end_to_end.conftest import Site


def record(message: str, system: str = "svc", **changes: Any) -> bytes:
    """Return the payload of one record as JSON."""
    fields = {"msg": message, "SYSTEM_ID": system, "SUB_SYSTEM_ID": "web-3", "name": "shop", "levelno": 20}
    return json.dumps({**fields, "levelname": "INFO", "created": time.time(), **changes}).encode()


class Client(contextlib.AbstractContextManager["Client"]):
    """One connection. Every method that waits gives up after 20 s with an error."""

    def __init__(self, site: Site, sender: str = "", port: int = 0) -> None:
        self.sender = sender or secrets.token_hex(16)
        self.socket = socket.create_connection(("127.0.0.1", port or site.bridge_port), 20)
        self._begun = b""

    def __exit__(self, *exc: object) -> None:
        self.socket.close()

    def hello(self, **changes: Any) -> dict[str, Any]:
        """Say hello and return the answer."""
        self.send({"herald": 1, "sender": self.sender, "name": "test", "ack": True, **changes})
        return self.answer()

    def send(self, told: dict[str, Any] | bytes) -> None:
        payload = told if isinstance(told, bytes) else json.dumps(told).encode()
        self.socket.sendall(struct.pack(">L", len(payload)) + payload)

    def records(self, start: int, count: int, system: str = "svc", high: int = 0) -> None:
        """Send numbered records; the message of each is its number."""
        frames = []
        for number in range(start, start + count):
            body = struct.pack(">QQ", high, number) + record(str(number), system)
            frames.append(struct.pack(">L", len(body)) + body)
        self.socket.sendall(b"".join(frames))

    def numbered(self, number: int, payload: bytes, high: int = 0) -> None:
        self.send(struct.pack(">QQ", high, number) + payload)

    def answer(self) -> dict[str, Any]:
        """Return the next message of the bridge."""
        while len(self._begun) < 4 or len(self._begun) < 4 + struct.unpack(">L", self._begun[:4])[0]:
            data = self.socket.recv(65_536)
            if not data:
                raise EOFError("the bridge closed the connection")
            self._begun += data
        length = struct.unpack(">L", self._begun[:4])[0]
        told, self._begun = self._begun[4 : 4 + length], self._begun[4 + length :]
        return dict(json.loads(told))

    def acked(self, number: int, high: int = 0) -> list[Any]:
        """Wait until everything up to a number is acknowledged; return what was rejected on the way."""
        rejected: list[Any] = []
        while True:
            told = self.answer()
            rejected += told.get("rejected", [])
            if told["acked"] >= [high, number]:
                assert told["acked"] == [high, number]
                return rejected

    def last_acked(self) -> int:
        """Listen until the bridge closes the connection; return the last number it acknowledged."""
        number = 0
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                number = self.answer()["acked"][1]
        return number

    def is_closed(self) -> bool:
        """Wait for the end of the connection; what is still said is left unheard."""
        with contextlib.suppress(ConnectionError):
            while self.socket.recv(65_536):
                pass
        return True
