"""`manage.py up`: everything herald consists of, in the foreground."""

from __future__ import annotations

import io
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from heraldsite.programs import configuration, this_site
from heraldsite.start import start
from heraldsite.supervision import Terminal


class Command(BaseCommand):
    help = "Prepares the databases and runs herald's programs under supervisord until Ctrl-C or SIGTERM."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--print-config",
            action="store_true",
            help="print the supervisord configuration for this installation instead (for a supervisord of your own)",
        )

    def handle(self, *args: Any, print_config: bool, **options: Any) -> None:
        if print_config:
            self.stdout.write(configuration(this_site()), ending="")
            return
        if isinstance(sys.stdout, io.TextIOWrapper):
            # A terminal that is not UTF-8 must not end herald over a record's umlaut.
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            well = start(Terminal(no_color=options["no_color"] or None, highlight=False))
        except KeyboardInterrupt:
            # Before supervisord has taken over the signals there is nothing to stop.
            raise SystemExit(130) from None
        raise SystemExit(0 if well else 1)
