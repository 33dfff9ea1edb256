"""Run a command beside a PostgreSQL server of its own: `python tests/with_postgresql.py COMMAND …`.

The newest PostgreSQL under /usr/lib/postgresql is started on a free port of loopback in a temporary directory
(as user postgres when this runs as root, because initdb refuses root). COMMAND finds it by HERALD_DATABASE_URL; its
exit code is this command's. The server goes when the command ends.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path("/usr/lib/postgresql")
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    # A test's server need not outlive a power cut; what tests of crashes kill is herald, not this server.
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "256MB",
    "max_connections": "200",
    "max_prepared_transactions": "4",
    "log_min_messages": "error",
}


class Absent(Exception):
    """There is no PostgreSQL on this machine."""


@dataclass(frozen=True)
class Server:
    """A running server: where it is, and how its programs are called."""

    binaries: Path
    directory: Path
    port: int

    def url(self, database: str = "herald") -> str:
        return f"postgres://herald@127.0.0.1:{self.port}/{database}"

    def run(self, program: str, *arguments: str, stdin: bytes | None = None) -> bytes:
        """Run one of PostgreSQL's programs against this server as its superuser; return what it printed."""
        command: list[str | Path] = [
            self.binaries / program,
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-U",
            "herald",
            *arguments,
        ]
        return subprocess.run(command, input=stdin, check=True, capture_output=True).stdout

    def create(self, database: str, *options: str) -> str:
        """Create an empty database; return its URL."""
        self.run("createdb", *options, database)
        return self.url(database)


def newest() -> Path:
    """Return the directory of the newest PostgreSQL's programs; raises Absent when there is none."""
    found = [p for p in ROOT.glob("*/bin") if (p / "initdb").exists() and re.fullmatch(r"\d+", p.parent.name)]
    if not found:
        raise Absent(f"no PostgreSQL server under {ROOT} (Debian: apt install postgresql)")
    return max(found, key=lambda path: int(path.parent.name))


def _user() -> dict[str, Any]:
    """Return how a child gives up root, which PostgreSQL refuses to run as."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam("postgres")
    return {"user": entry.pw_uid, "group": entry.pw_gid}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server() -> Iterator[Server]:
    """Start a server with an empty database `herald`, stop it and remove its files afterwards."""
    binaries = newest()
    directory = Path(tempfile.mkdtemp(prefix="herald-postgresql-"))
    user = _user()
    try:
        if user:
            os.chown(directory, user["user"], user["group"])
        data = directory / "data"
        initdb: list[str | Path] = [
            binaries / "initdb",
            "-D",
            data,
            "-U",
            "herald",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
        ]
        subprocess.run(
            [*initdb, "--locale=C.UTF-8"], check=True, capture_output=True, cwd=directory, env=_environment(), **user
        )
        port = _free_port()
        options = [item for key, value in SETTINGS.items() for item in ("-c", f"{key}={value}")]
        command: list[str | Path] = [binaries / "postgres", "-D", data, "-p", str(port), *options]
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=directory, env=_environment(), stdout=subprocess.DEVNULL, stderr=log, **user
            )
        running = Server(binaries, directory, port)
        try:
            _wait(running, process)
            running.create("herald")
            yield running
        finally:
            process.send_signal(signal.SIGINT)  # "fast": it disconnects whoever is left
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _wait(running: Server, process: subprocess.Popen[bytes]) -> None:
    command: list[str | Path] = [
        running.binaries / "pg_isready",
        "-h",
        "127.0.0.1",
        "-p",
        str(running.port),
        "-t",
        "30",
        "-q",
    ]
    for _ in range(300):
        if process.poll() is not None:
            raise RuntimeError(f"PostgreSQL did not start: {(running.directory / 'log').read_text()[-2000:]}")
        if subprocess.run(command, check=False).returncode == 0:
            return
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
    raise RuntimeError("PostgreSQL did not answer within 30 s")


def main(command: Sequence[str]) -> int:
    """Run `command` with HERALD_DATABASE_URL set; 77 when there is no PostgreSQL."""
    try:
        with server() as running:
            return subprocess.run(
                command, env=os.environ | {"HERALD_DATABASE_URL": running.url()}, check=False
            ).returncode
    except Absent as absence:
        print(absence, file=sys.stderr)
        return 77


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(sys.argv[1:]))
