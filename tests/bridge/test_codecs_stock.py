"""Rows written as frames of the stock handler: every Python loads them, and herald reads back what it had."""

from __future__ import annotations

import json
import logging
import math
import pickle
import pickletools
import struct
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.codecs import PAYLOAD_MAX, to_record
from bridge.codecs.inert import DEPTH_MAX
from bridge.codecs.shapes import Shapes
from bridge.codecs.stock import INT_BITS_MAX, pickled, stock_frame
from logs.record import Record, build
from tests import corpus
from tests.end_to_end.interpreters import interpreters

RECEIVED = datetime(2026, 11, 22, 13, tzinfo=UTC)
PSBASIC_FIELDS = list(pickle.loads(corpus.psbasic_payloads()[0]))
PROTOCOL_1 = {opcode.name for opcode in pickletools.opcodes if opcode.proto <= 1}
PLAIN = {"EMPTY_DICT", "EMPTY_LIST", "MARK", "SETITEMS", "APPENDS", "BINPUT", "STOP", "NONE"} | {
    *("BINUNICODE", "BININT", "BININT1", "BININT2", "LONG", "INT", "BINFLOAT")
}

texts = st.text(st.characters(codec="utf-8"), max_size=50)
any_text = st.text(max_size=50)  # NUL and lone surrogates too
scalars = st.none() | st.booleans() | st.integers(-(2**INT_BITS_MAX) + 1, 2**INT_BITS_MAX - 1) | st.floats()
values = st.recursive(
    scalars | any_text, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4)
)


def row_of(record: Record) -> dict[str, Any]:
    """Return the row that the tail gives for a stored record."""
    told = record._asdict()
    return {"id": 7, **told, "extra": json.loads(record.extra), "origin": json.loads(record.origin)}


def row(**changes: object) -> dict[str, Any]:
    return row_of(to_record(corpus.psbasic_payloads()[1], received=RECEIVED)) | changes


def loaded(frame: bytes) -> dict[str, Any]:
    """Return what Python's own `pickle` makes of one whole frame."""
    assert struct.unpack_from(">L", frame) == (len(frame) - 4,)
    fields: dict[str, Any] = pickle.loads(frame[4:])
    return fields


def again(frame: bytes) -> Record:
    return to_record(frame[4:], received=RECEIVED)


def same(one: object, other: object) -> bool:
    """Equal in value and in type, NaN to itself too."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@given(st.dictionaries(any_text, values, max_size=8))
def test_pickle_loads_exactly_what_was_written(fields: dict[str, object]):
    payload = pickled(fields)

    assert same(pickle.loads(payload), fields)
    assert same(pickle.loads(payload), pickle.loads(pickle.dumps(fields, 1)))


@given(st.dictionaries(any_text, values, max_size=8))
def test_only_opcodes_that_make_plain_values_in_protocol_1_are_written(fields: dict[str, object]):
    written = {opcode.name for opcode, _, _ in pickletools.genops(pickled(fields))}

    assert written <= PLAIN <= PROTOCOL_1


@pytest.mark.parametrize("payload", corpus.psbasic_payloads()[:9])
def test_frame_of_ps_basic_is_written_as_ps_basic_sent_it(payload: bytes):
    original = pickle.loads(payload)

    fields = loaded(stock_frame(row_of(to_record(payload, received=RECEIVED)), extra=False))

    assert list(fields) == PSBASIC_FIELDS
    assert fields.pop("created") == pytest.approx(original.pop("created"), abs=1e-6)
    assert fields == original


def test_every_frame_the_corpus_stores_is_read_back_as_the_record_it_was():
    stored = [entry for entry in corpus.entries() if entry.expect.startswith("store") and entry.category != "stream"]
    records = [to_record(entry.payload, received=RECEIVED) for entry in stored if len(entry.payload) < 100_000]
    assert len(records) > 50

    for record in records:
        read = again(stock_frame(row_of(record), extra=True))
        told, expected = (known_numbers(one) for one in (read, record))
        assert told._replace(extra="", flags="") == expected._replace(extra="", flags="", peer="")
        kept = json.loads(read.extra)
        assert [key for key in json.loads(record.extra) if key not in kept and f"{key}~2" not in kept] == []


def known_numbers(record: Record) -> Record:
    """The one thing that does not come back: that a line or a duration was unknown; nor what was no text."""
    return record._replace(
        lineno=record.lineno or 0,
        msecs=None,
        relativecreated=record.relativecreated or 0.0,
        args="",
        exc_info="",
        received=record.created,
    )


fields_of_records = st.fixed_dictionaries(
    {"msg": texts, "levelno": st.integers(0, 60), "lineno": st.integers(1, 9_999), "created": st.floats(1e9, 1.79e9)},
    optional={
        **dict.fromkeys(("SYSTEM_ID", "USER_SPEC_2", "PRODUKT_ID", "taskName", "api_version", "exc_text"), texts),
        "process": st.integers(0, 2**31 - 1),
        "thread": st.integers(0, 2**62),
        "order": st.recursive(
            st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, width=32) | texts,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        ),
    },
)


@given(fields_of_records)
def test_herald_reads_back_the_very_record(fields: dict[str, object]):
    given_fields = {"msecs": 1.0, "relativeCreated": 2.0, "name": "a", **fields}
    record = build(given_fields, received=RECEIVED)

    assert again(stock_frame(row_of(record), extra=True))._replace(flags="") == record._replace(flags="")


def test_frames_of_one_client_have_one_shape_and_take_the_short_way():
    known = Shapes()
    frames = [
        stock_frame(row(message=f"order {number}", lineno=number * 100, exc_text=""), extra=True)[4:]
        for number in range(1, 9)
    ]
    for payload in frames:
        if known.match(payload) is None:
            known.learn(payload)

    assert known.record(frames[-1], RECEIVED, "") == to_record(frames[-1], received=RECEIVED)
    assert known.record(frames[0], RECEIVED, "") is not None


def test_unset_ids_are_the_word_none_and_absent_texts_are_none():
    fields = loaded(stock_frame(row(system_id="", exc_text="", stack_info="", package_version=""), extra=False))

    assert (fields["SYSTEM_ID"], fields["exc_text"], fields["stack_info"]) == ("None", None, None)
    assert fields["package_version"] == ""


def test_sender_that_named_no_line_and_no_duration_still_makes_a_printable_record():
    created = datetime(2026, 11, 22, 1, 2, 3, 456_789, tzinfo=UTC)
    bare = row(created=created, lineno=None, msecs=None, relativecreated=None, process=None, thread=None)

    record = logging.makeLogRecord(loaded(stock_frame(bare, extra=False)))
    printed = logging.Formatter("%(asctime)s %(lineno)d %(relativeCreated)d %(process)s %(message)s").format(record)

    assert printed.endswith(",456 0 0 None psbasic record 0 of 3")


def test_keys_the_original_bridge_does_not_know_are_sent_on_request_only():
    full = row(taskname="Task-1", summary="s", asctime="then", api_version="2", extra={"order": 7})

    without = loaded(stock_frame(full, extra=False))
    with_extra = loaded(stock_frame(full, extra=True))

    assert list(without) == [*PSBASIC_FIELDS, "api_version", "asctime"]
    assert {key: with_extra[key] for key in with_extra if key not in without} == {
        **{"taskName": "Task-1", "summary": "s", "order": 7}
    }


def test_keys_of_extra_whose_name_is_taken_are_sent_beside_it():
    odd = {"msg": 1, "lineno": "x", "lineno~2": "y", "getMessage": "z", "SYSTEM_ID": {"a": 1}, "free": None}
    fields = loaded(stock_frame(row(extra=odd), extra=True))

    assert fields["msg"] == "psbasic record 0 of 3"
    assert {key: fields[key] for key in list(fields)[len(PSBASIC_FIELDS) :]} == {
        **{"msg~2": 1, "lineno~2": "x", "lineno~2~2": "y", "getMessage~2": "z", "SYSTEM_ID~2": {"a": 1}, "free": None}
    }
    assert logging.makeLogRecord(fields).getMessage() == "psbasic record 0 of 3"


def test_args_that_could_not_be_merged_travel_as_text_that_no_formatter_touches():
    fields = loaded(stock_frame(row(message="%d of", args='["x"]', exc_info="[1]"), extra=True))

    assert (fields["args"], fields["args~2"], fields["exc_info"], fields["exc_info~2"]) == (None, '["x"]', None, "[1]")
    assert logging.Formatter("%(message)s").format(logging.makeLogRecord(fields)) == "%d of"


def test_what_no_herald_reads_is_written_as_text():
    deep: list[object] = []
    for _ in range(DEPTH_MAX + 5):
        deep = [deep]
    fields = {"deep": deep, "huge": 2**20_000, "set": {1}, "tuple": (1,)}

    told = pickle.loads(pickled(fields))

    assert isinstance(told["huge"], str)
    assert (told["set"], told["tuple"]) == ("[1]", [1])
    assert json.loads(again(stock_frame(row(extra=fields), extra=True)).extra)["tuple"] == [1]


def test_row_too_long_for_any_herald_is_cut_and_says_so():
    long = row(message="€" * 262_144, exc_text="é" * 262_144, stack_info="x" * 262_144, extra={"a": "ü" * 60_000})

    frame = stock_frame(long, extra=True)

    assert len(frame) <= PAYLOAD_MAX + 4
    assert "characters cut]" in again(frame).message[-40:]


# Runs under Python 2.7 too: loads each frame, prints it through a formatter, and tells what it saw.
RECEIVER = """
import json, logging, pickle, struct, sys
stream = getattr(sys.stdin, "buffer", sys.stdin).read()
told = []
while stream:
    (length,) = struct.unpack(">L", stream[:4])
    fields = pickle.loads(stream[4 : 4 + length])
    stream = stream[4 + length :]
    record = logging.makeLogRecord(fields)
    line = logging.Formatter("%(asctime)s %(levelname)s %(name)s %(lineno)d %(process)d %(message)s").format(record)
    told.append([line, record.getMessage(), record.SYSTEM_ID, record.order, fields])
print(json.dumps(told))
"""
IDENTICAL = {"text": "grüße € 🐍", "nested": {"a": [1, None, True, 2.5]}, "big": 2**70, "neg": -5, "no": False}


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.9", "3.13"])
def test_every_python_makes_a_usable_record_of_it(version: str):
    if version not in interpreters():
        pytest.skip(f"there is no Python {version} here")
    rows = [
        row(message="grüße €\n100 % of {it}", extra={"order": IDENTICAL}),
        row(message="", exc_text="Traceback …\nError: ü", extra={"order": [], "schlüssel": "x"}),
        row(system_id="", created=RECEIVED + timedelta(microseconds=1), extra={"order": "nul \0 end"}),
    ]
    stream = b"".join(stock_frame(one, extra=True) for one in rows)

    done = subprocess.run(
        [interpreters()[version], "-c", RECEIVER], input=stream, capture_output=True, timeout=60, check=False
    )

    assert (done.returncode, done.stderr) == (0, b"")
    told = json.loads(done.stdout)
    assert [(one[1], one[2], one[3]) for one in told] == [
        (one["message"], one["system_id"] or "None", one["extra"]["order"]) for one in rows
    ]
    assert [one[4] for one in told] == [loaded(stock_frame(one, extra=True)) for one in rows]
    assert told[1][0].endswith("Error: ü")
