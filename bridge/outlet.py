"""Keeps the process that hands rows on running for as long as there is a destination.

It is a process of its own because two busy threads of one Python wait for each other: a thread that reads rows beside the
one that inserts them makes both several times as slow.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time

from django.conf import settings
from django.db import Error as DatabaseTrouble
from django.db import connection

from bridge.journal import Journal
from bridge.models import Destination

logger = logging.getLogger(__name__)

LOOK_EVERY = 0.5
RETRY_FIRST = 0.5
RETRY_LONGEST = 30.0
STEADY_SECONDS = 60.0


class Outlet(threading.Thread):
    """Starts `run_forwarders` when there is a destination, and again when it dies; it ends with this process.

    The other process reads its standard input, which ends when this one is gone, however it died.
    """

    def __init__(self, journal: Journal) -> None:
        super().__init__(name="bridge outlet", daemon=True)
        self._journal = journal
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._delay = RETRY_FIRST
        self._due = 0.0

    def stop(self) -> None:
        """Tell the other process to put its work away."""
        self._stopping.set()

    def run(self) -> None:
        while not self._stopping.wait(LOOK_EVERY):
            self._look()
        connection.close()
        self._end()

    def _look(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            self._bury(self._process)
        try:
            is_wanted = Destination.objects.filter(enabled=True).exists()
        except DatabaseTrouble:
            connection.close()  # the batcher says so, if it matters
            return
        if is_wanted and self._process is None and time.monotonic() >= self._due:
            self._start()
        elif not is_wanted:
            self._end()

    def _start(self) -> None:
        command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "run_forwarders"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603 (no word of it from outside)
        self._started_at = time.monotonic()

    def _bury(self, process: subprocess.Popen[bytes]) -> None:
        """It died, or ended by itself: say so, and start it again after a pause that grows."""
        self._process = None
        _close(process)
        if time.monotonic() - self._started_at > STEADY_SECONDS:
            self._delay = RETRY_FIRST
        self._due = time.monotonic() + self._delay
        self._delay = min(2 * self._delay, RETRY_LONGEST)
        self._journal.say(
            logging.ERROR, f"the process that hands rows on ended with code {process.returncode}; it is started again"
        )

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(settings.DRAIN.total_seconds())
        except subprocess.TimeoutExpired:
            process.kill()
        _close(process)


def _close(process: subprocess.Popen[bytes]) -> None:
    process.wait()
    if process.stdin is not None:
        process.stdin.close()
