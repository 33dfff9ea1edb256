"""The readers of the log that belong to no page and no destination, such as the one that keeps the patterns."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from django.core.management.base import CommandError
from django.db import Error as DatabaseTrouble
from django.db import connection

from logs.daemon import DaemonCommand
from logs.models import Pattern
from logs.readers import Follower, readers

logger = logging.getLogger(__name__)


class Command(DaemonCommand):
    help = "Follow the log for the Errors page (and for plugins), until SIGTERM or SIGINT."
    system = "herald.readers"

    def prepare(self, **options: Any) -> None:
        try:
            if Pattern._meta.db_table not in connection.introspection.table_names():
                raise CommandError(
                    "the database lacks tables: run `manage.py migrate` first (`manage.py up` does it too)"
                )
        except DatabaseTrouble as error:
            # It may come back.
            logger.error("the database does not answer yet: %s", " ".join(str(error).split()))

    async def serve(self, stop: asyncio.Event, **options: Any) -> None:
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()

        def end() -> None:
            # The loop is closed when the drain took too long; nobody is left to be told.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(ended.set)

        followers = [Follower(readers.get(name)(), end) for name in readers]
        for follower in followers:
            follower.start()
        self.stdout.write(f"following the log for {', '.join(readers)}")
        self.stdout.flush()
        waiting = [asyncio.create_task(event.wait()) for event in (stop, ended)]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for follower in followers:
                follower.stop()
            while any(follower.is_alive() for follower in followers):
                await asyncio.sleep(0.02)
        finally:
            for task in waiting:
                task.cancel()
        for follower in followers:
            if follower.failure is not None:
                raise follower.failure
