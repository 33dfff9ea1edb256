"""A whole herald of a test's own: temporary directory, own database, own ports, real processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SERVER = os.environ.get("HERALD_DATABASE_URL", "") if "postgres" in os.environ.get("HERALD_DATABASE_URL", "") else ""


# How long a test waits, in seconds, for what is sure to come: long, because a busy machine is no fault of herald's.
PATIENCE = 100


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Running(subprocess.Popen[str]):
    """A process whose lines are collected as they come (standard output and error together, in `lines`)."""

    def __init__(self, command: Sequence[str | Path], env: dict[str, str]) -> None:
        self.lines: list[str] = []
        self._more = threading.Condition()
        super().__init__(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()

    def _collect(self) -> None:
        assert self.stdout is not None
        with self.stdout:
            for line in self.stdout:
                with self._more:
                    self.lines.append(line.rstrip("\n"))
                    self._more.notify_all()
        with self._more:
            self._more.notify_all()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, text: str, timeout: float = PATIENCE) -> str:
        """Return the first line that contains `text`; fails with all that was said when it does not come."""
        deadline = time.monotonic() + timeout
        seen = 0
        with self._more:
            while True:
                for line in self.lines[seen:]:
                    if text in line:
                        return line
                seen = len(self.lines)
                left = deadline - time.monotonic()
                if left <= 0 or (not self._reader.is_alive() and seen == len(self.lines)):
                    pytest.fail(f"never said {text!r} (exit code {self.poll()}):\n{self.output}")
                self._more.wait(min(left, 0.5))

    def stop(self, number: int = signal.SIGTERM, timeout: float = PATIENCE) -> int:
        """Send a signal and return the exit code; fails when the process does not end in `timeout` seconds."""
        if self.poll() is None:
            self.send_signal(number)
        try:
            self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            self.wait()
            pytest.fail(f"did not end within {timeout} s of signal {number}:\n{self.output}")
        self._reader.join(5)
        return int(self.returncode)


class Site:
    """One installation of herald: `env` is what its processes are given."""

    def __init__(self, directory: Path, database_url: str) -> None:
        self.directory = directory
        self.database_url = database_url
        self.bridge_port = free_port()
        self.web_port = free_port()
        self.running: list[Running] = []
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HERALD_", "DJANGO_", "DEV_STAGE"))}
        self.env = kept | {
            "DJANGO_SETTINGS_MODULE": "heraldsite.settings.testing",
            "HERALD_DATA_DIR": str(directory),
            "HERALD_DATABASE_URL": database_url,
            "HERALD_BRIDGE_PORT": str(self.bridge_port),
            "HERALD_WEB_PORT": str(self.web_port),
            "PYTHONUNBUFFERED": "1",
        }

    @property
    def web(self) -> str:
        return f"http://127.0.0.1:{self.web_port}"

    @property
    def data_dir(self) -> Path:
        """The directory that settings.DATA_DIR names in this site's processes."""
        return self.directory / "testing"

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "manage.py", *arguments]

    def manage(self, *arguments: str, timeout: float = 2 * PATIENCE, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a management command to its end; its exit code is not checked."""
        return subprocess.run(
            self.command(*arguments),
            cwd=ROOT,
            env=self.env | env,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(self, *arguments: str, **env: str) -> Running:
        """Start a management command that stays; it is killed at the end of the test."""
        return self.launch(self.command(*arguments), **env)

    def launch(self, command: Sequence[str | Path], **env: str) -> Running:
        process = Running(command, self.env | env)
        self.running.append(process)
        return process

    def start_bridge(self, *arguments: str, **env: str) -> Running:
        process = self.start("run_bridge", *arguments, **env)
        process.wait_for("listening on")
        return process

    def start_web(self, **env: str) -> Running:
        """Start the web process; returns when it answers."""
        command = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(self.web_port)]
        process = self.launch([*command, "heraldsite.asgi:application"], **env)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.web_port), 1):
                return process
            time.sleep(0.05)
        pytest.fail(f"the web process does not answer:\n{process.output}")

    def connect(self, timeout: float = 10) -> socket.socket:
        """Return a connection to the record port."""
        return socket.create_connection(("127.0.0.1", self.bridge_port), timeout)

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run a statement (placeholders as %s) on this site's database in a connection of its own."""
        if self.database_url.startswith("postgres"):
            with psycopg.connect(self.database_url, autocommit=True) as server:
                cursor = server.execute(statement, parameters)
                return cursor.fetchall() if cursor.description else []
        path = self.database_url.removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(path, timeout=20)) as connection, connection:
            return connection.execute(statement.replace("%s", "?"), parameters).fetchall()

    def rows(self, where: str = "1 = 1", *parameters: Any) -> list[dict[str, Any]]:
        """Return log rows in the order of their ids, as the database has them."""
        columns = "id, created, received, system_id, sub_system_id, package_version, levelno, message, exc_text, extra"
        names = (*columns.split(", "), "taskname", "peer", "flags", "name", "args")
        found = self.sql(f"SELECT {', '.join(names)} FROM logs_log WHERE {where} ORDER BY id", *parameters)
        return [dict(zip(names, row, strict=True)) for row in found]

    def count(self, where: str = "1 = 1", *parameters: Any) -> int:
        return int(self.sql(f"SELECT count(*) FROM logs_log WHERE {where}", *parameters)[0][0])

    def wait_for_rows(self, number: int, where: str = "1 = 1", *parameters: Any, timeout: float = PATIENCE) -> int:
        """Return the number of rows as soon as it is at least `number`; fails when it stays below."""
        deadline = time.monotonic() + timeout
        while (found := self.count(where, *parameters)) < number:
            if time.monotonic() > deadline:
                said = "\n".join(process.output for process in self.running)
                pytest.fail(f"{found} of {number} rows where {where} after {timeout} s\n{said}")
            time.sleep(0.05)
        return found

    def close(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.wait()
            process._reader.join(5)


def _migrate(directory: Path, database_url: str) -> Site:
    site = Site(directory, database_url)
    done = site.manage("migrate", "-v0")
    assert done.returncode == 0, done.stdout + done.stderr
    return site


@pytest.fixture(scope="session")
def _template(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A migrated installation, copied for each test."""
    directory = tmp_path_factory.mktemp("template")
    if not SERVER:
        return _migrate(directory, f"sqlite:///{directory}/herald.sqlite3")
    name = f"herald_template_{os.getpid()}"
    with psycopg.connect(SERVER, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return _migrate(directory, _sibling(name))


def _sibling(name: str) -> str:
    return urlsplit(SERVER)._replace(path=f"/{name}").geturl()


@pytest.fixture
def site(_template: Site, tmp_path: Path) -> Iterator[Site]:
    """A herald of this test's own, migrated and empty; nothing of it runs yet."""
    with _copied(_template, tmp_path / "site") as found:
        yield found


@pytest.fixture
def sites(_template: Site, tmp_path: Path) -> Iterator[Callable[[str], Site]]:
    """Make further heralds, by name; each name is what the bridge there calls itself."""
    with _maker(_template, tmp_path) as make:
        yield make


@pytest.fixture(scope="module")
def shared_sites(_template: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Site]]:
    """Make heralds, by name, that the tests of a module share."""
    with _maker(_template, tmp_path_factory.mktemp("shared")) as make:
        yield make


@contextlib.contextmanager
def _maker(template: Site, directory: Path) -> Iterator[Callable[[str], Site]]:
    with contextlib.ExitStack() as stack:

        def make(name: str) -> Site:
            found = stack.enter_context(_copied(template, directory / name))
            found.env["HERALD_BRIDGE_NAME"] = name
            return found

        yield make


@pytest.fixture(scope="module")
def shared_site(_template: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A herald that the tests of a module share: each looks only at rows of its own system."""
    with _copied(_template, tmp_path_factory.mktemp("shared") / "site") as found:
        yield found


@contextlib.contextmanager
def _copied(template: Site, directory: Path) -> Iterator[Site]:
    shutil.copytree(template.directory, directory)
    url = f"sqlite:///{directory}/herald.sqlite3"
    name = ""
    if SERVER:
        name = f"herald_{os.getpid()}_{time.monotonic_ns()}"
        with psycopg.connect(SERVER, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {urlsplit(template.database_url).path[1:]}")
        url = _sibling(name)
    found = Site(directory, url)
    try:
        yield found
    finally:
        found.close()
        if name:
            with psycopg.connect(SERVER, autocommit=True) as connection:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
