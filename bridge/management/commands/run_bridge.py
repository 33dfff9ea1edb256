"""The bridge: records in over TCP, rows out into the log."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS, connection
from django.db import Error as DatabaseTrouble
from django.db.migrations.executor import MigrationExecutor

from bridge import exposure, hops, status, tls
from bridge.batcher import Batcher, Queue
from bridge.conversations import Greeter
from bridge.forward import use_flag_destination
from bridge.hops import Hops
from bridge.journal import SYSTEM, Journal
from bridge.keeper import Keeper
from bridge.outlet import Outlet
from bridge.sources import CannotListen, Intake, Limits
from bridge.status import Figures, Identity
from logs import partitions, store
from logs.daemon import DaemonCommand

logger = logging.getLogger(__name__)

MIGRATE = "run `manage.py migrate` first (`manage.py up` does it too)"
LOOK_AT_CERTIFICATES = timedelta(days=1)
HOPELESS = ("authentication failed", "does not exist", "unable to open database file", "file is not a database")
"""What a database says that will not mend itself by waiting."""


def positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 10**10):
        raise ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


class Command(DaemonCommand):
    help = "Receive log records over TCP and store them, until SIGTERM or SIGINT."
    system = SYSTEM

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "-s",
            dest="keep_seconds",
            metavar="SECONDS",
            type=positive,
            help="delete rows older than this, where no policy says otherwise (default: HERALD_RETENTION_DAYS)",
        )
        parser.add_argument(
            "-r",
            dest="look_every",
            metavar="N",
            type=positive,
            help="look for old rows every N records (default: every 10 minutes)",
        )
        parser.add_argument(
            "-b",
            dest="forward",
            action="store_true",
            help=f"hand all rows on to an old bridge on port {settings.FORWARD_PORT} of this machine, too",
        )
        parser.add_argument("--status", action="store_true", help="tell how the bridges are; exit code 1: none runs")
        parser.add_argument("--json", action="store_true", help="with --status: as one line of JSON per bridge")

    def lock_name(self) -> str:
        return f"bridge-{settings.BRIDGE_PORT}"

    def handle(self, *args: Any, **options: Any) -> None:
        if options["status"]:
            self._tell_status(as_json=options["json"])
        else:
            super().handle(*args, **options)

    # --- Before it runs --------------------------------------------------------------------------------

    def prepare(self, **options: Any) -> None:
        if refusals := exposure.refusals():
            raise CommandError("; ".join(refusals))
        try:
            refuse_unprepared_database()
            status.forget_old(datetime.now(UTC))
            hops.forget_connections()
            use_flag_destination(wanted=options["forward"])
            # Before the first record comes: a day with rows in the default partition gets none of its own.
            partitions.make_ahead(datetime.now(UTC), attempts=1)
        except DatabaseTrouble as error:
            said = " ".join(str(error).split())
            if any(word in said for word in HOPELESS):
                raise CommandError(f"the database cannot be used: {said} (HERALD_DATABASE_URL)") from None
            # It may come back; until then clients are kept waiting rather than sent away.
            logger.error("the database does not answer yet: %s. The bridge starts, and records wait", said)

    # --- While it runs ---------------------------------------------------------------------------------

    async def serve(self, stop: asyncio.Event, **options: Any) -> None:
        spare_the_collector()
        figures, journal = Figures(), Journal(settings.HOST_NAME)
        ended = asyncio.Event()
        intake: Intake
        queue = Queue(
            most=settings.QUEUE_BYTES,
            rows=settings.BATCH_ROWS,
            age=settings.BATCH_AGE,
            on_room=in_loop(lambda: intake.room_in_queue()),
        )
        heard = Hops()
        greeter = Greeter(figures, journal, heard, settings.FRAME_MAX)
        intake = Intake(queue, figures, journal, limits(), store.is_full, greeter.greet, heard)
        try:
            await intake.open(settings.BRIDGE_HOST, settings.BRIDGE_PORT)
            certificates = await self._open_encrypted(intake)
            batcher = Batcher(queue, figures, journal, self._identity(intake), in_loop(ended.set), heard)
            await intake.start()
        except (CannotListen, tls.TLSTrouble) as error:
            raise CommandError(str(error)) from None
        batcher.start()
        greeter.start()
        outlet = Outlet(journal)
        outlet.start()
        keeper = Keeper(keep(options["keep_seconds"]), options["look_every"], figures, journal)
        keeper.start()
        journal.say(logging.INFO, f"the bridge has started on {addresses_of(intake)}")
        self.stdout.write(f"listening on {addresses_of(intake)}")
        self.stdout.flush()
        watching = asyncio.create_task(watch_certificates(certificates, journal))
        try:
            await first_of(stop, ended)
            keeper.stop()
            outlet.stop()
            # Half of the time is for reading, the other half for storing what was read.
            await intake.drain(settings.DRAIN.total_seconds() / 2)
            journal.say(logging.INFO, f"the bridge on {addresses_of(intake)} stops")
            greeter.stop()
            queue.close()
            await ended.wait()
            await intake.leave()
            await asyncio.to_thread(outlet.join, settings.DRAIN.total_seconds() / 2)
        except asyncio.CancelledError:
            logger.error("%s accepted records could not be stored", f"{batcher.unstored:,}")
            raise
        finally:
            watching.cancel()
        if batcher.failure is not None:
            raise batcher.failure

    async def _open_encrypted(self, intake: Intake) -> list[tls.Certificate]:
        """Take the encrypted port where there is to be one, and return its certificates."""
        files = tls.configured()
        if files is None:
            return []
        context = tls.server_context(files)
        await intake.open_encrypted(settings.BRIDGE_TLS_HOST, settings.BRIDGE_TLS_PORT, context)
        return tls.certificates_of(files)

    def _identity(self, intake: Intake) -> Identity:
        return Identity(
            host=settings.HOST_NAME,
            port=intake.port,
            address=addresses_of(intake)[:200],
            pid=os.getpid(),
            started=datetime.now(UTC),
        )

    # --- Instead of running ----------------------------------------------------------------------------

    def _tell_status(self, *, as_json: bool) -> None:
        try:
            refuse_absent_file()
            reports = status.report()
        except DatabaseTrouble as error:
            raise CommandError(f"the database cannot be read: {' '.join(str(error).split())}") from None
        if as_json:
            for report in reports:
                self.stdout.write(json.dumps(report.as_dict()))
        else:
            self.stdout.write("\n".join(status.lines(reports)))
        if not any(report.state is status.State.RUNNING for report in reports):
            sys.exit(1)


def limits() -> Limits:
    """Return what the settings allow a client."""
    return Limits(
        frame=settings.FRAME_MAX,
        clients=settings.CLIENTS_MAX,
        deadline=settings.FRAME_DEADLINE.total_seconds(),
        large_frames=settings.QUEUE_BYTES,
        must_say_hello=settings.BRIDGE_CREDENTIALS_REQUIRED,
    )


def addresses_of(intake: Intake) -> str:
    """Return where a bridge listens, as it is shown."""
    encrypted = intake.encrypted_address
    return f"{intake.address} and, with TLS, on {encrypted}" if encrypted else intake.address


async def watch_certificates(certificates: list[tls.Certificate], journal: Journal) -> None:
    """Say at the start, and each day, which of the certificates in use ends soon."""
    while True:
        for sentence in tls.endings(certificates, datetime.now(UTC)):
            journal.say(logging.WARNING, sentence)
        await asyncio.sleep(LOOK_AT_CERTIFICATES.total_seconds())


def spare_the_collector() -> None:
    """Keep the garbage collector from looking again and again at what stays for ever.

    Each batch makes thousands of objects, none of them in cycles, and each collection they set off went through all of
    Django's modules too: decoding took two to three times as long.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def keep(seconds: int | None) -> timedelta | None:
    """Return how long this bridge keeps rows that no policy names; None where the setting says it."""
    return None if seconds is None else timedelta(seconds=seconds)


def in_loop(call: Callable[[], object]) -> Callable[[], None]:
    """Return a function by which another thread has `call` run in the loop that is running now."""
    loop = asyncio.get_running_loop()

    def from_thread() -> None:
        # The loop is closed when the drain took too long; nobody is left to be told.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(call)

    return from_thread


async def first_of(*events: asyncio.Event) -> None:
    """Wait until one of `events` is set."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


def refuse_absent_file() -> None:
    """Raise CommandError where SQLite's file is not there: to open it would make an empty one."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite" and not name.startswith(("file:", ":")) and not Path(name).exists():
        raise CommandError(f"the database {name} does not exist: {MIGRATE}")


def refuse_unprepared_database() -> None:
    """Raise CommandError unless the database has all tables; raises django.db.Error where it does not answer."""
    refuse_absent_file()
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        count = f"{len(missing)} migration{'s' if len(missing) != 1 else ''}"
        raise CommandError(f"the database {DEFAULT_DB_ALIAS!r} lacks {count}: {MIGRATE}")
