"""Records as clients send them, for tests that speak to a bridge by hand."""

from __future__ import annotations

import pickle
import time

from tests.corpus import framed, stock_record


def frame(message: str, system: str = "svc", **changes: object) -> bytes:
    """Return one frame of the stock handler, protocol 1, sent now."""
    fields = stock_record(msg=message, SYSTEM_ID=system, SUB_SYSTEM_ID="web-3", created=time.time(), **changes)
    return framed(pickle.dumps(fields, 1))


def frames(count: int, system: str = "svc", start: int = 0) -> bytes:
    """Return many frames, each with its number as message."""
    return b"".join(frame(str(number), system) for number in range(start, start + count))
