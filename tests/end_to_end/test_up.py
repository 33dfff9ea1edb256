"""`manage.py up` as a person uses it: real processes, real ports, one Ctrl-C."""

from __future__ import annotations

import re
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import psutil
import pytest

from tests.end_to_end.conftest import Running, Site

# On a busy machine two interpreters with Django take their time.
PATIENCE = 130
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def up(site: Site) -> Iterator[Running]:
    """A herald that is ready; what it started does not outlive the test."""
    process = site.start("up")
    process.wait_for("ready:", timeout=PATIENCE)
    members = set(psutil.Process(process.pid).children(recursive=True))
    yield process
    if process.poll() is None:
        members.update(psutil.Process(process.pid).children(recursive=True))  # one may have been started anew
    process.kill()
    for member in members:
        if member.is_running():
            member.kill()


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 2).close()
    except ConnectionRefusedError:
        return True
    return False


def stops_well(site: Site, up: Running, number: int) -> bool:
    members = psutil.Process(up.pid).children(recursive=True)
    assert len(members) >= 2
    assert up.stop(number, timeout=PATIENCE) == 0
    return not any(member.is_running() for member in members) and refuses(site.web_port) and refuses(site.bridge_port)


def test_a_newcomer_gets_pages_a_snippet_that_works_and_a_ctrl_c_that_stops_all(site, up):
    assert status(f"{site.web}/healthz") == 200
    assert status(f"{site.web}/login") == 200
    for told in ("herald TESTING", f"{site.web}/", f"127.0.0.1:{site.bridge_port}", str(site.data_dir)):
        assert told in up.output
    said = up.output.splitlines()
    begin = next(number for number, line in enumerate(said) if "import logging" in line)
    snippet = "\n".join(line.strip() for line in said[begin : begin + 3])
    assert site.launch(["python3", "-c", snippet]).wait(PATIENCE) == 0
    site.wait_for_rows(1, "message = %s", "hello herald")
    assert stops_well(site, up, signal.SIGINT)


def test_the_password_of_the_first_account_is_shown_once(site, up):
    assert re.search(r"one-time password: [a-z0-9-]{19}$", up.output, re.MULTILINE)
    assert stops_well(site, up, signal.SIGTERM)
    second = site.start("up")
    second.wait_for("ready:", timeout=PATIENCE)
    assert stops_well(site, second, signal.SIGTERM)
    assert "one-time" not in second.output
    assert site.sql("SELECT username FROM auth_user") == [("admin",)]


def test_a_second_up_is_told_where_the_first_is(site, up):
    done = site.manage("up", timeout=PATIENCE)
    assert done.returncode != 0
    assert f"is up already in {site.data_dir} (process {up.pid})" in done.stderr
    assert "Traceback" not in done.stderr
    assert up.poll() is None


def test_a_bridge_that_is_killed_is_back_within_seconds(site, up):
    (bridge,) = [p for p in psutil.Process(up.pid).children() if "run_bridge" in p.cmdline()]
    bridge.kill()
    up.wait_for("bridge has ended by itself", timeout=PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while refuses(site.bridge_port) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not refuses(site.bridge_port)


def test_taken_ports_are_said_in_one_line_before_anything_starts(site):
    with socket.create_server(("127.0.0.1", site.web_port)), socket.create_server(("127.0.0.1", site.bridge_port)):
        done = site.manage("up", timeout=PATIENCE)
    assert done.returncode != 0
    (line,) = done.stderr.strip().splitlines()
    for name, port in (("WEB", site.web_port), ("BRIDGE", site.bridge_port)):
        assert f"port {port}" in line
        assert f"HERALD_{name}_PORT" in line
    assert site.sql("SELECT count(*) FROM auth_user") == [(0,)]


def test_a_program_that_cannot_start_is_told_with_its_last_words_and_ends_the_rest(site):
    process = site.start("up", HERALD_BRIDGE_HOST="0.0.0.0")
    assert process.wait(2 * PATIENCE) == 1
    process._reader.join(5)
    assert "bridge cannot be started. Its last words:" in process.output
    last_words = process.output.partition("Its last words:")[2]
    assert "HERALD_BRIDGE_PUBLIC" in last_words
    assert "Traceback" not in process.output
    assert refuses(site.web_port)


def test_a_database_out_of_reach_is_said_without_a_traceback(site):
    done = site.manage("up", HERALD_DATABASE_URL="postgres://nobody@127.0.0.1:9/herald")
    assert done.returncode != 0
    assert "the database cannot be prepared" in done.stderr
    assert "Traceback" not in done.stderr


def test_print_config_prints_a_configuration_and_starts_nothing(site):
    done = site.manage("up", "--print-config")
    assert done.returncode == 0
    assert "[program:bridge]" in done.stdout
    assert f"-p {site.web_port}" in done.stdout
    assert refuses(site.web_port)
