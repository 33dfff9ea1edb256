"""The short way through a known shape tells what the machine tells, costs little, and cannot be led astray."""

from __future__ import annotations

import pickle
import struct
import time
from datetime import UTC, datetime
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.codecs import pickles
from bridge.codecs.shapes import FRAME_MAX, KEYS_MAX, PAUSE_MAX, SHAPES_MAX, Shape, Shapes, sketch
from logs.record import build
from tests import corpus

RECEIVED = datetime(2026, 11, 22, 13, tzinfo=UTC)
BINARY_PROTOCOLS = range(1, 6)
CLIENTS = [
    payload
    for version in ("2.7", "3.6", "3.13")
    for payload in corpus.payloads_of((corpus.DATA / "clients" / f"python-{version}.bin").read_bytes())[:4]
]

texts = st.text(st.characters(codec="utf-8"), max_size=300)
scalars = st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False) | texts
extras = st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20), scalars, max_size=6)


def shape_of(payload: bytes) -> Shape:
    drawn = sketch(payload)
    assert drawn is not None
    return Shape(drawn)


@cache
def stock_shape(protocol: int) -> Shape:
    return shape_of(pickle.dumps(corpus.stock_record(), protocol))


def short_way(shape: Shape, payload: bytes) -> dict[str, object] | None:
    values = shape.values(payload)
    return None if values is None else dict(zip(shape.keys, values, strict=True))


@pytest.mark.parametrize("payload", [*corpus.psbasic_payloads(), *CLIENTS])
def test_frames_of_real_clients_have_a_shape_and_tell_the_same_both_ways(payload: bytes):
    shape = shape_of(payload)
    values = shape.values(payload)

    assert values is not None
    assert dict(zip(shape.keys, values, strict=True)) == pickles.read(payload).value
    assert shape.layout.build(values, received=RECEIVED) == build(
        dict(zip(shape.keys, values, strict=True)), received=RECEIVED
    )


@settings(deadline=None)
@given(extras, st.sampled_from(BINARY_PROTOCOLS))
def test_machine_short_way_and_pickle_agree_on_any_flat_record(extra: dict[str, object], protocol: int):
    fields = {**corpus.stock_record(), **extra}
    payload = pickle.dumps(fields, protocol)

    assert pickle.loads(payload) == fields
    assert pickles.read(payload).value == fields
    drawn = sketch(payload)
    if drawn is not None:
        assert short_way(Shape(drawn), payload) == fields


@settings(deadline=None)
@given(texts, st.floats(allow_nan=False), st.integers(0, 2**40), st.sampled_from(BINARY_PROTOCOLS))
def test_shape_learnt_from_one_record_fits_the_next_or_declines(msg: str, created: float, line: int, protocol: int):
    shape = stock_shape(protocol)
    fields = corpus.stock_record(msg=msg, created=created, lineno=line)

    assert short_way(shape, pickle.dumps(fields, protocol)) in (None, fields)
    if len(msg.encode()) < 256 and line < 2**31:
        assert short_way(shape, pickle.dumps(fields, protocol)) == fields


@settings(deadline=None)
@given(st.data())
def test_frame_with_any_byte_changed_is_declined_or_told_as_the_machine_tells_it(data: st.DataObject):
    protocol = data.draw(st.sampled_from(BINARY_PROTOCOLS))
    payload = pickle.dumps(corpus.stock_record(), protocol)
    shape = stock_shape(protocol)
    position = data.draw(st.integers(0, len(payload) - 1))
    changed = payload[:position] + data.draw(st.binary(min_size=0, max_size=3)) + payload[position + 1 :]

    told = short_way(shape, changed)

    # Compared as text, in which NaN equals itself.
    assert told is None or repr(told) == repr(pickles.read(changed).value)


@pytest.mark.parametrize("protocol", BINARY_PROTOCOLS)
def test_value_that_the_memo_repeats_is_told(protocol: int):
    again = "the very same text"
    fields = corpus.stock_record(first=again, second=again, key_too="first")
    payload = pickle.dumps(fields, protocol)

    assert short_way(shape_of(payload), payload) == fields


def test_message_that_holds_what_follows_a_message_is_left_to_the_machine():
    honest = pickle.dumps(corpus.stock_record(), 1)
    behind_msg = honest[honest.index(b"q\x04") : honest.index(b"q\x06")].decode()
    payload = pickle.dumps(corpus.stock_record(msg=f"x{behind_msg}y"), 1)

    assert short_way(shape_of(honest), payload) is None
    assert pickles.read(payload).value == corpus.stock_record(msg=f"x{behind_msg}y")


@pytest.mark.parametrize("lie", [0, 4, 6, 2**31])
def test_length_word_that_lies_is_declined(lie: int):
    honest = pickle.dumps(corpus.stock_record(), 1)

    assert (
        short_way(shape_of(honest), honest.replace(struct.pack("<L", 5) + b"hello", struct.pack("<L", lie) + b"hello"))
        is None
    )


def test_frame_length_that_lies_is_declined():
    honest = pickle.dumps(corpus.stock_record(), 4)
    lie = honest[:3] + struct.pack("<Q", len(honest)) + honest[11:]

    assert short_way(shape_of(honest), honest) == corpus.stock_record()
    assert short_way(shape_of(honest), lie) is None


@pytest.mark.parametrize(
    "fields",
    [
        corpus.stock_record(nested=[1]),
        corpus.stock_record(huge=2**200),
        corpus.stock_record(odd={1}),
        {f"k{number}": number for number in range(KEYS_MAX + 1)},
        {},
        {"one": 1},
    ],
)
def test_frame_that_is_not_plain_has_no_shape(fields: dict[str, object]):
    assert sketch(pickle.dumps(fields, 1)) is None


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"}",
        b"}(u.",
        b"}q\x00(X\x01\x00\x00\x00aq\x01h\x00u.",
        b"}q\x00(X\x01\x00\x00\x00aq\x00Nu.",
        b"}(X\x01\x00\x00\x00aNX\x01\x00\x00\x00aNu.",
        b"}(X\xff\xff\xff\x7faNu.",
        b"}(X\x01\x00\x00\x00\xffNu.",
        b"}(X\x01\x00\x00\x00aG1234",
        b"}(X\x01\x00\x00\x00ah\x07u.",
    ],
    ids=lambda payload: repr(payload),
)
def test_crooked_frame_has_no_shape(payload: bytes):
    assert sketch(payload) is None


def test_shape_is_known_once_it_has_been_seen_twice():
    known = Shapes()
    payload = pickle.dumps(corpus.stock_record(), 1)

    seen = 0
    while known.match(payload) is None:
        known.learn(payload)
        seen += 1

    assert 2 <= seen <= 4


def test_senders_who_never_repeat_themselves_are_hardly_looked_at():
    known = Shapes()

    for number in range(1_000):
        known.learn(pickle.dumps(corpus.stock_record(**{f"k{number}": 1}), 1))

    assert 2 < known.looks < 10 + 1_000 / PAUSE_MAX * 1.5


def test_flood_of_shapes_does_not_drive_out_one_that_is_in_use():
    known = Shapes()
    payload = pickle.dumps(corpus.stock_record(), 1)
    learn_surely(known, payload)

    for number in range(3 * SHAPES_MAX):
        learn_surely(known, pickle.dumps(corpus.stock_record(**{f"k{number}": 1}), 1))
        assert known.match(payload) is not None


def learn_surely(known: Shapes, payload: bytes) -> None:
    for _ in range(4 * PAUSE_MAX):
        known.learn(payload)
        if known.match(payload):
            return
    raise AssertionError("the shape was not learnt")


def test_long_frames_and_json_are_not_matched_at_all():
    known = Shapes()
    long = pickle.dumps(corpus.stock_record(msg="x" * FRAME_MAX), 1)
    for _ in range(10):
        known.learn(long)

    assert known.match(long) is None
    assert known.match(b'{"msg": "x"}') is None


def test_frame_made_for_backtracking_costs_next_to_nothing():
    honest = pickle.dumps(corpus.stock_record(), 1)
    shape = shape_of(honest)
    behind_name = honest[honest.index(b"q\x02X") : honest.index(b"hello") - 5]
    hostile = honest.replace(b"app.db", (b"app.db" + behind_name) * (FRAME_MAX // (len(behind_name) + 6) - 40))

    taken = []
    for _ in range(10):
        start = time.perf_counter()
        assert shape.values(hostile) is None
        taken.append(time.perf_counter() - start)

    assert len(hostile) > FRAME_MAX / 2
    assert min(taken) < 0.01
