"""What the bridge has to say about its own doings, on its way into the log."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import OrderedDict
from datetime import UTC, datetime, timedelta

from logs.record import Record
from logs.storable import clean

logger = logging.getLogger("herald.bridge")

SYSTEM = "herald.bridge"
BURST = 60
PER_SECOND = 2.0
ANNOUNCE_AGAIN = timedelta(hours=1)
ADDRESSES_MAX = 1_000


class Journal:
    """Rows about the bridge itself (or another program, `system`), which the batcher stores with the next batch.

    They are bounded in rate: 60 at once, then two a second; those left out are counted and told of with the next.
    Everything is also said on standard error, by its level.
    """

    def __init__(self, host: str, system: str = SYSTEM) -> None:
        self.host = host
        self.system = system
        self._rows: list[Record] = []
        self._lock = threading.Lock()
        self._allowance = float(BURST)
        self._filled = time.monotonic()
        self._left_out = 0

    def say(self, level: int, message: str, at: datetime | None = None) -> None:
        """Note one doing; harmless from any thread."""
        logger.log(level, "%s", message)
        at = at or datetime.now(UTC)
        with self._lock:
            if not self._is_allowed():
                self._left_out += 1
                return
            if self._left_out:
                message += f" (and {self._left_out:,} more messages, left out)"
                self._left_out = 0
            self._rows.append(self._record(level, message, at))

    def take(self) -> list[Record]:
        """Return what is to be stored, and forget it."""
        with self._lock:
            rows, self._rows = self._rows, []
        return rows

    def _is_allowed(self) -> bool:
        now = time.monotonic()
        self._allowance = min(BURST, self._allowance + (now - self._filled) * PER_SECOND)
        self._filled = now
        # A database that is away for long must not let them pile up either.
        if self._allowance < 1 or len(self._rows) >= BURST:
            return False
        self._allowance -= 1
        return True

    def _record(self, level: int, message: str, at: datetime) -> Record:
        return Record(
            created=at,
            received=at,
            system_id=self.system,
            sub_system_id=clean(self.host)[:200],
            produkt_id="herald",
            name=self.system,
            levelno=level,
            levelname=logging.getLevelName(level),
            message=clean(message),
            module="bridge",
            process=os.getpid(),
            processname="run_bridge",
        )


class Acquaintances:
    """Which addresses have been announced.

    A sender is new when its address was not announced within the last hour: the old bridge announced every connection,
    which a shell script that logs line by line turns into as many rows as it sends. A thousand addresses are
    remembered; the one that came longest ago is forgotten first.
    """

    def __init__(self) -> None:
        self._announced: OrderedDict[str, datetime] = OrderedDict()

    def is_new(self, address: str, now: datetime) -> bool:
        """Whether `address` is to be announced now; if so it counts as announced."""
        last = self._announced.get(address)
        if last is not None and now - last < ANNOUNCE_AGAIN:
            return False
        self._announced[address] = now
        self._announced.move_to_end(address)
        if len(self._announced) > ADDRESSES_MAX:
            self._announced.popitem(last=False)
        return True
