"""How fast payloads become records, beside what the standard library takes for the same bytes."""

from __future__ import annotations

import json
import pickle
import timeit
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from bridge.codecs import decode, pickles, to_record
from tests import corpus
from tests.benchmarks import Result

RECEIVED = datetime(2026, 11, 22, 13, tzinfo=UTC)


def seconds(*works: Callable[[], object], times: int = 500, rounds: int = 40) -> list[float]:
    """Return the time of one call of each of `works`: the best of rounds in turn, as the machine is shared."""
    taken = [[timeit.timeit(work, number=times) / times for work in works] for _ in range(rounds)]
    return [min(column) for column in zip(*taken, strict=True)]


def measure() -> Iterator[Result]:
    """Yield the ratios to `pickle.loads` and the absolute times, for a ps.basic frame and a stock one."""
    frames = {"psbasic": corpus.psbasic_payloads()[3], "stock": pickle.dumps(corpus.stock_record(), 1)}
    for name, payload in frames.items():
        yield from of_pickle(name, payload)
    payload = json.dumps(corpus.stock_record()).encode()
    yield micro("bridge.to_record_json", *seconds(lambda: to_record(payload, received=RECEIVED)))


def of_pickle(name: str, payload: bytes) -> Iterator[Result]:
    for _ in range(10):
        decode(payload)  # from the third on the shape is known
    loads, known, machine, whole = seconds(
        lambda: pickle.loads(payload),
        lambda: decode(payload),
        lambda: pickles.read(payload),
        lambda: to_record(payload, received=RECEIVED, peer="127.0.0.1"),
    )
    yield Result(f"bridge.decode_over_pickle_{name}", loads / known, "ratio", goal=0.3)
    # Frames of a shape not seen before; told without a goal, as they are few.
    yield Result(f"bridge.machine_over_pickle_{name}", loads / machine, "ratio")
    yield micro(f"bridge.to_record_{name}", whole)


def micro(name: str, taken: float) -> Result:
    return Result(f"{name}_us", taken * 1e6, "us")
