"""`manage.py certificates`: a small private CA for the encrypted record port."""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from bridge import tls
from bridge.authority import CA_LASTS, LEAF_LASTS, Authority, Entry, Refused

DAYS_MAX = 36_500


def days(text: str) -> timedelta:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= DAYS_MAX):
        raise ArgumentTypeError(f"{text!r} is no number of days from 1 to {DAYS_MAX:,}")
    return timedelta(days=int(text))


class Command(BaseCommand):
    help = "Make a small private CA, and certificates by which herald and its clients know one another."

    # The settings may name the very files that are still to be made.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

        ca = actions.add_parser("ca", help="make the CA itself, once")
        ca.add_argument("--name", default=f"herald on {settings.HOST_NAME}"[:64], help="how it is called")
        self._add_days(ca, CA_LASTS)

        server = actions.add_parser("server", help="make a certificate for this herald")
        server.add_argument("names", metavar="NAME", nargs="+", help="a DNS name or IP address by which it is reached")
        client = actions.add_parser("client", help="make a certificate for one client")
        client.add_argument("name", metavar="NAME", help="who the client is")
        for leaf in (server, client):
            self._add_days(leaf, LEAF_LASTS)
            leaf.add_argument("--renew", action="store_true", help="also in place of one that is good for long")

        actions.add_parser("list", help="tell what there is, for whom, and until when")

    def _add_days(self, parser: CommandParser, default: timedelta) -> None:
        parser.add_argument(
            "--days",
            dest="lasts",
            metavar="N",
            type=days,
            default=default,
            help=f"days it is good for, at most as long as the CA (default: {default.days})",
        )

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        authority = Authority(settings.DATA_DIR / "certificates")
        now = datetime.now(UTC)
        try:
            getattr(self, f"_{action}")(authority, now, options)
        except Refused as error:
            raise CommandError(str(error)) from None

    def _ca(self, authority: Authority, now: datetime, options: dict[str, Any]) -> None:
        made = authority.make_ca(options["name"], options["lasts"], now)
        self._tell_made(made)
        self._tell(
            f"Whoever has {made.key.name} can make certificates: keep it, and let nobody see it.",
            "Clients need the certificate, to know herald by. Where herald is to know its clients by theirs, set:",
            f"  {tls.CLIENT_CA}={made.path}",
            "Next: manage.py certificates server NAME",
        )

    def _server(self, authority: Authority, now: datetime, options: dict[str, Any]) -> None:
        made = authority.sign_server(options["names"], options["lasts"], now, renew=options["renew"])
        self._tell_made(made)
        port = settings.BRIDGE_TLS_PORT or settings.BRIDGE_PORT + 100
        self._tell(
            "Set these, with a host that the clients reach, and restart the bridge:",
            f"  HERALD_BRIDGE_TLS_HOST={settings.BRIDGE_TLS_HOST}",
            f"  HERALD_BRIDGE_TLS_PORT={port}",
            f"  {tls.CERTIFICATE}={made.path}",
            f"  {tls.KEY}={made.key}",
            f"Clients need {authority.path}, to know herald by.",
        )

    def _client(self, authority: Authority, now: datetime, options: dict[str, Any]) -> None:
        made = authority.sign_client(options["name"], options["lasts"], now, renew=options["renew"])
        self._tell_made(made)
        self._tell(
            f"The client needs these two, and {authority.path}, to know herald by.",
            "So that herald asks for it, set this and restart the bridge:",
            f"  {tls.CLIENT_CA}={authority.path}",
        )

    def _list(self, authority: Authority, now: datetime, options: dict[str, Any]) -> None:
        entries = authority.entries()
        if not entries:
            raise Refused(f"there is nothing in {authority.directory}: `manage.py certificates ca` makes a CA")
        self._tell(*(line(entry, now) for entry in entries))

    def _tell_made(self, made: Entry) -> None:
        self._tell(f"made {made.path}, good until {made.ends:%Y-%m-%d}", f"and  {made.key}")

    def _tell(self, *lines: str) -> None:
        self.stdout.write("\n".join(lines))


def line(entry: Entry, now: datetime) -> str:
    """Return one certificate as it is listed."""
    left = (entry.ends - now) // timedelta(days=1)
    until = "HAS ENDED" if entry.ends <= now else f"{left:,} days left"
    return f"{entry.kind:<7} {entry.ends:%Y-%m-%d}  {until:<15} {', '.join(entry.names)}  ({entry.path.name})"
