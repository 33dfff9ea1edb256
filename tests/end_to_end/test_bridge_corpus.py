"""Every frame of the corpus through the real socket, each with a good record behind it."""

from __future__ import annotations

import contextlib
import pickle
import socket

from tests import corpus
from tests.corpus import Entry
from tests.end_to_end.conftest import Site
from tests.end_to_end.frames import frame

MARK = "after "


def test_every_frame_ends_as_its_manifest_says_and_costs_no_other_record(site: Site):
    site.start_bridge()
    client = site.connect(timeout=30)
    for entry in corpus.entries():
        client.sendall(entry.frame)
        if entry.expect == "close":
            assert_closed(client, entry)
            client.close()
            client = site.connect(timeout=30)
        client.sendall(frame(MARK + entry.name, "marks"))
    site.wait_for_rows(len(corpus.entries()), "system_id = 'marks'")
    client.close()

    stored = stored_before_each_mark(site)
    wrong = {entry.name: stored[entry.name] for entry in corpus.entries() if stored[entry.name] not in expected(entry)}

    assert wrong == {}


def expected(entry: Entry) -> set[int]:
    """Return how many rows the manifest allows."""
    match entry.expect:
        case "store":
            return {int(str(entry.checks.get("stored", 1)))}
        case "store_clean":
            return {0, 1} if entry.category in ("rce", "dos") else {1}
        case "either":
            return {0, 1}
        case _:
            return {0}


def stored_before_each_mark(site: Site) -> dict[str, int]:
    """Return how many rows lie before the mark of each entry and after the one before it."""
    found: dict[str, int] = {}
    number = 0
    for row in site.rows("system_id <> 'herald.bridge'"):
        if row["system_id"] == "marks":
            found[row["message"].removeprefix(MARK)] = number
            number = 0
        else:
            number += 1
    return found


def assert_closed(client: socket.socket, entry: Entry) -> None:
    client.settimeout(15)
    try:
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b"", entry.name
    except TimeoutError:
        raise AssertionError(f"{entry.name}: the connection is still open") from None


def test_real_frames_of_ps_basic_arrive_complete(site: Site):
    site.start_bridge()
    with site.connect() as client:
        client.sendall((corpus.DATA / "psbasic_frames.bin").read_bytes())
    site.wait_for_rows(11, "system_id <> 'herald.bridge'")
    rows = site.rows("system_id <> 'herald.bridge'")
    sent = [pickle.loads(payload) for payload in corpus.psbasic_payloads()]

    for field, column in (("msg", "message"), ("levelno", "levelno"), ("package_version", "package_version")):
        assert [row[column] for row in rows] == [record[field] for record in sent]
    assert [row["exc_text"] for row in rows] == [record["exc_text"] or "" for record in sent]
    assert {(row["system_id"], row["sub_system_id"]) for row in rows} == {("psclient", "vm")}
