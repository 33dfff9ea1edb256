"""Where rows go on to: list, add, remove, pause and resume destinations."""

from __future__ import annotations

import getpass
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from bridge import forward
from bridge.addresses import shown
from bridge.models import Destination

LEVELS = {"herald": settings.BRIDGE_LEVEL}
RATES = {"ps_bridge": forward.OLD_BRIDGE_RATE}
"""What is meant, by kind, where nothing is said."""


def address(text: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT` or `[IPv6]:PORT`."""
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit()):
        raise ArgumentTypeError(f"{text!r} is no HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


class Command(BaseCommand):
    help = "List, add, remove, pause and resume the destinations that rows go on to."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
        commands.add_parser("list", help="tell where rows go on to, and how that stands")
        add = commands.add_parser("add", help="hand rows on to another bridge, from now on")
        add.add_argument("name")
        add.add_argument("address", type=address, metavar="HOST:PORT")
        add.add_argument("--kind", default="herald", help=f"{', '.join(forward.forwarders)} (default: herald)")
        add.add_argument("--query", default="", metavar="Q", help="only rows that fit this query")
        add.add_argument("--drop", action="append", default=[], metavar="FIELD", help="a field that does not leave")
        add.add_argument("--mask", action="append", default=[], metavar="FIELD", help="a field that leaves as •••")
        add.add_argument("--hash", action="append", default=[], metavar="FIELD", help="a field of which a mark leaves")
        add.add_argument(
            "--level", type=int, metavar="N", help="the least level of trust over there (default: this bridge's own)"
        )
        add.add_argument("--rate", type=int, default=0, metavar="N", help="at most so many rows a second")
        add.add_argument("--tls", action="store_true", help="encrypted")
        add.add_argument("--tls-ca", default="", metavar="FILE", help="who signs its certificate")
        add.add_argument("--tls-server-name", default="", metavar="NAME", help="the name in its certificate")
        add.add_argument("--tls-certificate", default="", metavar="FILE", help="our own certificate")
        add.add_argument("--tls-key", default="", metavar="FILE", help="its key")
        add.add_argument(
            "--login",
            default="",
            metavar="NAME",
            help="the credential's name over there; its secret is asked for, or read from standard input",
        )
        add.add_argument("--from-start", action="store_true", help="also the rows that are here already")
        for name, told in (
            ("remove", "hand nothing on to it any more, and forget where it was"),
            ("pause", "let rows wait"),
            ("resume", "go on where it was paused"),
        ):
            commands.add_parser(name, help=told).add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['command']}")(options)

    def _list(self, options: dict[str, Any]) -> None:
        found = Destination.objects.order_by("name")
        for destination in found:
            self.stdout.write(line_of(destination))
        if not found:
            self.stdout.write("there is no destination: `manage.py destinations add NAME HOST:PORT` makes one")

    def _add(self, options: dict[str, Any]) -> None:
        host, port = options["address"]
        level = options["level"]
        destination = Destination(
            name=options["name"],
            kind=options["kind"],
            host=host,
            port=port,
            query=options["query"],
            dropped="\n".join(options["drop"]),
            masked="\n".join(options["mask"]),
            hashed="\n".join(options["hash"]),
            level=LEVELS.get(options["kind"], 0) if level is None else level,
            rate=options["rate"] or RATES.get(options["kind"], 0),
            tls=options["tls"] or bool(options["tls_ca"] or options["tls_certificate"]),
            tls_ca=options["tls_ca"],
            tls_server_name=options["tls_server_name"],
            tls_certificate=options["tls_certificate"],
            tls_key=options["tls_key"],
            login=options["login"],
            secret=secret() if options["login"] else "",
        )
        try:
            forward.check(destination)
        except ValidationError as error:
            raise CommandError("; ".join(said(error))) from None
        forward.begin(destination, from_start=options["from_start"])
        destination.save()
        self.stdout.write(f"{destination.name}: rows go on to {shown(host, port)}, as soon as a bridge runs")

    def _remove(self, options: dict[str, Any]) -> None:
        self._the(options["name"]).delete()

    def _pause(self, options: dict[str, Any]) -> None:
        destination = self._the(options["name"])
        Destination.objects.filter(pk=destination.pk).update(enabled=False)

    def _resume(self, options: dict[str, Any]) -> None:
        destination = self._the(options["name"])
        Destination.objects.filter(pk=destination.pk).update(enabled=True)

    def _the(self, name: str) -> Destination:
        try:
            return Destination.objects.get(name=name)
        except Destination.DoesNotExist:
            names = ", ".join(Destination.objects.order_by("name").values_list("name", flat=True))
            raise CommandError(f"there is no destination {name!r}, only: {names or 'none'}") from None


def secret() -> str:
    """Return the secret of a credential; it must not stand in a command, where everybody can read it."""
    if os.isatty(sys.stdin.fileno()):
        return getpass.getpass("Secret of that credential: ").strip()
    return sys.stdin.readline().strip()


def said(error: ValidationError) -> list[str]:
    """Return what is wrong, field by field."""
    return [f"{field}: {' '.join(texts)}" for field, texts in error.message_dict.items()]


def line_of(destination: Destination) -> str:
    """Return one destination in a line."""
    how = "paused" if not destination.enabled else destination.state or "not started"
    told = f"{destination.name}  {destination.kind} {shown(destination.host, destination.port)}  {how}"
    told += f", {destination.rows:,} rows, {destination.waiting:,} waiting"
    if destination.waiting:
        told += f" for {destination.lag_seconds:.0f} s"
    if destination.rejected:
        told += f", {destination.rejected:,} rejected"
    if destination.state_text:
        told += f": {destination.state_text}"
    return told
