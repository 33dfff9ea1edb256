"""`manage.py migrate` prepares every database herald uses, not only the default one."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.core.management.commands.migrate import Command as Migrate


class _Every(str):
    """The value of `--database` when nobody gave one; Django's checks read it as the name it is."""

    __slots__ = ()


class Command(Migrate):
    help = "Prepares every database herald uses (or, with --database, one of them)."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(database=_Every("default"))

    def handle(self, *args: Any, **options: Any) -> None:
        every = isinstance(options["database"], _Every)
        for alias in settings.DATABASES if every else [options["database"]]:
            super().handle(*args, **options | {"database": alias})
