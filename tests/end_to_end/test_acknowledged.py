"""The acknowledged protocol against the real process."""

from __future__ import annotations

import json
import signal
import struct
import time

import pytest

from tests.end_to_end.acked import Client, record
from tests.end_to_end.conftest import Site
from tests.end_to_end.frames import frame
from tests.end_to_end.test_bridge import rejected


@pytest.fixture(scope="module")
def bridge(shared_site: Site) -> Site:
    shared_site.start_bridge(HERALD_LOG_LEVEL="INFO")
    return shared_site


def numbers(site: Site, system: str) -> list[int]:
    return [int(row["message"]) for row in site.rows("system_id = %s", system)]


def test_what_is_acknowledged_is_stored(bridge: Site):
    with Client(bridge) as client:
        assert client.hello()["acked"] == [0, 0]
        client.records(1, 2_500, "stored")
        client.acked(2_500)

        assert numbers(bridge, "stored") == list(range(1, 2_501))


def test_a_welcome_says_who_answers(bridge: Site):
    with Client(bridge) as client:
        told = client.hello()

    assert told["herald"] == 1
    assert len(told["bridge"]) == 32
    assert told["name"]
    assert (told["level"], told["frame_max"]) == (50, 1_048_576)
    assert abs(told["time"] - time.time()) < 60


def test_a_sender_that_comes_back_is_told_where_it_was_and_what_it_sends_again_is_stored_once(bridge: Site):
    with Client(bridge) as client:
        client.hello()
        client.records(1, 100, "again")
        client.acked(100)
    with Client(bridge, client.sender) as client:
        assert client.hello()["acked"] == [0, 100]
        client.records(51, 100, "again")
        client.acked(150)

    assert numbers(bridge, "again") == list(range(1, 151))


def test_a_number_has_two_halves(bridge: Site):
    with Client(bridge) as client:
        client.hello()
        client.records(10, 5, "halves", high=1)
        client.records(1, 5, "halves", high=2)
        client.acked(5, high=2)
    with Client(bridge, client.sender) as client:
        assert client.hello()["acked"] == [2, 5]

    assert numbers(bridge, "halves") == [10, 11, 12, 13, 14, 1, 2, 3, 4, 5]


def test_a_rejected_record_is_passed_and_reported(bridge: Site):
    with Client(bridge) as client:
        client.hello()
        client.numbered(1, record("1", "bad"))
        client.numbered(2, b'{"no": "record"}')
        client.numbered(3, b"!")
        client.numbered(4, record("4", "bad"))
        told = client.acked(4)
        client.numbered(5, b'{"again": "none"}')
        alone = client.acked(5)
    with Client(bridge, client.sender) as client:
        assert client.hello()["acked"] == [0, 5]

    assert [(number, reason) for number, reason, _ in told] == [([0, 2], "not a record"), ([0, 3], "unknown codec")]
    assert [number for number, _, _ in alone] == [[0, 5]]
    assert numbers(bridge, "bad") == [1, 4]


def test_records_may_be_pickles_of_the_stock_handler(bridge: Site):
    with Client(bridge) as client:
        client.hello()
        client.numbered(1, frame("1", "pickled")[4:])
        client.acked(1)

    assert numbers(bridge, "pickled") == [1]


def test_stock_clients_and_acknowledged_senders_share_a_port(bridge: Site):
    with Client(bridge) as client, bridge.connect() as stock:
        client.hello()
        for start in range(1, 500, 50):
            stock.sendall(b"".join(frame(str(n), "stock") for n in range(start, start + 50)))
            client.records(start, 50, "acked")
        client.acked(500)
        bridge.wait_for_rows(500, "system_id = 'stock'")

    assert numbers(bridge, "stock") == numbers(bridge, "acked") == list(range(1, 501))


def test_who_wants_no_acknowledgement_sends_plain_frames_after_the_hello(bridge: Site):
    with Client(bridge) as client:
        client.hello(ack=False)
        client.send(record("1", "plain"))
        client.send(record("2", "plain"))
        bridge.wait_for_rows(2, "system_id = 'plain'")

    assert numbers(bridge, "plain") == [1, 2]


def test_a_sender_need_not_wait_for_the_welcome(bridge: Site):
    with Client(bridge) as client:
        hello = json.dumps({"herald": 1, "sender": client.sender}).encode()
        body = struct.pack(">QQ", 0, 1) + record("1", "eager")
        client.socket.sendall(
            struct.pack(">L", len(hello)) + hello + struct.pack(">L", len(body)) + body[:20],
        )
        assert client.answer()["acked"] == [0, 0]
        client.socket.sendall(body[20:])
        client.acked(1)

    assert numbers(bridge, "eager") == [1]


def test_a_second_connection_of_a_sender_ends_the_first(bridge: Site):
    with Client(bridge) as first, Client(bridge, first.sender) as second:
        first.hello()
        first.records(1, 300, "twice")
        second.hello()
        told = first.answer()
        while "error" not in told:
            told = first.answer()
        second.records(1, 400, "twice")
        second.acked(400)

        assert told["reason"] == "superseded"
        assert first.is_closed()
    assert numbers(bridge, "twice") == list(range(1, 401))


def test_a_database_that_lost_what_was_acknowledged_says_so_and_goes_on(bridge: Site):
    with Client(bridge) as client:
        assert client.hello(acked=[0, 700])["acked"] == [0, 0]
        client.records(701, 3, "gap")
        client.acked(703)
    bridge.wait_for_rows(1, "system_id = 'herald.bridge' AND message LIKE '%%700 records may be missing here%%'")

    assert numbers(bridge, "gap") == [701, 702, 703]


def test_marks_survive_a_kill(site: Site):
    process = site.start_bridge()
    with Client(site) as client:
        client.hello()
        client.records(1, 1_000)
        client.acked(1_000)
        process.stop(signal.SIGKILL)
    site.start_bridge()
    with Client(site, client.sender) as client:
        assert client.hello()["acked"] == [0, 1_000]
        client.records(990, 20)
        client.acked(1_009)

    assert numbers(site, "svc") == list(range(1, 1_010))


def test_a_bridge_told_to_stop_acknowledges_what_it_stores_before_it_goes(site: Site):
    process = site.start_bridge()
    with Client(site) as client:
        client.hello()
        client.records(1, 3_000)
        process.send_signal(signal.SIGTERM)
        acked = client.last_acked()
    assert process.wait(60) == 0

    assert numbers(site, "svc") == list(range(1, acked + 1))
    assert acked > 0


# --- Bad input -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hello", "reason", "text"),
    [
        ({"herald": 7, "sender": "abcdefgh"}, "unknown version", "speaks version 1 of the protocol, not 7"),
        ({"herald": True, "sender": "abcdefgh"}, "unknown version", "speaks version 1"),
        ({"herald": 1}, "bad hello", "`sender` must be"),
        ({"herald": 1, "sender": "short"}, "bad hello", "`sender` must be"),
        ({"herald": 1, "sender": "abcdefgh", "name": 5}, "bad hello", "`name` must be"),
        ({"herald": 1, "sender": "abcdefgh", "acked": [1]}, "bad number", "list of two integers"),
        ({"herald": 1, "sender": "abcdefgh", "acked": [0, 2**63]}, "bad number", "list of two integers"),
        ({"herald": 1, "sender": "abcdefgh", "kind": "spy"}, "bad hello", "`kind` must be"),
        ({"herald": 1, "sender": "abcdefgh", "kind": "bridge"}, "bad hello", "own id"),
        ({"herald": 1, "sender": "abcdefgh", "credentials": []}, "bad hello", "`credentials`"),
        ({"herald": 1, "sender": "abcdefgh", "name": "x" * 1_000_000}, "hello too long", "at most 8,192 bytes"),
    ],
)
def test_a_hello_that_is_none_is_refused_with_a_sentence(bridge: Site, hello, reason: str, text: str):
    with Client(bridge) as client:
        client.send(hello)
        told = client.answer()

        assert told["reason"] == reason
        assert text in told["error"]
        assert client.is_closed()


def test_a_hello_that_is_no_json_is_refused(bridge: Site):
    with Client(bridge) as client:
        client.send(b'{"herald": 1, "sender": ')
        assert client.answer()["reason"] == "bad hello"


def test_a_hello_that_comes_late_is_no_record(bridge: Site):
    with bridge.connect() as client:
        client.sendall(frame("1", "late"))
        body = b'{"herald": 1, "sender": "abcdefgh"}'
        client.sendall(struct.pack(">L", len(body)) + body + frame("2", "late"))
        bridge.wait_for_rows(2, "system_id = 'late'")

    assert rejected(bridge, "hello") == 1


def test_numbers_that_go_back_end_the_connection_and_what_came_before_is_stored(bridge: Site):
    with Client(bridge) as client:
        client.hello()
        client.records(1, 5, "back")
        client.records(4, 1, "back")
        client.records(6, 5, "back")
        told = client.answer()
        while "error" not in told:
            told = client.answer()
        assert told["reason"] == "number goes back"
        assert "0.4" in told["error"]
    with Client(bridge, client.sender) as client:
        assert client.hello()["acked"] == [0, 5]

    assert numbers(bridge, "back") == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"short", "bad frame"),
        (struct.pack(">QQ", 0, 0) + b"no json", "bad message"),
        (struct.pack(">QQ", 0, 0) + b'{"herald": "command", "run": "rm"}', "bad message"),
        (struct.pack(">QQ", 0, 2**64 - 1) + b"{}", "number goes back"),
    ],
)
def test_a_frame_against_the_protocol_ends_the_connection(bridge: Site, body: bytes, reason: str):
    with Client(bridge) as client:
        client.hello()
        client.send(body)
        told = client.answer()
        while "error" not in told:
            told = client.answer()

        assert told["reason"] == reason


def test_a_frame_that_is_too_long_is_refused_in_words(bridge: Site):
    with Client(bridge) as client:
        client.hello()
        client.socket.sendall(struct.pack(">L", 1_048_576 + 17))
        told = client.answer()

        assert told["reason"] == "over the frame limit"
        assert "1,048,592 bytes" in told["error"]
