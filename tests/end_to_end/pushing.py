"""Pushes numbered records over the acknowledged protocol, and writes down which of them were acknowledged.

A program of its own, `python -m tests.end_to_end.pushing PORT SYSTEM COUNT ORACLE`. It ends when everything is
acknowledged: with 0, or with 1 when a record was rejected. Each line of ORACLE is a number and the digest of its message.
The last record is sent when the file that `last_goes` makes is there: so whoever kills bridges meanwhile is not too late.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from hashlib import blake2b
from pathlib import Path
from secrets import token_hex
from typing import Any, TextIO

from logs.client import sender, wire


def message(system: str, number: int) -> str:
    """Return the text of a record: its number, and words of a length of its own."""
    return f"{number} {system} {blake2b(b'%d' % number, digest_size=8).hexdigest() * (number % 9)}"


def digest(text: str) -> str:
    """Return what is written down of a message."""
    return blake2b(text.encode(), digest_size=8).hexdigest()


def payload(system: str, number: int) -> bytes:
    """Return a record as JSON."""
    told = f'"msg":"{message(system, number)}","SYSTEM_ID":"{system}","created":{time.time():.6f}'
    return f'{{{told},"SUB_SYSTEM_ID":"web-3","name":"shop.orders","levelno":20,"levelname":"INFO"}}'.encode()


class Numbers(sender.Buffer):
    """The records 1 to `count`, made when they are sent; `oracle` gets those that are acknowledged.

    What was acknowledged is never sent again, whatever a welcome says: a bridge that has lost it is found out.
    """

    def __init__(self, system: str, count: int, oracle: TextIO, go: Path | None = None) -> None:
        self._go = go
        self.sender = token_hex(16)
        self.rejected = 0
        self._system = system
        self._count = count
        self._oracle = oracle
        self._next = 1
        self.on_end: Callable[[], None] = lambda: None

    def begin(self, welcome: wire.Welcome, hello: wire.Hello) -> None:
        self._note(welcome.acked)
        self._next = self.acked[1] + 1

    def read(self, bytes_max: int) -> list[tuple[wire.Sequence, bytes]]:
        found: list[tuple[wire.Sequence, bytes]] = []
        while bytes_max > 0 and self._next <= self._count and self._may_go():
            body = payload(self._system, self._next)
            found.append(((0, self._next), body))
            bytes_max -= len(body)
            self._next += 1
        return found

    def _may_go(self) -> bool:
        return self._next < self._count or self._go is None or self._go.exists()

    def acknowledge(self, ack: wire.Ack) -> None:
        self.rejected += len(ack.rejected) + ack.more
        self._note(ack.acked)

    def _note(self, acked: wire.Sequence) -> None:
        if acked <= self.acked:
            return
        numbers = range(self.acked[1] + 1, acked[1] + 1)
        self._oracle.writelines(f"{number} {digest(message(self._system, number))}\n" for number in numbers)
        self._oracle.flush()
        self.acked = acked
        if acked[1] >= self._count:
            self.on_end()


def sender_of(port: int, buffer: Numbers, name: str = "", **limits: Any) -> sender.Sender:
    """Return a sender that ends when everything in `buffer` is acknowledged."""
    found = sender.Sender(
        lambda: sender.Address("127.0.0.1", port),
        buffer,
        lambda: wire.Hello(buffer.sender, name=name, acked=buffer.acked, time=time.time()),
        retry_longest=0.3,
        **limits,
    )
    buffer.on_end = lambda: found.stop(0.0)
    return found


def go_file(oracle: Path) -> Path:
    return oracle.with_suffix(".go")


def last_goes(oracles: Iterable[Path]) -> None:
    """Let senders send their last record."""
    for oracle in oracles:
        go_file(oracle).touch()


def push(port: int, system: str, count: int, oracle: Path) -> int:
    """Push until everything is acknowledged; return how many records were rejected."""
    with oracle.open("w") as file:
        buffer = Numbers(system, count, file, go_file(oracle))
        sender_of(port, buffer, system).run()
        return buffer.rejected


if __name__ == "__main__":
    sys.exit(1 if push(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])) else 0)
