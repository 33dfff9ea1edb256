"""An original ps_bridge takes the frames we write for it as if an old client had sent them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bridge.codecs import to_record
from bridge.codecs.stock import stock_frame
from tests import corpus
from tests.end_to_end.conftest import Site
from tests.end_to_end.frames import frame
from tests.soak.original_bridge import OriginalBridge, install, networks_can_be_made, original_bridge

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

RECEIVED = datetime(2026, 11, 22, 13, tzinfo=UTC)
# The old bridge dates rows by its own clock, and numbers them.
ITS_OWN = ("id", "created")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not networks_can_be_made():
        pytest.skip("no network namespace can be made here: the original bridge would bind all addresses")
    return install(tmp_path_factory.mktemp("original") / "venv")


@pytest.fixture
def bridge(programs: Path, tmp_path: Path) -> Iterator[OriginalBridge]:
    with original_bridge(programs, tmp_path) as running:
        yield running


def row(payload: bytes, **changes: object) -> dict[str, Any]:
    told = to_record(payload, received=RECEIVED)._asdict()
    return {"id": 7, **told, "extra": json.loads(told["extra"]), "origin": [], **changes}


def stored(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in ITS_OWN} for row in rows]


def test_rows_are_stored_as_if_the_client_had_sent_them_itself(bridge: OriginalBridge):
    payloads = corpus.psbasic_payloads()[:9]

    bridge.send(*map(corpus.framed, payloads))
    by_client = bridge.wait_for_rows(len(payloads), "psclient")
    bridge.send(*(stock_frame(row(payload, system_id="forwarded"), extra=False) for payload in payloads))
    by_us = bridge.wait_for_rows(len(payloads), "forwarded")

    assert len(by_us) == len(payloads)
    for ours, theirs in zip(stored(by_us), stored(by_client), strict=True):
        assert ours.pop("system_id") == "forwarded"
        assert ours.pop("summary") == theirs.pop("summary").replace("psclient", "forwarded")
        assert ours == {name: value for name, value in theirs.items() if name != "system_id"}


def test_rows_that_no_old_client_sent_are_stored_too(bridge: OriginalBridge):
    bare = dict.fromkeys(("lineno", "process", "thread", "msecs", "relativecreated"))
    odd = [
        row(corpus.psbasic_payloads()[1], system_id="odd", extra={"order": 7}, taskname="Task-1", args="[1]"),
        row(corpus.psbasic_payloads()[1], system_id="odd", api_version="2", asctime="then", summary="s"),
        row(corpus.psbasic_payloads()[1], system_id="odd", **bare, user_spec_1="", message="grüße 🐍 {it} 100 %"),
    ]

    bridge.send(*(stock_frame(one, extra=False) for one in odd))
    rows = bridge.wait_for_rows(len(odd), "odd")

    assert [one["message"] for one in rows] == [one["message"] for one in odd]
    assert (rows[1]["api_version"], rows[1]["asctime"]) == ("2", "then")
    assert (rows[2]["user_spec_1"], rows[2]["lineno"], rows[2]["exc_text"]) == ("None", 0, "None")


def test_key_it_does_not_know_costs_it_that_record_and_those_behind_it(bridge: OriginalBridge):
    """Why frames for it are written without `extra`."""
    first, unknown, behind, later = (
        row(corpus.psbasic_payloads()[1], system_id="keys", extra={"order": 7}, message=message)
        for message in ("first", "unknown", "behind", "later")
    )

    bridge.send(stock_frame(first, extra=False), stock_frame(unknown, extra=True), stock_frame(behind, extra=False))
    bridge.send(stock_frame(later, extra=False))
    rows = bridge.wait_for_rows(2, "keys")

    assert [one["message"] for one in rows] == ["first", "later"]
    assert "'order' is an invalid keyword argument for Log" in bridge.output


def test_a_destination_of_its_kind_feeds_it_every_row_as_slowly_as_it_needs(bridge: OriginalBridge, site: Site):
    site.start_bridge()
    host, port = bridge.address
    done = site.manage("destinations", "add", "old", f"{host}:{port}", "--kind", "ps_bridge", "--rate", "50")
    assert done.returncode == 0, done.stderr
    with site.connect() as client:
        client.sendall(b"".join(frame(str(n), "svc", order=n, taskName="Task-1") for n in range(300)))
    rows = bridge.wait_for_rows(300, "svc", timeout=120)

    assert [one["message"] for one in rows] == [str(n) for n in range(300)]
    assert bridge.rows("herald.hop")[0]["message"] == "hop beat"
