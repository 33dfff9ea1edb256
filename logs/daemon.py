"""The life every daemon shares: be the only one, start, beat, serve, drain, leave."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import threading
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseTrouble
from django.db import connection
from django.utils import timezone

from logs import store

logger = logging.getLogger(__name__)


class AlreadyRunning(Exception):
    """Another process holds the lock; `pid` is what it wrote into it (empty when it has not yet)."""

    def __init__(self, pid: str) -> None:
        super().__init__(pid)
        self.pid = pid


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, with this process's id in it; raises AlreadyRunning.

    The kernel lets the lock go with its owner, however it dies: a file that was left behind blocks nobody. It is
    never removed, or two processes could hold locks on two files of one name.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise AlreadyRunning(file.read(20).strip()) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


class DaemonCommand(BaseCommand):
    """A management command that runs until SIGTERM or SIGINT.

    A subclass names its `system` and writes `serve`. That returns soon after `stop` is set, with its work put away;
    when it takes longer than HERALD_DRAIN_SECONDS it is cancelled, and the command fails. Work in threads must not
    keep the process alive beyond that: use daemon threads. What stands in the way of a start is raised as
    CommandError from `prepare`, which may use the database.

    The signal handler only sets an event. Nothing else may happen there.
    """

    system: ClassVar[str] = "herald"
    """system_id of its heartbeat, and of the rows it writes about its own doings."""

    beat_every: ClassVar[timedelta] = timedelta(seconds=10)

    # They run in `handle`, by the one process that stays: the others have nothing to say.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--if-not-running",
            action="store_true",
            help="end at once and silently, with exit code 0, when one is running already (for cron)",
        )

    def lock_name(self) -> str:
        """Return the name of what there may be only one of in HERALD_DATA_DIR."""
        return self.system

    def prepare(self, **options: Any) -> None:
        """Raise CommandError where it makes no sense to start."""

    async def serve(self, stop: asyncio.Event, **options: Any) -> None:
        """Do the daemon's work until `stop` is set."""
        raise NotImplementedError

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with only_one(settings.DATA_DIR / f"{self.lock_name()}.lock"):
                self.check()
                self.prepare(**options)
                # The loop's thread has no business with the database; what `prepare` opened would stay for ever.
                connection.close()
                asyncio.run(self._live(**options))
        except AlreadyRunning as other:
            if not options["if_not_running"]:
                who = f"process {other.pid}" if other.pid else "another process"
                raise CommandError(f"{self.lock_name()} is running already ({who})") from None
        except KeyboardInterrupt:
            raise CommandError("interrupted before it was running", returncode=130) from None
        except (OSError, DatabaseTrouble) as error:
            # The world's fault, told in a line; a fault of herald's own keeps its traceback.
            logger.debug("%s failed", self.system, exc_info=True)
            raise CommandError(f"{self.system}: {' '.join(str(error).split())}") from error

    async def _live(self, **options: Any) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)

        beating = asyncio.create_task(self._beat_for_ever())
        serving = asyncio.create_task(self.serve(stop, **options))
        told = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({serving, told}, return_when=asyncio.FIRST_COMPLETED)
            drain = settings.DRAIN.total_seconds()
            done, _ = await asyncio.wait({serving}, timeout=drain)
            if not done:
                raise CommandError(f"{self.system} could not put its work away within {drain:g} s")
            serving.result()  # raises what killed it, so that the supervisor sees a failed exit
        finally:
            for task in (serving, beating, told):
                task.cancel()
            await asyncio.gather(serving, beating, told, return_exceptions=True)

    async def _beat_for_ever(self) -> None:
        """Leave signs of life as long as the event loop turns.

        Each beat has a daemon thread of its own: a database that hangs delays neither the loop nor the exit.
        """
        thread: threading.Thread | None = None
        while True:
            if thread is None or not thread.is_alive():
                thread = threading.Thread(target=self._beat, name=f"{self.system} beat", daemon=True)
                thread.start()
            await asyncio.sleep(self.beat_every.total_seconds())

    def _beat(self) -> None:
        try:
            store.beat(self.system, settings.HOST_NAME, timezone.now())
        except DatabaseTrouble as error:
            # The daemon itself says so where it matters to its work.
            logger.debug("%s could not leave a sign of life: %s", self.system, error)
        finally:
            connection.close()
