"""An original ps_bridge 1.4.2, in a network of its own: it binds its port on all addresses of the machine it sees."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import PATIENCE
from tests.end_to_end.interpreters import interpreters

PORT = 9010
"""Where it listens in the stage TESTING; the stages' ports are built in."""
PAUSE = 0.05
"""Seconds between two frames that it surely survives. Frames in one burst, or in two segments, it loses."""

# What pip finds for the names alone no longer fits together.
_PACKAGES = (
    *("docopt", "Flask==1.1.4", "Werkzeug==1.0.1", "Jinja2==2.11.3", "MarkupSafe==1.1.1", "itsdangerous==1.1.0"),
    *("click==7.1.2", "SQLAlchemy==1.3.24", "Flask-SQLAlchemy==2.5.1", "graphene==2.1.9"),
    *("graphene-sqlalchemy==2.3.0", "Flask-GraphQL==2.0.1", "flask-cors==3.0.10"),
)
_OWN_NETWORK = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]

# Runs in the new network. A socket stays in the network it was made in: the listener it inherits is reached from
# outside, and what it connects is inside. It ends with its standard input, which whoever started it holds open.
# Arguments: descriptor of the listener, port inside, command.
_DOOR = """
import socket, subprocess, sys, threading

def pass_on(source, target):
    try:
        while data := source.recv(2**20):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, target):
            end.close()

def serve(outer):
    try:
        inner = socket.create_connection(("127.0.0.1", port))
    except OSError:
        outer.close()
        return
    for end in (outer, inner):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    threading.Thread(target=pass_on, args=(inner, outer), daemon=True).start()
    pass_on(outer, inner)

listener, port, command = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), sys.argv[3:]
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
bridge = subprocess.Popen(command)

def accept():
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

threading.Thread(target=accept, daemon=True).start()
sys.stdin.read()
bridge.kill()
bridge.wait()
"""


def install(directory: Path) -> Path:
    """Install the original bridge into a new virtual environment; return the directory of its programs."""
    python = interpreters().get("3.9")
    if python is None:
        pytest.fail("the original bridge needs a Python 3.9")
    subprocess.run([python, "-m", "venv", str(directory)], check=True)
    pip = [str(directory / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    # First: the old packages are built here, which a newer setuptools does not do.
    subprocess.run([*pip, "setuptools<60", "wheel"], check=True)
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "ps.basic==1.2.19", "ps.herald==1.4.2"], check=True)
    subprocess.run([*pip, *_PACKAGES], check=True)
    return directory / "bin"


class OriginalBridge:
    """One that runs: `address` is where this machine's programs reach it, each connection passed on as it is."""

    def __init__(self, programs: Path, directory: Path) -> None:
        self.directory = directory
        self.said = directory / "output"
        listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = listener.getsockname()
        door = [sys.executable, "-c", _DOOR, str(listener.fileno()), str(PORT), str(programs / "ps_bridge")]
        env = {"PATH": os.environ["PATH"], "HOME": str(directory), "DEV_STAGE": "TESTING", "PYTHONUNBUFFERED": "1"}
        with closing(listener), self.said.open("wb") as output:
            self.process = subprocess.Popen(
                [*_OWN_NETWORK, *door],
                stdin=subprocess.PIPE,
                cwd=directory,
                env=env | {"PYTHONWARNINGS": "ignore"},
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[listener.fileno()],
            )

    @property
    def output(self) -> str:
        return self.said.read_text(errors="replace")

    def wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            with closing(socket.create_connection(self.address, 5)) as probe:
                probe.settimeout(0.5)
                try:
                    if not probe.recv(1):  # the door closes while nobody listens inside
                        time.sleep(0.1)
                        continue
                except TimeoutError:  # and the bridge waits for a frame
                    return
                except OSError:
                    continue
        pytest.fail(f"the original bridge does not answer:\n{self.output}")

    def send(self, *frames: bytes) -> None:
        """Send frames over one connection as slowly as it needs them, each in one piece."""
        with socket.create_connection(self.address, PATIENCE) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for frame in frames:
                connection.sendall(frame)
                time.sleep(PAUSE)

    def rows(self, system_id: str) -> list[dict[str, Any]]:
        """Return what it has stored of a system, in its own columns."""
        path = self.directory / "herald.sqlite_t"
        if not path.exists():
            return []
        with closing(sqlite3.connect(path, timeout=20)) as database:
            database.row_factory = sqlite3.Row
            found = database.execute("SELECT * FROM log WHERE system_id = ? ORDER BY id", [system_id]).fetchall()
        return [dict(row) for row in found]

    def wait_for_rows(self, number: int, system_id: str, timeout: float = PATIENCE) -> list[dict[str, Any]]:
        """Return the rows of a system as soon as there are `number`; fails when there stay fewer."""
        deadline = time.monotonic() + timeout
        while len(found := self.rows(system_id)) < number:
            if time.monotonic() > deadline:
                pytest.fail(f"{len(found)} of {number} rows after {timeout} s:\n{self.output}")
            time.sleep(0.1)
        return found

    def stop(self) -> None:
        """End it."""
        self.process.communicate(timeout=PATIENCE)


def networks_can_be_made() -> bool:
    """Whether this machine lets us have a network of our own."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return False
    return subprocess.run([*_OWN_NETWORK, "ip", "link"], capture_output=True, check=False).returncode == 0


@contextmanager
def original_bridge(programs: Path, directory: Path) -> Iterator[OriginalBridge]:
    """Run an original bridge with `directory`, which must be empty, as its working directory."""
    bridge = OriginalBridge(programs, directory)
    try:
        bridge.wait_until_it_answers()
        yield bridge
    finally:
        bridge.stop()
