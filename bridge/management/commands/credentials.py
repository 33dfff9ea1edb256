"""Who may send: list, add and remove the credentials that senders show in their hello."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from bridge.conversations import new_secret, secret_hash
from bridge.management.commands.destinations import said
from bridge.models import Credential


class Command(BaseCommand):
    help = "List, add, renew and remove the credentials of senders. A secret is shown once, when it is made."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
        commands.add_parser("list", help="tell who may send as whom, and when each was last seen")
        add = commands.add_parser("add", help="make a credential and show its secret")
        add.add_argument("name")
        add.add_argument(
            "--system",
            action="append",
            default=[],
            metavar="ID",
            help="a system id it may write under, `shop.*` for all that begin so (default: any); may be repeated",
        )
        add.add_argument("--bridge", action="store_true", help="it is a bridge, which hands on what others wrote")
        for name, told in (("renew", "replace the secret by another"), ("remove", "accept it no longer")):
            commands.add_parser(name, help=told).add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['command']}")(options)

    def _list(self, options: dict[str, Any]) -> None:
        found = Credential.objects.order_by("name")
        for credential in found:
            seen = f"last seen {credential.last_seen:%Y-%m-%d %H:%M} UTC" if credential.last_seen else "never seen"
            kind = "bridge" if credential.may_relay else "sender"
            state = "" if credential.enabled else ", disabled"
            self.stdout.write(f"{credential.name}  {kind} of {' '.join(credential.systems.split())}, {seen}{state}")
        if not found:
            self.stdout.write("there is no credential: `manage.py credentials add NAME` makes one")

    def _add(self, options: dict[str, Any]) -> None:
        secret = new_secret()
        credential = Credential(
            name=options["name"],
            secret_hash=secret_hash(secret),
            systems="\n".join(options["system"]) or "*",
            may_relay=options["bridge"],
        )
        try:
            credential.full_clean()
        except ValidationError as error:
            raise CommandError("; ".join(said(error))) from None
        credential.save()
        self._show(secret)

    def _renew(self, options: dict[str, Any]) -> None:
        secret = new_secret()
        if not Credential.objects.filter(name=options["name"]).update(secret_hash=secret_hash(secret)):
            raise CommandError(f"there is no credential {options['name']!r}")
        self._show(secret)

    def _remove(self, options: dict[str, Any]) -> None:
        if not Credential.objects.filter(name=options["name"]).delete()[0]:
            raise CommandError(f"there is no credential {options['name']!r}")

    def _show(self, secret: str) -> None:
        self.stdout.write(secret)
        self.stderr.write("This is the only time the secret is shown.")
