"""Every frame of the corpus, taken through decoding and building: what becomes of it, in what time and memory."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
import tracemalloc
from datetime import UTC, datetime

import pytest

from bridge.codecs import Rejected, pickles, to_record
from logs.record import LABEL_MAX, TEXT_MAX, Record
from tests import corpus

RECEIVED = datetime(2026, 11, 22, 13, tzinfo=UTC)
SINGLE = [entry for entry in corpus.entries() if entry.is_one_frame]
STREAMS_OF_RECORDS = [entry for entry in corpus.entries() if not entry.is_one_frame and entry.expect == "store"]
BIG = 500_000


def outcome(payload: bytes) -> Record | None:
    try:
        return to_record(payload, received=RECEIVED, peer="127.0.0.1")
    except Rejected:
        return None


def is_done_within(ms: float, payload: bytes) -> bool:
    """Tell whether one of several attempts is in time: the machine may stall, a slow decoder is slow every time."""
    for _ in range(10):
        start = time.perf_counter()
        outcome(payload)
        if (time.perf_counter() - start) * 1000 <= ms:
            return True
        time.sleep(0.3)
    return False


def storable(record: Record) -> bool:
    texts = [value for value in record if isinstance(value, str)]
    json.loads(record.extra, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))
    return all("\0" not in text and len(text.encode()) >= 0 for text in texts)


@pytest.mark.parametrize("entry", corpus.entries(), ids=lambda entry: entry.name)
def test_frame_is_the_one_the_manifest_means(entry: corpus.Entry):
    assert len(entry.frame) == entry.size
    assert hashlib.sha256(entry.frame).hexdigest() == entry.sha256


def test_every_small_frame_lies_in_the_directory_as_a_file():
    named = {f"{entry.name}.bin" for entry in corpus.entries() if entry.size <= 65_536}

    assert {path.name for path in corpus.DIRECTORY.glob("*.bin")} == named
    assert len(corpus.entries()) == 136


@pytest.mark.parametrize("entry", SINGLE, ids=lambda entry: entry.name)
def test_frame_ends_as_the_manifest_says(entry: corpus.Entry):
    record = outcome(entry.payload)

    if entry.expect == "reject":
        assert record is None
    elif entry.expect in ("store", "store_clean"):
        assert record is not None
    else:
        assert entry.expect == "either"
    if record is not None:
        assert storable(record)
        assert max(len(value) for value in record if isinstance(value, str)) <= TEXT_MAX
        assert len(record.name) <= LABEL_MAX


@pytest.mark.parametrize("entry", SINGLE, ids=lambda entry: entry.name)
def test_frame_takes_no_longer_than_the_manifest_allows(entry: corpus.Entry):
    assert is_done_within(entry.ms, entry.payload)


@pytest.mark.parametrize("entry", [entry for entry in SINGLE if entry.size < BIG], ids=lambda entry: entry.name)
def test_frame_takes_no_more_memory_than_the_manifest_allows(entry: corpus.Entry):
    payload = entry.payload
    tracemalloc.start()
    try:
        outcome(payload)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak <= entry.mem_mib * 2**20


def test_big_frames_one_after_the_other_keep_the_process_small():
    """The resident size is asked of a process of its own; a crash of the interpreter shows here, too."""
    names = [entry.name for entry in SINGLE if entry.size >= BIG]
    grown = subprocess.run(
        [sys.executable, "-c", GROWTH, *names], capture_output=True, text=True, check=True, timeout=100
    ).stdout.split()

    assert len(grown) == len(names) > 5
    assert max(map(int, grown)) <= 64 * 2**10, dict(zip(names, grown, strict=True))


GROWTH = """
import resource, sys
from datetime import UTC, datetime
from bridge.codecs import Rejected, to_record
from tests import corpus

payloads = [corpus.entry(name).payload for name in sys.argv[1:]]
at_first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for payload in payloads:
    try:
        to_record(payload, received=datetime(2026, 11, 22, tzinfo=UTC))
    except Rejected:
        pass
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - at_first)
"""


def is_inert(value: object) -> bool:
    if isinstance(value, dict):
        return all(type(key) is str and is_inert(item) for key, item in value.items())
    if isinstance(value, list):
        return all(is_inert(item) for item in value)
    return value is None or type(value) in (bool, int, float, str)


@pytest.mark.parametrize("entry", SINGLE, ids=lambda entry: entry.name)
def test_machine_alone_gives_inert_values_or_rejects_whatever_byte_a_frame_begins_with(entry: corpus.Entry):
    try:
        told = pickles.read(entry.payload).value
    except Rejected:
        told = None

    assert is_inert(told)


@pytest.mark.parametrize(
    "entry", [entry for entry in SINGLE if "msg_equals" in entry.checks], ids=lambda entry: entry.name
)
def test_hostile_message_is_stored_letter_by_letter(entry: corpus.Entry):
    record = outcome(entry.payload)

    assert record is not None
    # Between the key and the next one the message lies in the frame as it is, behind its length.
    behind_key = entry.payload.split(b"X\x03\x00\x00\x00msgq\x03X", 1)[1]
    length = int.from_bytes(behind_key[:4], "little")
    assert record.message.encode() == behind_key[4 : 4 + length]
    assert record.flags == ""


@pytest.mark.parametrize("entry", [entry for entry in SINGLE if "msg" in entry.checks], ids=lambda entry: entry.name)
def test_odd_value_in_extra_costs_the_message_nothing(entry: corpus.Entry):
    record = outcome(entry.payload)

    assert record is not None
    assert record.message == entry.checks["msg"]
    assert "val" in json.loads(record.extra)


@pytest.mark.parametrize("entry", STREAMS_OF_RECORDS, ids=lambda entry: entry.name)
def test_stream_of_good_frames_is_stored_whole(entry: corpus.Entry):
    payloads = corpus.payloads_of(entry.frame)

    assert len([payload for payload in payloads if outcome(payload)]) == entry.checks["stored"]


def test_a_good_frame_is_stored_right_after_each_bad_one():
    good = corpus.entry("ok_min_fields").payload

    for entry in SINGLE:
        outcome(entry.payload)
        assert outcome(good) is not None, f"after {entry.name}"
