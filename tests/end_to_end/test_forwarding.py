"""Bridges that hand rows on to others: real processes, real sockets."""

from __future__ import annotations

import json
import pickle
import signal
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.end_to_end.conftest import PATIENCE, Site
from tests.end_to_end.frames import frame, frames
from tests.end_to_end.tunnel import Tunnel

Make = Callable[[str], Site]
OWN = "system_id NOT LIKE 'herald.%%'"


def join(near: Site, far: Site, name: str = "far", *more: str) -> None:
    done = near.manage("destinations", "add", name, f"127.0.0.1:{far.bridge_port}", *more)
    assert done.returncode == 0, done.stderr


def send(site: Site, start: int, count: int, system: str = "svc") -> None:
    with site.connect() as client:
        client.sendall(frames(count, system, start))


def messages(site: Site, system: str = "svc") -> list[int]:
    return [int(row["message"]) for row in site.rows("system_id = %s", system)]


def destination(site: Site, name: str = "far") -> dict[str, Any]:
    columns = "state, state_text, rows, waiting, rejected, error"
    found = site.sql(f"SELECT {columns} FROM bridge_destination WHERE name = %s", name)
    return dict(zip(columns.split(", "), found[0], strict=True))


def wait_until(holds: Callable[[], bool], timeout: float = PATIENCE) -> None:
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def origins(site: Site, where: str = OWN) -> list[list[dict[str, Any]]]:
    found = site.sql(f"SELECT origin FROM logs_log WHERE {where} ORDER BY id")
    return [json.loads(row[0]) if isinstance(row[0], str) else row[0] for row in found]


def test_rows_go_on_to_the_next_bridge_whole_and_in_order(sites: Make):
    near, far = sites("near"), sites("far")
    far.start_bridge()
    near.start_bridge()
    join(near, far)
    send(near, 0, 3_000)
    far.wait_for_rows(3_000, "system_id = 'svc'")

    assert messages(far) == list(range(3_000))
    columns = [c for c in FORWARDED if c not in ("peer", "origin")]
    assert table(far, columns) == table(near, columns)
    (hop,) = origins(far, "system_id = 'svc'")[0]
    assert hop["name"] == "near"
    assert hop["peer"] == "127.0.0.1"
    wait_until(lambda: destination(near)["rows"] >= 3_000)
    assert destination(near)["state"] == "connected"


FORWARDED = (
    *("created", "system_id", "sub_system_id", "sub_sub_system_id", "produkt_id", "user_spec_1", "user_spec_2"),
    *("package_version", "name", "levelno", "levelname", "message", "args", "exc_text", "pathname", "filename"),
    *("module", "funcname", "lineno", "process", "processname", "thread", "threadname", "msecs", "relativecreated"),
    *("extra", "flags"),
)


def table(site: Site, columns: list[str], where: str = "system_id = 'svc'") -> list[tuple[Any, ...]]:
    return site.sql(f"SELECT {', '.join(columns)} FROM logs_log WHERE {where} ORDER BY id")


def test_only_what_comes_after_a_destination_goes_there_unless_asked_otherwise(sites: Make):
    near, far, all_of_it = sites("near"), sites("far"), sites("all")
    for each in (far, all_of_it, near):
        each.start_bridge()
    send(near, 0, 10)
    near.wait_for_rows(10, "system_id = 'svc'")
    join(near, far)
    join(near, all_of_it, "all", "--from-start")
    send(near, 10, 10)
    far.wait_for_rows(10, "system_id = 'svc'")
    all_of_it.wait_for_rows(20, "system_id = 'svc'")

    assert messages(far) == list(range(10, 20))
    assert messages(all_of_it) == list(range(20))


def test_a_destination_that_is_away_gets_the_oldest_rows_first_when_it_is_back(sites: Make):
    near, far = sites("near"), sites("far")
    near.start_bridge()
    join(near, far)
    send(near, 0, 5_000)
    near.wait_for_rows(5_000, "system_id = 'svc'")
    wait_until(lambda: destination(near)["state"] == "unreachable" and destination(near)["waiting"] > 0)
    assert "nothing accepts connections there" in destination(near)["state_text"]
    far.start_bridge()
    far.wait_for_rows(5_000, "system_id = 'svc'")

    assert messages(far) == list(range(5_000))
    near.wait_for_rows(1, "system_id = 'herald.forward' AND message LIKE 'destination far is back%%'")


def test_a_chain_whose_bridges_are_killed_hands_on_each_row_once(sites: Make):
    near, middle, far = sites("near"), sites("middle"), sites("far")
    running = {site: site.start_bridge() for site in (near, middle, far)}
    join(near, middle, "middle")
    join(middle, far)
    sent = 0
    for round_, victim in enumerate((middle, far, near, middle, far, near)):
        send(near, sent, 700)
        sent += 700
        near.wait_for_rows(sent, "system_id = 'svc'")
        time.sleep(0.1 * round_)
        running[victim].stop(signal.SIGKILL)
        running[victim] = victim.start_bridge()
    far.wait_for_rows(sent, "system_id = 'svc'")

    assert messages(middle) == messages(far) == list(range(sent))
    assert [hop["name"] for hop in origins(far, "system_id = 'svc'")[-1]] == ["near", "middle"]


def test_a_ring_of_three_is_quiet(sites: Make):
    ring = [sites(name) for name in ("one", "two", "three")]
    for each in ring:
        each.start_bridge()
    for each, following in zip(ring, [*ring[1:], ring[0]], strict=True):
        join(each, following, "next")
    for number, each in enumerate(ring):
        send(each, 100 * number, 100)
    for each in ring:
        each.wait_for_rows(300, "system_id = 'svc'")
    time.sleep(2)  # what goes round for ever would be here again

    for each in ring:
        assert sorted(messages(each)) == list(range(300))


def test_a_destination_that_is_this_bridge_itself_is_refused(sites: Make):
    near = sites("near")
    near.start_bridge()
    done = near.manage("destinations", "add", "self", f"127.0.0.1:{near.bridge_port}")
    assert done.returncode == 1
    assert "is this bridge itself" in done.stderr

    # By another name it is found out when it answers.
    with Tunnel(near.bridge_port) as tunnel:
        assert near.manage("destinations", "add", "self", f"127.0.0.1:{tunnel.port}").returncode == 0
        wait_until(lambda: "itself" in destination(near, "self")["state_text"])
    assert destination(near, "self")["state"] == "refused"


def test_a_pause_lets_rows_wait_and_a_resume_sends_them(sites: Make):
    near, far = sites("near"), sites("far")
    far.start_bridge()
    near.start_bridge()
    join(near, far)
    send(near, 0, 10)
    far.wait_for_rows(10, "system_id = 'svc'")
    assert near.manage("destinations", "pause", "far").returncode == 0
    time.sleep(1.5)
    send(near, 10, 10)
    near.wait_for_rows(20, "system_id = 'svc'")
    time.sleep(1)
    assert messages(far) == list(range(10))
    assert "far  herald" in near.manage("destinations", "list").stdout
    assert near.manage("destinations", "resume", "far").returncode == 0
    far.wait_for_rows(20, "system_id = 'svc'")

    assert messages(far) == list(range(20))


def test_a_hung_destination_delays_neither_storing_nor_another_one(sites: Make):
    near, far = sites("near"), sites("far")
    far.start_bridge()
    near.start_bridge()
    with socket.create_server(("127.0.0.1", 0)) as hung:
        address = f"127.0.0.1:{hung.getsockname()[1]}"
        assert near.manage("destinations", "add", "hung", address).returncode == 0
        join(near, far)
        send(near, 0, 2_000)
        far.wait_for_rows(2_000, "system_id = 'svc'")
        near.wait_for_rows(2_000, "system_id = 'svc'")
        wait_until(lambda: destination(near, "hung")["state"] == "silent")

    assert "no herald answers" in destination(near, "hung")["state_text"]


def test_a_far_bridge_restored_from_a_backup_gets_again_what_it_lost(sites: Make):
    near, far = sites("near"), sites("far")
    process = far.start_bridge()
    near.start_bridge()
    join(near, far)
    send(near, 0, 100)
    far.wait_for_rows(100, "system_id = 'svc'")
    wait_until(lambda: destination(near)["rows"] >= 100)
    process.stop()
    # As a backup from after row 39 would have it.
    far.sql("DELETE FROM logs_log WHERE message > '39' AND system_id = 'svc' AND length(message) = 2")
    near_ids = [row["id"] for row in near.rows("system_id = 'svc' AND message = '39'")]
    mark = (
        near.sql("SELECT tx FROM logs_log WHERE id = %s", near_ids[0])[0][0] if "postgres" in near.database_url else 0
    )
    far.sql("UPDATE logs_sendermark SET high = %s, low = %s", mark, near_ids[0])
    far.start_bridge()
    far.wait_for_rows(100, "system_id = 'svc'")

    assert sorted(messages(far)) == list(range(100))


def test_a_row_that_is_too_long_for_the_far_end_is_cut_and_the_next_one_goes_on(sites: Make):
    near, far = sites("near"), sites("far")
    far.start_bridge(HERALD_FRAME_MAX="20000")
    near.start_bridge()
    join(near, far)
    with near.connect() as client:
        client.sendall(frame("x" * 100_000, "long") + frame("next", "long"))
    far.wait_for_rows(2, "system_id = 'long'")
    long, following = far.rows("system_id = 'long'")

    assert following["message"] == "next"
    assert long["message"].startswith("x" * 1_000)
    assert "characters cut" in long["message"]
    assert "cut" in long["flags"]


def test_b_hands_rows_on_to_the_old_forward_port_while_it_is_given(site: Site):
    with socket.create_server(("127.0.0.1", 0)) as old:
        port = str(old.getsockname()[1])
        process = site.start_bridge("-b", HERALD_FORWARD_PORT=port)
        send(site, 0, 20)
        old.settimeout(PATIENCE)
        client, _ = old.accept()
        with client, client.makefile("rb") as stream:
            told = [record_of(stream)]
            while told[-1]["msg"] != "19":
                told.append(record_of(stream))
        assert process.stop() == 0
    received = [fields for fields in told if fields["SYSTEM_ID"] == "svc"]
    assert [fields["msg"] for fields in received] == [str(n) for n in range(20)]
    assert "hop beat" in [fields["msg"] for fields in told]

    site.start_bridge(HERALD_FORWARD_PORT=port)
    assert site.sql("SELECT enabled FROM bridge_destination")[0][0] in (0, False)


def record_of(stream: Any) -> dict[str, Any]:
    return dict(pickle.loads(stream.read(struct.unpack(">L", stream.read(4))[0])))


def test_a_relay_lets_rows_go_once_every_destination_has_them(sites: Make):
    near, one, two = sites("near"), sites("one"), sites("two")
    one.start_bridge()
    near.start_bridge(HERALD_RELAY_ONLY="on")
    join(near, one, "one")
    join(near, two, "two")
    send(near, 0, 200)
    one.wait_for_rows(200, "system_id = 'svc'")
    time.sleep(2)
    assert near.count("system_id = 'svc'") == 200  # the other one has none yet
    two.start_bridge()
    two.wait_for_rows(200, "system_id = 'svc'")
    wait_until(lambda: near.count("system_id = 'svc'") == 0)

    assert messages(two) == list(range(200))


def test_what_left_is_booked_by_destination_and_hour(sites: Make):
    near, far = sites("near"), sites("far")
    far.start_bridge()
    near.start_bridge()
    join(near, far)
    send(near, 0, 50)
    far.wait_for_rows(50, "system_id = 'svc'")

    def booked() -> int:
        return int(near.sql("SELECT coalesce(sum(rows), 0) FROM bridge_departure WHERE destination = 'far'")[0][0])

    wait_until(lambda: booked() >= 50)
    assert near.sql("SELECT min(bytes / rows) FROM bridge_departure")[0][0] > 100


def test_the_far_side_hears_of_the_bridge_and_tells_a_goodbye_from_a_kill(sites: Make):
    near, far = sites("near"), sites("far")
    far.start_bridge()
    process = near.start_bridge()
    join(near, far)
    hop = "SELECT name, connected, said_goodbye, newest_beat IS NOT NULL FROM bridge_hop"
    wait_until(lambda: bool(far.sql(hop)) and bool(far.sql(hop)[0][3]))
    name, connected, goodbye, _ = far.sql(hop)[0]
    assert (name, bool(connected), bool(goodbye)) == ("near", True, False)
    process.stop()
    wait_until(lambda: bool(far.sql(hop)[0][2]))
    process = near.start_bridge()
    wait_until(lambda: bool(far.sql(hop)[0][1]) and not far.sql(hop)[0][2])
    process.stop(signal.SIGKILL)
    wait_until(lambda: not far.sql(hop)[0][1])

    assert not far.sql(hop)[0][2]
    assert far.sql("SELECT sub_system_id FROM logs_heartbeat WHERE system_id = 'herald.hop'") == [("near",)]


@pytest.mark.parametrize("words", [["remove", "none"], ["pause", "none"], ["add", "x", "nowhere"], ["add", "-", "h:1"]])
def test_a_mistake_at_the_command_is_told_in_words(site: Site, words: list[str]):
    done = site.manage("destinations", *words)

    assert done.returncode != 0
    assert "Traceback" not in done.stderr
