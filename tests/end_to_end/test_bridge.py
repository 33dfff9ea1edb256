"""The bridge as an operator meets it: starting, stopping, being killed, being asked how it is."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import sqlite3
import ssl
import struct
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import ROOT, SERVER, Running, Site, free_port
from tests.end_to_end.frames import frame, frames

# A drain is waited for; on a machine full of other work the default would measure that work.
PATIENT = {"HERALD_DRAIN_SECONDS": "60"}


def own_rows(site: Site) -> list[str]:
    return [row["message"] for row in site.rows("system_id = 'herald.bridge'")]


def status(site: Site) -> dict[str, Any]:
    done = site.manage("run_bridge", "--status", "--json")
    return dict(json.loads(done.stdout.splitlines()[0]))


def until_closed(client: socket.socket, timeout: float = 20) -> None:
    """Return when the other side has closed; raises TimeoutError when it does not."""
    client.settimeout(timeout)
    with contextlib.suppress(ConnectionResetError):
        assert client.recv(1) == b""


# --- Starting ------------------------------------------------------------------------------------------------


def test_it_says_where_it_listens_also_when_the_system_chose_the_port(site: Site):
    bridge = site.start_bridge(HERALD_BRIDGE_PORT="0")
    line = bridge.wait_for("listening on 127.0.0.1:")
    port = int(line.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(frame("found it"))
    site.wait_for_rows(1, "message = 'found it'")

    assert port > 0


def test_a_taken_port_is_one_clear_line_and_a_failure(site: Site):
    with socket.socket() as other:
        other.bind(("127.0.0.1", site.bridge_port))
        other.listen()
        done = site.manage("run_bridge")

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert f"cannot listen on 127.0.0.1:{site.bridge_port}: another program listens there already" in done.stderr


@pytest.mark.parametrize("port", ["70000", "-1"])
def test_a_port_that_cannot_be_is_one_clear_line(site: Site, port: str):
    done = site.manage("run_bridge", HERALD_BRIDGE_PORT=port)

    assert done.returncode != 0
    assert "65535" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_without_tables_is_refused_with_the_command_that_helps(site: Site, tmp_path: Path):
    path = tmp_path / "empty.sqlite3"
    sqlite3.connect(path).close()
    path.touch()
    done = site.manage("run_bridge", HERALD_DATABASE_URL=f"sqlite:///{path}")

    assert done.returncode == 1
    assert "manage.py migrate" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_absent_database_is_refused_and_not_made(site: Site, tmp_path: Path):
    path = tmp_path / "absent.sqlite3"
    done = site.manage("run_bridge", HERALD_DATABASE_URL=f"sqlite:///{path}")

    assert done.returncode == 1
    assert f"{path} does not exist" in done.stderr
    assert not path.exists()


def test_a_file_that_is_no_database_is_refused(site: Site, tmp_path: Path):
    path = tmp_path / "notes.txt"
    path.write_text("these are my notes, and no database\n" * 100)
    done = site.manage("run_bridge", HERALD_DATABASE_URL=f"sqlite:///{path}")

    assert done.returncode == 1
    assert "file is not a database" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_does_not_answer_yet_is_waited_for(site: Site):
    bridge = site.start_bridge(HERALD_DATABASE_URL=f"postgres://herald@127.0.0.1:{free_port()}/herald")
    said = bridge.wait_for("the database does not answer yet")

    assert "records wait" in said
    assert "Traceback" not in bridge.output
    bridge.kill()


def test_a_public_address_needs_to_be_meant(site: Site):
    refused = site.manage("run_bridge", HERALD_BRIDGE_HOST="0.0.0.0")
    meant = site.start_bridge(HERALD_BRIDGE_HOST="0.0.0.0", HERALD_BRIDGE_PUBLIC="on")
    meant.wait_for(f"listening on 0.0.0.0:{site.bridge_port}")

    assert refused.returncode == 1
    assert "Set HERALD_BRIDGE_PUBLIC=on if that is meant" in refused.stderr
    assert "bridge.W001" in meant.output


def test_the_age_given_by_s_deletes_what_is_older_and_the_first_row_lies_in_its_day(site: Site):
    site.start_bridge("-s", "3600")
    with site.connect() as client:
        client.sendall(frame("young", "shop") + frame("old", "shop"))
        site.wait_for_rows(2, "system_id = %s", "shop")
    lies_in = site.sql("SELECT tableoid::regclass::text FROM logs_log WHERE message = 'young'") if SERVER else []
    site.sql(
        "UPDATE logs_log SET received = %s WHERE message = 'old'",
        "2020-01-01 00:00:00+00" if SERVER else "2020-01-01 00:00:00",
    )
    site.running[0].stop()
    site.start_bridge("-s", "3600")
    deadline = time.monotonic() + 60
    while site.count("message = 'old'") and time.monotonic() < deadline:
        time.sleep(0.1)

    assert not site.count("message = 'old'")
    assert site.count("message = 'young'") == 1
    assert not any(name == "logs_log_default" for (name,) in lies_in)


@pytest.mark.parametrize("flag", [("-s", "0"), ("-s", "soon"), ("-r", "-1")])
def test_a_retention_that_is_no_number_is_refused(site: Site, flag: tuple[str, str]):
    done = site.manage("run_bridge", *flag)

    assert done.returncode != 0
    assert "no whole number above 0" in done.stderr


# --- Only one ------------------------------------------------------------------------------------------------


def test_a_second_one_says_which_process_is_the_first(site: Site):
    first = site.start_bridge()
    second = site.manage("run_bridge")

    assert second.returncode == 1
    assert f"is running already (process {first.pid})" in second.stderr
    assert second.stderr.count("\n") == 1


@pytest.mark.timeout(300)
def test_ten_starts_from_cron_are_one_process_and_no_mail(site: Site):
    """The line of deploy/crontab, run as cron runs it: by sh, with nearly no environment."""
    crontab = (ROOT / "deploy" / "crontab").read_text().splitlines()
    (line,) = [line for line in crontab if "run_bridge" in line and not line.startswith("#")]
    command = line.split(maxsplit=5)[5].replace(".venv/bin/python", site.command()[0])
    env = {name: value for name, value in site.env.items() if name.startswith(("HERALD_", "DJANGO_"))}
    log = site.directory / "bridge.log"
    env |= {"HERALD": str(ROOT), "LOG": str(log)}
    starts = [
        Running(["/usr/bin/env", "-i", *(f"{k}={v}" for k, v in env.items()), "sh", "-c", command], {})
        for _ in range(10)
    ]
    site.running += starts
    deadline = time.monotonic() + 200
    while sum(start.poll() is None for start in starts) > 1 and time.monotonic() < deadline:
        time.sleep(0.1)
    alive = [start for start in starts if start.poll() is None]
    while "listening on" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.1)
    with site.connect() as client:
        client.sendall(frame("to the only one"))
    site.wait_for_rows(1, "message = 'to the only one'")

    assert len(alive) == 1
    assert [start.returncode for start in starts if start not in alive] == [0] * 9
    assert "".join(start.output for start in starts) == ""
    assert log.read_text().count("listening on") == 1
    os.kill(int((site.data_dir / f"bridge-{site.bridge_port}.lock").read_text()), signal.SIGTERM)
    assert alive[0].wait(60) == 0


def test_a_lock_left_by_a_killed_one_blocks_nobody(site: Site):
    site.start_bridge().stop(signal.SIGKILL)
    site.start_bridge("--if-not-running")
    with site.connect() as client:
        client.sendall(frame("again"))

    assert site.wait_for_rows(1, "message = 'again'") == 1


# --- Stopping ------------------------------------------------------------------------------------------------


def test_sigterm_loses_nothing_that_was_sent(site: Site):
    bridge = site.start_bridge(**PATIENT)
    clients = [site.connect() for _ in range(4)]

    def send(number: int) -> None:
        clients[number].sendall(frames(2_000, f"svc-{number}"))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    code = bridge.stop(timeout=70)

    assert code == 0
    assert site.count("system_id LIKE 'svc-%%'") == 8_000
    for client in clients:
        client.close()


def test_it_leaves_though_a_client_never_stops_sending(site: Site):
    bridge = site.start_bridge(HERALD_DRAIN_SECONDS="6")
    stop = threading.Event()

    def send_for_ever() -> None:
        with site.connect() as client, contextlib.suppress(OSError):
            while not stop.is_set():
                client.sendall(frame("on and on"))
                time.sleep(0.005)

    sender = threading.Thread(target=send_for_ever)
    sender.start()
    site.wait_for_rows(1, "message = 'on and on'")
    code = bridge.stop(timeout=60)
    stop.set()
    sender.join()

    assert code == 0


def test_a_drain_that_fails_says_what_it_costs(site: Site):
    bridge = site.start_bridge(HERALD_DRAIN_SECONDS="2")
    site.sql("ALTER TABLE logs_log RENAME TO logs_log_away")
    with site.connect() as client:
        client.sendall(frames(100))
        bridge.wait_for("the database takes no records")
        code = bridge.stop(timeout=60)

    assert code == 1
    assert "100 accepted records could not be stored" in bridge.output
    assert "could not put its work away within 2 s" in bridge.output
    assert "Traceback" not in bridge.output


def test_what_is_committed_survives_kill_9(site: Site):
    bridge = site.start_bridge()
    sent = threading.Event()

    def send() -> None:
        with contextlib.suppress(OSError), site.connect() as client:
            for number in range(2_000):
                client.sendall(frames(20, start=20 * number))
                sent.set()

    sender = threading.Thread(target=send)
    sender.start()
    sent.wait(10)
    committed = site.wait_for_rows(1_000, "system_id = 'svc'")
    bridge.stop(signal.SIGKILL)
    sender.join()
    after = site.count("system_id = 'svc'")
    intact = SERVER or site.sql("PRAGMA integrity_check") == [("ok",)]
    site.start_bridge()
    with site.connect() as client:
        client.sendall(frame("after the kill"))
    site.wait_for_rows(1, "message = 'after the kill'")
    numbers = [int(row["message"]) for row in site.rows("system_id = 'svc' AND message <> 'after the kill'")]

    assert intact
    assert after >= committed
    assert numbers == list(range(len(numbers)))
    assert len(numbers) == after


# --- While the database has trouble -----------------------------------------------------------------------


def test_a_database_in_trouble_is_said_once_and_costs_no_record(site: Site):
    bridge = site.start_bridge()
    site.sql("ALTER TABLE logs_log RENAME TO logs_log_away")
    with site.connect() as client:
        client.sendall(frames(300))
        bridge.wait_for("the database takes no records")
        time.sleep(1)
        site.sql("ALTER TABLE logs_log_away RENAME TO logs_log")
        client.sendall(frames(300, start=300))
    site.wait_for_rows(600, "system_id = 'svc'")
    bridge.wait_for("the database works again")
    site.wait_for_rows(1, "system_id = 'herald.bridge' AND message LIKE 'the database works again%%'")

    assert bridge.output.count("the database takes no records") == 1
    assert [row["message"] for row in site.rows("system_id = 'svc'")] == [str(number) for number in range(600)]


@pytest.mark.skipif(bool(SERVER), reason="a server looks after its own disk")
def test_a_full_disk_stops_the_reading_and_is_said_loudly(site: Site):
    bridge = site.start_bridge(HERALD_DISK_FREE_MIN_PERCENT="99")
    with site.connect() as client:
        client.sendall(frame("no room for me"))
        bridge.wait_for("the disk of the database is almost full")
        site.wait_for_rows(1, "message LIKE 'the disk of the database is almost full%%'")
        time.sleep(0.5)
        found = status(site)

    assert site.count("message = 'no room for me'") == 0
    assert found["holds"] == ["disk is full"]


# --- Bad input -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def strict(shared_site: Site) -> Site:
    """A bridge with limits that a test can reach."""
    shared_site.start_bridge(
        HERALD_FRAME_DEADLINE_SECONDS="1", HERALD_CLIENTS_MAX="5", HERALD_FRAME_MAX="100000", HERALD_LOG_LEVEL="INFO"
    )
    return shared_site


def rejected(site: Site, reason: str) -> int:
    """Return how often a reason was counted, as soon as the bridge has written its figures."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for (figures,) in site.sql("SELECT figures FROM bridge_bridgestatus"):
            found = (figures if isinstance(figures, dict) else json.loads(figures))["rejected"].get(reason, 0)
            if found:
                return int(found)
        time.sleep(0.2)
    return 0


def test_half_a_frame_is_cut_short(strict: Site):
    with strict.connect() as client:
        client.sendall(frame("whole", "half") + frame("never whole", "half")[:-40])
    strict.wait_for_rows(1, "system_id = 'half'")

    assert rejected(strict, "cut short") == 1
    assert strict.count("system_id = 'half'") == 1


def test_a_stalled_frame_is_closed_and_an_idle_connection_is_not(strict: Site):
    with strict.connect() as idle, strict.connect() as stalled:
        idle.sendall(frame("first", "idle"))
        stalled.sendall(b"\x00\x00")
        until_closed(stalled)
        time.sleep(1)
        idle.sendall(frame("second", "idle"))
        strict.wait_for_rows(2, "system_id = 'idle'")

    assert rejected(strict, "stalled") == 1


def test_tls_is_recognised(strict: Site):
    context = ssl.create_default_context()
    with strict.connect() as client, pytest.raises((ssl.SSLError, OSError)):
        context.wrap_socket(client, server_hostname="herald.example")

    assert rejected(strict, "TLS") == 1


def test_http_is_recognised(strict: Site):
    asked = http.client.HTTPConnection("127.0.0.1", strict.bridge_port, timeout=10)
    asked.request("GET", "/")
    with pytest.raises((http.client.HTTPException, OSError)):
        asked.getresponse()
    asked.close()

    assert rejected(strict, "HTTP") == 1


def test_an_oversized_frame_closes_its_connection_and_no_other(strict: Site):
    with strict.connect() as other, strict.connect() as client:
        client.sendall(frame("before", "oversized") + struct.pack(">L", 100_001) + b"x" * 1000)
        until_closed(client)
        other.sendall(frame("from the other", "oversized"))
        strict.wait_for_rows(2, "system_id = 'oversized'")

    assert rejected(strict, "over the frame limit") == 1


def test_an_empty_frame_is_counted_and_the_connection_lives(strict: Site):
    with strict.connect() as client:
        client.sendall(struct.pack(">L", 0) + frame("after nothing", "empty"))
        strict.wait_for_rows(1, "system_id = 'empty'")

    assert rejected(strict, "empty") == 1


def test_a_client_too_many_is_refused_and_the_others_stay(strict: Site):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(strict.connect()) for _ in range(5)]
        for number, client in enumerate(clients):
            client.sendall(frame(f"client {number}", "crowd"))
        strict.wait_for_rows(5, "system_id = 'crowd'")
        until_closed(stack.enter_context(strict.connect()))
        clients[0].sendall(frame("still here", "crowd"))
        strict.wait_for_rows(6, "system_id = 'crowd'")


# --- What it tells --------------------------------------------------------------------------------------------


def test_a_new_sender_is_announced_once_and_is_no_sign_of_its_life(site: Site):
    site.start_bridge()
    for _ in range(2):
        with site.connect() as client:
            client.sendall(frame("hello"))
    site.wait_for_rows(2, "message = 'hello'")
    announced = site.rows("system_id = 'herald.bridge' AND message LIKE 'client connected%%'")

    assert [row["message"] for row in announced] == [f"client connected from 127.0.0.1 on 127.0.0.1:{site.bridge_port}"]
    assert announced[0]["levelno"] == 10
    assert {row[0] for row in site.sql("SELECT system_id FROM logs_heartbeat")} == {"svc", "herald.bridge"}


def test_the_status_tells_figures_and_whether_one_runs(site: Site):
    before = site.manage("run_bridge", "--status")
    bridge = site.start_bridge()
    with site.connect() as client:
        client.sendall(frames(10) + struct.pack(">L", 6) + b"\x1b[31m\xff")
        site.wait_for_rows(10, "system_id = 'svc'")
        time.sleep(2.5)
        figures = status(site)
        told = site.manage("run_bridge", "--status")
    bridge.stop()
    after = site.manage("run_bridge", "--status")

    assert (before.returncode, told.returncode, after.returncode) == (1, 0, 1)
    assert (figures["state"], figures["received"], figures["stored"], figures["clients"]) == ("running", 11, 10, 1)
    assert sum(figures["rejected"].values()) == 1
    assert figures["samples"][0]["bytes"] == r"\x1b[31m\xff"
    assert "\x1b" not in told.stdout
    assert "received   11 records" in told.stdout
    assert "stopped" in after.stdout


def test_start_stop_and_rejections_are_rows_of_its_own(site: Site):
    bridge = site.start_bridge()
    with site.connect() as client:
        client.sendall(b"\x00\x00\x00\x01!" * 3 + frame("good"))
        site.wait_for_rows(1, "message = 'good'")
    bridge.stop()
    told = own_rows(site)

    assert told[0].startswith("the bridge has started on 127.0.0.1:")
    assert told[-1].startswith("rejected 3 payloads: 3 ")
    assert any(line.endswith("stops") for line in told)


def test_it_leaves_signs_of_life(site: Site):
    site.start_bridge()
    deadline = time.monotonic() + 60
    found: list[Any] = []
    while not found and time.monotonic() < deadline:
        found = site.sql("SELECT sub_system_id FROM logs_heartbeat WHERE system_id = 'herald.bridge'")
        time.sleep(0.1)

    assert found == [(socket.gethostname(),)]


def test_old_rows_go_as_the_old_flags_ask(site: Site):
    site.start_bridge("-s", "2", "-r", "50")
    with site.connect() as client:
        client.sendall(frames(50, "old"))
        site.wait_for_rows(50, "system_id = 'old'")
        time.sleep(2.5)
        client.sendall(frames(60, "new"))
        deadline = time.monotonic() + 60
        while site.count("system_id = 'old'") and time.monotonic() < deadline:
            time.sleep(0.1)

    assert site.count("system_id = 'old'") == 0
    site.wait_for_rows(1, "message LIKE 'deleted%%'")
