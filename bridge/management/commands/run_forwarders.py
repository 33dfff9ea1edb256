"""Hands rows on to the destinations; started by run_bridge, and ends with it."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import Error as DatabaseTrouble
from django.db import connection

from bridge.forward import DRAIN_SECONDS, SYSTEM, Forwarding
from bridge.journal import Journal

logger = logging.getLogger(__name__)

LOOK_EVERY = 0.5


class Command(BaseCommand):
    help = "Hand rows on to the destinations until standard input ends. run_bridge starts this; nobody else need."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--without-parent", action="store_true", help="run until SIGTERM, whatever standard input does"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        orphaned = threading.Event()
        if not options["without_parent"]:
            threading.Thread(target=_follow_parent, args=(orphaned, stopping), daemon=True).start()
        journal = Journal(settings.HOST_NAME, SYSTEM)
        forwarding = Forwarding(f"{settings.HOST_NAME}:{settings.BRIDGE_PORT}", journal)
        while not stopping.wait(LOOK_EVERY):
            try:
                forwarding.look()
                forwarding.write_journal()
            except DatabaseTrouble as error:
                logger.debug("the destinations cannot be read: %s", error)
                connection.close()
        with contextlib.suppress(DatabaseTrouble):
            forwarding.stop(0.0 if orphaned.is_set() else DRAIN_SECONDS, goodbye=not orphaned.is_set())
            forwarding.write_journal()


def _follow_parent(orphaned: threading.Event, stopping: threading.Event) -> None:
    """Stop when the bridge is gone, and has not told to stop: then standard input has an end."""
    with contextlib.suppress(OSError):
        while os.read(sys.stdin.fileno(), 4_096):
            pass
    if not stopping.is_set():
        orphaned.set()
    stopping.set()
