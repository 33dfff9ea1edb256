from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heraldsite.settings.base import BASE_DIR
from logs.client import wire

VECTOR = re.compile(r"^\| ([^`|]+?) `(\{.*\})` \| `([0-9a-f ]+)` \|$", re.MULTILINE)
VECTORS = VECTOR.findall((BASE_DIR / "bridge" / "PROTOCOL.md").read_text())
NUMBERS = st.tuples(st.integers(0, wire.HALF_MAX), st.integers(0, wire.HALF_MAX))


def test_the_page_has_its_vectors():
    assert len(VECTORS) == 7


@pytest.mark.parametrize(("what", "told", "frame"), VECTORS, ids=[f"{v[0]} {v[1][:12]}" for v in VECTORS])
def test_the_page_s_vectors_are_what_this_module_writes_and_reads(what: str, told: str, frame: str):
    raw = bytes.fromhex(frame)
    payload = json.dumps(json.loads(told), separators=(",", ":")).encode()
    if number := re.fullmatch(r"record (\d+),(\d+)", what):
        assert wire.numbered((int(number[1]), int(number[2])), payload) == raw
    elif what == "beat":
        assert wire.beat({}) == raw
    elif what == "hello":
        assert wire.framed(payload) == raw
        assert wire.Hello.parse(raw[4:]) == wire.Hello("0123456789abcdef")
    else:
        (answer,) = wire.Answers().feed(raw)
        assert wire.framed(answer.encode()) == raw


@given(acked=NUMBERS, name=st.text(max_size=50), login=st.text(max_size=20), secret=st.text(max_size=20))
def test_a_hello_is_read_as_it_was_written(acked: wire.Sequence, name: str, login: str, secret: str):
    name = name.replace("\0", "").encode("utf-8", "backslashreplace").decode()
    secret = secret.replace("\0", "").encode("utf-8", "backslashreplace").decode() if login else ""
    login = login.replace("\0", "").encode("utf-8", "backslashreplace").decode()
    hello = wire.Hello("abcdefgh", name=name, acked=acked, login=login, secret=secret if login else "", time=7.5)
    assert wire.Hello.parse(hello.encode()) == hello


def test_a_bridge_s_hello_is_read_as_it_was_written():
    hello = wire.Hello("abcdefgh", kind="bridge", bridge="0123456789", level=30, ack=False)
    assert wire.Hello.parse(hello.encode()) == hello


@given(st.binary(max_size=200))
def test_no_hello_raises_anything_else(payload: bytes):
    for attempt in (payload, b'{"herald":1,"sender":' + payload + b"}"):
        assert complaint(partial(wire.Hello.parse, attempt)) != ""


answers = st.one_of(
    st.builds(
        wire.Welcome,
        acked=NUMBERS,
        bridge=st.just("b" * 32),
        name=st.text(max_size=9).map(lambda name: name.replace("\0", "")),  # a reader drops NUL
        frame_max=st.just(9),
        level=st.integers(0, 100),
        time=st.just(7.5),
    ),
    st.builds(
        wire.Ack,
        acked=NUMBERS,
        rejected=st.lists(st.builds(wire.Rejection, NUMBERS, st.text(max_size=9), st.text(max_size=9)), max_size=3).map(
            tuple
        ),
        more=st.integers(0, 9),
    ),
    st.builds(wire.Refusal, reason=st.just("superseded"), text=st.just("another connection")),
)


@given(st.lists(answers, max_size=6), st.integers(1, 40))
def test_answers_are_the_same_however_the_stream_is_cut(told, size: int):
    stream = b"".join(wire.framed(answer.encode()) for answer in told)
    reader = wire.Answers()
    found = []
    for start in range(0, len(stream), size):
        found += reader.feed(stream[start : start + size])
    assert found == told


@given(st.binary(max_size=100))
def test_what_is_no_answer_is_told_in_words(data: bytes):
    assert complaint(lambda: wire.Answers().feed(struct.pack(">I", len(data)) + data)) != ""


def complaint(call: Callable[[], object]) -> str | None:
    """Return in what words something was refused; None where it was not."""
    try:
        call()
    except wire.ProtocolError as error:
        return error.text
    return None


def test_a_server_of_another_kind_is_recognised_by_its_first_bytes():
    with pytest.raises(wire.ProtocolError, match="does not speak herald's protocol"):
        wire.Answers().feed(b"HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "now", None, True, 1e300])
def test_a_clock_that_is_no_time_is_none(value):
    payload = b'{"herald":1,"sender":"abcdefgh","time":' + json.dumps(value).encode() + b"}"
    assert wire.Hello.parse(payload).time == 0.0


@pytest.mark.parametrize("key", ["bridge", "name"])
def test_no_text_gets_longer_by_being_read(key: str):
    told = {"herald": 1, "acked": [0, 0], key: "\ud800" * 64}
    (welcome,) = wire.Answers().feed(wire.framed(json.dumps(told).encode()))

    assert len(getattr(welcome, key)) <= {"bridge": 64, "name": 200}[key]
