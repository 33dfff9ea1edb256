"""Delete old rows now, or tell which ones would go."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseTrouble

from logs import partitions, sizes
from logs.ages import as_kept
from logs.policies import Plan, UnusablePolicy
from logs.retention import Tally, dry_run, prune

PROGRESS_EVERY = 1.0


class Command(BaseCommand):
    help = (
        "Delete the rows that the retention policies, or else HERALD_RETENTION_DAYS, let go, and the oldest ones where the "
        "log is too large. A running bridge does it by itself every ten minutes; both may run at the same time."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="delete nothing; tell what would go, and why")
        parser.add_argument(
            "--seconds", type=float, default=60.0, help="with --dry-run: look no longer than this (default: 60)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        now = datetime.now(UTC)
        try:
            plan = Plan.load()
            if options["dry_run"]:
                within = timedelta(seconds=options["seconds"])
                tally = dry_run(plan, now, within=within, patience=settings.READERS_WAIT)
                self._tell(plan, tally, dry=True)
                self._tell_size()
            else:
                partitions.make_ahead(now)
                progress = _Progress(self)
                tally = prune(plan, now, patience=settings.READERS_WAIT, told=progress)
                progress.end()
                if tally.busy:
                    raise CommandError("another process is deleting old rows now; nothing was done")
                self._tell(plan, tally, dry=False)
        except UnusablePolicy as error:
            raise CommandError(f"nothing was deleted: {error}") from None
        except DatabaseTrouble as error:
            raise CommandError(f"the database failed: {' '.join(str(error).split())}") from error

    def _tell(self, plan: Plan, tally: Tally, *, dry: bool) -> None:
        went = "would go" if dry else "deleted"
        for number, rule in enumerate(plan.rules):
            self.stdout.write(f"{tally.by_rule[number]:>12,}  {rule.name}: older than {as_kept(rule.age)}")
        for day, number in sorted(tally.days.items()):
            self.stdout.write(f"{number:>12,}  the whole of {day}")
        if tally.over:
            self.stdout.write(f"{tally.over:>12,}  the oldest, because of the size")
        self.stdout.write(f"{tally.rows:>12,}  rows {went}")
        if tally.waiting:
            self.stdout.write(
                f"At least {tally.waiting:,} more are old enough, but wait for those who have not read them "
                f"(HERALD_READERS_WAIT_DAYS={settings.READERS_WAIT.days})."
            )
        if not tally.complete:
            upto = f" at rows that arrived {tally.looked_to:%Y-%m-%d %H:%M:%S} UTC" if tally.looked_to else ""
            self.stdout.write(f"The look ended early{upto}: there may be more.")

    def _tell_size(self) -> None:
        limit, used = sizes.limit(), sizes.used()
        if limit is not None and used > limit.bytes:
            self.stdout.write(
                f"The log takes {used / sizes.GB:,.2f} GB of the {limit.bytes / sizes.GB:,.2f} GB it may "
                f"({limit.setting}): after these the oldest rows would go until it fits."
            )


class _Progress:
    """One line that changes on a terminal; nothing where nobody looks."""

    def __init__(self, command: Command) -> None:
        self._err = command.stderr
        self._seen = command.stderr.isatty()
        self._told_at = time.monotonic()
        self._told = False

    def __call__(self, tally: Tally) -> None:
        if self._seen and time.monotonic() - self._told_at >= PROGRESS_EVERY:
            self._told_at, self._told = time.monotonic(), True
            upto = f", at {tally.looked_to:%Y-%m-%d %H:%M}" if tally.looked_to else ""
            self._err.write(f"\r{tally.rows:,} rows deleted{upto} …", ending="")
            self._err.flush()

    def end(self) -> None:
        if self._told:
            self._err.write("\r\033[K", ending="")
