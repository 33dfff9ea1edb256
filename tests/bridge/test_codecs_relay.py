from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.codecs import Reason, Rejected, relay
from logs.record import Record, build

NOW = datetime(2026, 11, 22, 12, 0, 0, 123_456, tzinfo=UTC)
OWN = "the-bridge-that-reads"
HOP = {"bridge": "near-near", "name": "near", "received": NOW.isoformat(), "sent": NOW.isoformat(), "peer": "10.0.0.1"}
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
fields = st.fixed_dictionaries(
    {"msg": texts, "name": texts, "created": st.floats(9.5e8, 1.79e9)},
    optional={
        "SYSTEM_ID": texts,
        "USER_SPEC_1": texts,
        "levelno": st.integers(-5, 60) | st.none(),
        "lineno": st.integers(-(2**40), 2**40),
        "thread": st.integers(-(2**70), 2**70),
        "msecs": st.floats(),
        "exc_text": texts | st.none(),
        "args": values,
        "taskName": texts,
        "an extra": values,
        "another": values,
    },
)


def row(record: Record, **changes: Any) -> dict[str, Any]:
    """Return a record as the tail reads it."""
    return {**record._asdict(), "extra": json.loads(record.extra), "origin": json.loads(record.origin), **changes}


def decoded(payload: bytes, own: str = OWN) -> Record:
    return relay.decode(payload, received=NOW + timedelta(seconds=9), peer="10.0.0.9", own=own)[0]


@given(fields)
def test_a_row_is_the_same_at_the_next_bridge(told: dict[str, Any]):
    stored = build(told, received=NOW, peer="10.0.0.1")
    found = decoded(relay.encode(row(stored), HOP))

    same = [column for column in Record._fields if column not in ("received", "peer", "origin")]
    assert [getattr(found, column) for column in same] == [getattr(stored, column) for column in same]
    assert json.loads(found.origin) == [HOP]
    assert (found.received, found.peer) == (NOW + timedelta(seconds=9), "10.0.0.9")


def test_what_was_mended_before_is_still_told():
    stored = build({"msg": "x" * 300_000, "name": "\ud800", "created": "never"}, received=NOW)
    found = decoded(relay.encode(row(stored), HOP))

    assert set(found.flags.split()) == {"created", "cut", "odd"}
    assert found.created == NOW


@given(st.binary(max_size=100), values, values, values)
def test_nothing_else_is_raised(raw: bytes, record: Any, origin: Any, extra: Any):
    payloads = [raw, json.dumps({"record": record, "origin": origin, "extra": extra}).encode()]
    payloads.append(json.dumps({"record": {"msg": extra, "name": record}, "origin": [], "extra": origin}).encode())
    for payload in payloads:
        try:
            assert isinstance(decoded(payload), Record)
        except Rejected as rejected:
            assert rejected.detail  # noqa: PT017


def refused(payload: dict[str, Any]) -> Reason:
    with pytest.raises(Rejected) as caught:
        decoded(json.dumps(payload).encode())
    return caught.value.reason


def test_a_row_that_has_been_here_is_a_loop():
    told = {"record": {"msg": "x", "name": "y"}, "origin": [HOP, {"bridge": OWN}]}
    assert refused(told) is Reason.LOOP


def test_a_row_that_has_passed_too_many_bridges_is_a_loop():
    told = {"record": {"msg": "x", "name": "y"}, "origin": [{"bridge": f"bridge-{n}"} for n in range(33)]}
    assert refused(told) is Reason.LOOP


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"record": {"msg": "x", "name": "y"}},
        {"record": {"msg": "x", "name": "y"}, "origin": {}},
        {"record": {"msg": "x", "name": "y"}, "origin": ["a"]},
        {"record": {"msg": "x", "name": "y"}, "origin": [], "extra": []},
        {"record": {"msg": "only"}, "origin": []},
        {"record": [], "origin": []},
    ],
)
def test_what_is_no_row_is_rejected(told: dict[str, Any]):
    assert refused(told) is Reason.NOT_A_RECORD


def test_hops_are_kept_inert_and_short():
    hop = {"bridge": "x" * 999, "name": "\0", "redacted": ["y" * 999] * 200, "more": {"nested": 1}, "n": 2**60}
    kept = json.loads(decoded(json.dumps({"record": {"msg": "m", "name": "n"}, "origin": [hop]}).encode()).origin)[0]

    assert len(kept["bridge"]) == 300
    assert len(kept["redacted"]) == 100
    assert all(len(word) <= 300 for word in kept["redacted"])
    assert kept["name"] == "␀"
    assert (kept["more"], kept["n"]) == ("{'nested': 1}", str(2**60))


def test_a_receiver_takes_flags_it_knows_and_no_others():
    told = {
        "record": {"msg": "m", "name": "n", "created": NOW.timestamp()},
        "origin": [],
        "flags": "cut admin redacted",
    }
    assert decoded(json.dumps(told).encode()).flags == "cut redacted"
