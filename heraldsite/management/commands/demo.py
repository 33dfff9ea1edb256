"""`manage.py demo`: a believable mixture of records, through the real socket."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from heraldsite.addresses import reachable
from heraldsite.demo import NobodyListens, Totals, connect, number_of_records, send, told


class Command(BaseCommand):
    help = "Sends sample records to a herald that runs: several systems, a deploy, tracebacks, many scripts."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--rate", type=not_negative, default=20, help="records a second; 0: as fast as they go")
        parser.add_argument("--seconds", type=positive, default=30, help="how long")
        parser.add_argument("--host", default=reachable(settings.BRIDGE_HOST), help="where the bridge listens")
        parser.add_argument("--port", type=int, default=settings.BRIDGE_PORT, help="its port for records")
        parser.add_argument("--seed", type=int, default=1, help="another number tells another story")

    def handle(self, *args: Any, rate: float, seconds: float, host: str, port: int, seed: int, **options: Any) -> None:
        console = Console(no_color=options["no_color"] or None, highlight=False)
        totals = Totals()
        try:
            handler = connect(host, port)
        except NobodyListens as error:
            raise CommandError(f"{error}: start herald first (make run), or name another --host and --port") from None
        try:
            with progress_bar(console) as bar:
                task = bar.add_task(f"to {host}:{port}", total=number_of_records(rate, seconds))
                for totals in send(handler, told(seed, rate, seconds)):
                    bar.update(task, completed=totals.sent + totals.lost)
        except KeyboardInterrupt:
            console.print("stopped")
        self.tell(totals)

    def tell(self, totals: Totals) -> None:
        levels = ", ".join(f"{number} {level}" for level, number in totals.by_level.most_common())
        self.stdout.write(f"sent {totals.sent} records" + (f": {levels}" if levels else ""))
        if totals.lost:
            raise CommandError(f"{totals.lost} records were lost: the bridge closed the connection or did not read")


def progress_bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console)


def not_negative(text: str) -> float:
    return number(text, lambda rate: 0 <= rate <= 1_000_000, "from 0 to 1,000,000")


def positive(text: str) -> float:
    return number(text, lambda seconds: 0 < seconds <= 86_400, "above 0 and at most 86,400 (a day)")


def number(text: str, allowed: Callable[[float], bool], words: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not allowed(found):
        raise argparse.ArgumentTypeError(f"{text!r} is no number {words}")
    return found
