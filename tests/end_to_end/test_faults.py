"""The faults that the bridge before this one had, each against the real process."""

from __future__ import annotations

import contextlib
import json
import pickle
import sqlite3
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from tests.corpus import framed, stock_record
from tests.end_to_end.conftest import SERVER, Site
from tests.end_to_end.frames import frame, frames


@pytest.fixture(scope="module")
def bridge(shared_site: Site) -> Site:
    shared_site.start_bridge()
    return shared_site


def messages(site: Site, system: str) -> list[str]:
    return [row["message"] for row in site.rows("system_id = %s", system)]


def test_a_frame_in_two_segments_is_one_record(bridge: Site):
    whole = frame("in two parts", "segments")
    with bridge.connect() as client:
        for part in (whole[:2], whole[2:100], whole[100:]):
            client.sendall(part)
            time.sleep(0.05)
    bridge.wait_for_rows(1, "system_id = 'segments'")

    assert messages(bridge, "segments") == ["in two parts"]


def test_a_body_that_does_not_decode_costs_no_other_record(bridge: Site):
    with bridge.connect() as client:
        client.sendall(frame("before", "garbage") + framed(b"}q\x00(garbage") + framed(b"\x00\xff" * 50))
        client.sendall(frame("after", "garbage"))
    bridge.wait_for_rows(2, "system_id = 'garbage'")

    assert messages(bridge, "garbage") == ["before", "after"]


def test_an_unknown_key_is_kept(bridge: Site):
    with bridge.connect() as client:
        client.sendall(frame("new keys", "unknown-key", taskName="Task-7", shoe_size=44))
    bridge.wait_for_rows(1, "system_id = 'unknown-key'")

    row = bridge.rows("system_id = 'unknown-key'")[0]
    extra = row["extra"] if isinstance(row["extra"], dict) else json.loads(row["extra"])
    assert (row["taskname"], extra) == ("Task-7", {"shoe_size": 44})


@pytest.mark.parametrize(("value", "stored"), [(17, "17"), (None, ""), ("None", ""), (Decimal("1.5"), None)])
def test_an_id_that_is_no_text_costs_no_record(bridge: Site, value, stored):
    mark = f"id is {value!r}"
    with bridge.connect() as client:
        client.sendall(framed(pickle.dumps(stock_record(msg=mark, SYSTEM_ID=value), 1)))
    bridge.wait_for_rows(1, "message = %s", mark)

    system = bridge.rows("message = %s", mark)[0]["system_id"]
    assert ("1.5" in system) if stored is None else (system == stored)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"lineno": 2**80}, id="huge-number"),
        pytest.param({"msecs": float("nan")}, id="nan"),
        pytest.param({"module": ["a", "list"]}, id="list"),
        pytest.param({"funcName": "nul \x00 inside"}, id="nul"),
        pytest.param({"thread": {"a": "dict"}}, id="dict"),
        pytest.param({"exc_text": "lone \ud800 surrogate"}, id="surrogate"),
    ],
)
def test_a_value_the_database_cannot_bind_costs_no_record(bridge: Site, changes, request):
    system = f"unbound-{request.node.callspec.id}"
    fields = stock_record(msg="all the same", SYSTEM_ID=system, **changes)
    # By protocol 4: the text opcodes of the older one cannot carry a lone surrogate.
    with bridge.connect() as client:
        client.sendall(framed(pickle.dumps(fields, 4)) + frame("next", system))
    bridge.wait_for_rows(2, "system_id = %s", system)

    assert messages(bridge, system) == ["all the same", "next"]


@contextlib.contextmanager
def locked(site: Site) -> Iterator[None]:
    """Keep everybody else from writing, as a backup or an admin's session does."""
    if SERVER:
        with psycopg.connect(site.database_url) as other:
            other.execute("LOCK TABLE logs_log IN ACCESS EXCLUSIVE MODE")
            yield
        return
    with contextlib.closing(sqlite3.connect(site.database_url.removeprefix("sqlite:///"), timeout=20)) as other:
        other.isolation_level = None
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def test_a_database_locked_for_7_s_loses_nothing(bridge: Site):
    with bridge.connect() as client:
        client.sendall(frames(100, "locked"))
        bridge.wait_for_rows(100, "system_id = 'locked'")
        with locked(bridge):
            client.sendall(frames(900, "locked", start=100))
            time.sleep(7)
        client.sendall(frames(100, "locked", start=1_000))
    bridge.wait_for_rows(1_100, "system_id = 'locked'")

    assert messages(bridge, "locked") == [str(number) for number in range(1_100)]


def test_a_message_over_200_kib_is_stored_whole(bridge: Site):
    message = "x" * (200 * 1024) + " the end"
    with bridge.connect() as client:
        client.sendall(frame(message, "long"))
    bridge.wait_for_rows(1, "system_id = 'long'")

    assert messages(bridge, "long") == [message]


def test_a_burst_is_stored_to_the_last_record(bridge: Site):
    burst = frames(5_000, "burst")
    with bridge.connect() as client:
        client.sendall(burst)
    bridge.wait_for_rows(5_000, "system_id = 'burst'", timeout=100)

    assert messages(bridge, "burst") == [str(number) for number in range(5_000)]


def test_quotes_newlines_and_markup_stay_as_they_were_sent(bridge: Site):
    message = """it's "quoted" `so`\n<script>alert(1)</script> %s {} \\ 100 %"""
    with bridge.connect() as client:
        client.sendall(frame(message, "quotes"))
    bridge.wait_for_rows(1, "system_id = 'quotes'")

    assert messages(bridge, "quotes") == [message]


def test_the_sender_s_time_is_kept(bridge: Site):
    with bridge.connect() as client:
        client.sendall(framed(pickle.dumps(stock_record(SYSTEM_ID="clock", created=1_795_312_000.25), 1)))
    bridge.wait_for_rows(1, "system_id = 'clock'")

    assert str(bridge.rows("system_id = 'clock'")[0]["created"]).startswith("2026-11-22 01:46:40.25")


class Touch:
    """What an attacker sends: unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("protocol", range(6))
def test_a_crafted_pickle_runs_nothing(bridge: Site, tmp_path: Path, protocol: int):
    target, system = tmp_path / "made", f"crafted-{protocol}"
    payloads = [pickle.dumps(Touch(target), protocol), pickle.dumps(stock_record(extra=Touch(target)), protocol)]
    with bridge.connect() as client:
        client.sendall(b"".join(map(framed, payloads)) + frame("next", system))
    bridge.wait_for_rows(1, "system_id = %s", system)

    assert not target.exists()
    pickle.loads(payloads[0]).close()
    assert target.exists()
