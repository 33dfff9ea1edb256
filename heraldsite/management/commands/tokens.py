"""Who may ask without a browser: list, make and revoke tokens."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from heraldsite import tokens
from heraldsite.models import DAYS, DAYS_MAX, Token
from logs.access import Scope


class Command(BaseCommand):
    help = "List, make and revoke the tokens by which programs ask. A secret is shown once, when it is made."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
        commands.add_parser("list", help="tell which tokens there are, what they may do, and when they were used")
        add = commands.add_parser("add", help="make a token and show its secret")
        add.add_argument("name")
        add.add_argument("--user", required=True, help="the account it acts as")
        add.add_argument("--write", action="store_true", help="it may add records too (default: it only reads)")
        add.add_argument(
            "--days", type=int, default=DAYS, help=f"how long it is valid (default {DAYS}, at most {DAYS_MAX})"
        )
        commands.add_parser("revoke", help="accept it no longer").add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['command']}")(options)

    def _list(self, options: dict[str, Any]) -> None:
        now = timezone.now()
        found = Token.objects.select_related("owner").order_by("name")
        for token in found:
            used = f"{token.last_used:%Y-%m-%d %H:%M} UTC from {token.last_peer}" if token.last_used else "never"
            self.stdout.write(
                f"{token.name}  {token.prefix}…  {token.get_scope_display()} as {token.owner.get_username()}, "
                f"{token.state(now)}, until {token.expires:%Y-%m-%d}, last used {used}"
            )
        if not found:
            self.stdout.write("there is no token: `manage.py tokens add NAME --user USER` makes one")

    def _add(self, options: dict[str, Any]) -> None:
        people = get_user_model().objects
        owner = people.filter(username=options["user"]).first()
        if owner is None:
            raise CommandError(f"there is no account {options['user']!r}")
        if not 1 <= options["days"] <= DAYS_MAX:
            raise CommandError(f"--days must be from 1 to {DAYS_MAX}")
        scope = Scope.WRITE if options["write"] else Scope.READ
        try:
            _, secret = tokens.make(options["name"], owner, now=timezone.now(), scope=scope, days=options["days"])
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from None
        self.stdout.write(secret)
        self.stderr.write("This is the only time the secret is shown.")

    def _revoke(self, options: dict[str, Any]) -> None:
        if not tokens.revoke(options["name"], timezone.now()):
            raise CommandError(f"there is no token {options['name']!r}")
