from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management.base import CommandError
from django.db import OperationalError, connection

from logs.daemon import AlreadyRunning, DaemonCommand, only_one
from logs.models import HeartBeat

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _own_directory(settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path


class Polite(DaemonCommand):
    system = "test.polite"
    put_away = False

    async def serve(self, stop: asyncio.Event, **options: Any) -> None:
        # It lives until its first sign of life is there, which has a thread of its own.
        while not await asyncio.to_thread(self.has_beaten):
            await asyncio.sleep(0.02)
        os.kill(os.getpid(), self.number)
        await stop.wait()
        self.put_away = True

    number = signal.SIGTERM

    def has_beaten(self) -> bool:
        try:
            return HeartBeat.objects.filter(system_id=self.system).exists()
        finally:
            connection.close()


class Impatient(Polite):
    system = "test.impatient"
    number = signal.SIGINT


class Stubborn(DaemonCommand):
    system = "test.stubborn"

    async def serve(self, stop: asyncio.Event, **options: Any) -> None:
        stop.set()
        await asyncio.Event().wait()


class Failing(DaemonCommand):
    system = "test.failing"

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    async def serve(self, stop: asyncio.Event, **options: Any) -> None:
        raise self.error


def run(daemon: DaemonCommand, **options: Any) -> None:
    daemon.handle(if_not_running=False, **options)


@pytest.mark.parametrize("kind", [Polite, Impatient])
def test_a_signal_lets_the_daemon_put_its_work_away(kind: type[Polite]):
    daemon = kind()
    run(daemon)

    assert daemon.put_away
    assert HeartBeat.objects.get(system_id=kind.system).sub_system_id


def test_a_daemon_that_does_not_drain_fails_and_says_so(settings):
    settings.DRAIN = timedelta(seconds=0.05)
    with pytest.raises(CommandError, match=r"test.stubborn could not put its work away within 0.05 s"):
        run(Stubborn())


@pytest.mark.parametrize("error", [ConnectionError("the port\nis taken"), OperationalError("the port is taken")])
def test_a_fault_of_the_world_is_told_in_one_line(error: Exception):
    with pytest.raises(CommandError, match=r"^test\.failing: the port is taken$"):
        run(Failing(error))


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run(Failing(ZeroDivisionError()))


def test_a_database_that_is_away_does_not_stop_the_beating():
    class Beating(DaemonCommand):
        system = "test.beating"
        beat_every = timedelta(seconds=0.05)

        async def serve(self, stop: asyncio.Event, **options: Any) -> None:
            await asyncio.sleep(0.3)
            await asyncio.to_thread(rename, "logs_heartbeat_away", "logs_heartbeat")
            await asyncio.sleep(1)

    rename("logs_heartbeat", "logs_heartbeat_away")
    run(Beating())

    assert HeartBeat.objects.filter(system_id="test.beating").exists()


def rename(old: str, new: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")
    connection.close()


def test_the_second_one_is_refused_and_told_who_is_first(tmp_path: Path):
    with (
        only_one(tmp_path / "test.polite.lock"),
        pytest.raises(CommandError, match=rf"is running already \(process {os.getpid()}\)"),
    ):
        run(Polite())


def test_the_second_one_from_cron_ends_silently(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    with only_one(tmp_path / "test.polite.lock"):
        Polite().handle(if_not_running=True)

    assert capfd.readouterr() == ("", "")


def test_a_lock_of_a_dead_process_blocks_nobody(tmp_path: Path):
    path = tmp_path / "some.lock"
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "import django\n"
        "django.setup()\n"
        "from logs.daemon import only_one\n"
        "with only_one(Path(sys.argv[1])):\n"
        "    print('locked', flush=True)\n"
        "    time.sleep(60)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "locked\n"
    with pytest.raises(AlreadyRunning) as refused, only_one(path):
        pass
    owner.kill()
    owner.wait()
    owner.stdout.close()

    assert refused.value.pid == str(owner.pid)
    with only_one(path):
        assert path.read_text() == str(os.getpid())


def test_only_one_of_many_threads_gets_the_lock(tmp_path: Path):
    """Open files lock against each other within a process too."""
    path, won, begun = tmp_path / "some.lock", [], threading.Barrier(8)

    def compete() -> None:
        begun.wait()
        try:
            with only_one(path):
                won.append(1)
                time.sleep(0.5)
        except AlreadyRunning:
            pass

    threads = [threading.Thread(target=compete) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert won == [1]
