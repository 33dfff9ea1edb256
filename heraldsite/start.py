"""What `manage.py up` does, step by step: look, prepare, tell, run."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.contrib.staticfiles.storage import ManifestFilesMixin
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connections
from rich.console import Console
from rich.text import Text

from heraldsite.accounts import FIRST_ACCOUNT, make_first_account
from heraldsite.addresses import Address, obstacle, reachable
from heraldsite.programs import Site, configuration, programs, this_site
from heraldsite.supervision import Teller, supervise

SNIPPET = """\
import logging, logging.handlers
logging.getLogger().addHandler(logging.handlers.SocketHandler("{host}", {port}))
logging.warning("hello herald")"""


def start(console: Console) -> bool:
    """Bring herald up and keep it up until a signal ends it; say whether it went well.

    1. Refuse, before anything is touched, when this installation runs already or a port is taken.
    2. Migrate, collect static files where the stage serves collected ones, make the first account.
    3. Tell where it is. The first account's password is told here and never again.
    4. Run the programs under supervisord, in this process.

    Raises CommandError with a sentence for whatever the operator can mend.
    """
    site = this_site()
    with only_one(site):
        refuse_taken_ports()
        password = prepare(console)
        welcome(console, password)
        site.configuration_path.write_text(configuration(site, foreground=True))
        site.log_dir.mkdir(parents=True, exist_ok=True)
        teller = Teller(programs(site), console, when_ready=f"ready: {page()}")
        return supervise(site.configuration_path, teller)


def web_address() -> Address:
    return Address("web pages", settings.WEB_HOST, settings.WEB_PORT, "HERALD_WEB")


def record_address() -> Address:
    return Address("records", settings.BRIDGE_HOST, settings.BRIDGE_PORT, "HERALD_BRIDGE")


def encrypted_address() -> Address | None:
    """Where records come in by TLS; None where they do not."""
    if not settings.BRIDGE_TLS_PORT:
        return None
    return Address("records by TLS", settings.BRIDGE_TLS_HOST, settings.BRIDGE_TLS_PORT, "HERALD_BRIDGE_TLS")


def page() -> str:
    """The address a person types."""
    return f"http://{web_address()}/"


@contextmanager
def only_one(site: Site) -> Iterator[None]:
    """Hold this data directory for one `up`; the kernel lets go of it whatever ends the process."""
    site.data_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
    path = site.data_dir / "up.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = path.read_text().strip() or "unknown"
        raise CommandError(
            f"herald {site.stage.name} is up already in {site.data_dir} (process {owner}): see {page()}"
        ) from None
    else:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def refuse_taken_ports() -> None:
    addresses = (web_address(), record_address(), encrypted_address())
    obstacles = [found for address in addresses if address and (found := obstacle(address))]
    if obstacles:
        raise CommandError("herald does not start: " + "; ".join(obstacles))


def prepare(console: Console) -> str | None:
    """Bring databases and static files up to date; return the first account's password when it was made now."""
    try:
        with console.status("preparing the database …"):
            call_command("migrate", interactive=False, verbosity=0)
        if isinstance(storages["staticfiles"], ManifestFilesMixin):
            with console.status("collecting static files …"):
                call_command("collectstatic", interactive=False, verbosity=0)
        return make_first_account()
    except DatabaseError as error:
        raise CommandError(f"herald does not start: the database cannot be prepared: {str(error).strip()}") from error
    finally:
        # supervisord forks: no connection may be open then, to be shared with a child.
        connections.close_all()


def welcome(console: Console, password: str | None) -> None:
    """Tell the stage, the addresses, the data directory, the new account, and how to send a first record."""
    tell(console, f"\nherald {settings.STAGE.name}", style="bold")
    tell(console, f"  web pages   {page()}")
    tell(console, f"  records     {record_address()}  (Python: logging.handlers.SocketHandler)")
    if encrypted := encrypted_address():
        tell(console, f"  by TLS      {encrypted}")
    tell(console, f"  data        {settings.DATA_DIR}, rows are kept {settings.RETENTION.days} days")
    if password:
        tell(console, "\n  An account was made for the first log-in. Its password is shown this once:", style="bold")
        tell(console, f"    name: {FIRST_ACCOUNT}", style="bold yellow")
        tell(console, f"    one-time password: {password}", style="bold yellow")
    tell(console, "\n  A first record, from any Python:")
    snippet = SNIPPET.format(host=reachable(settings.BRIDGE_HOST), port=settings.BRIDGE_PORT)
    tell(console, "\n".join(f"    {line}" for line in snippet.splitlines()), style="green")
    tell(console, "\n  Ctrl-C stops all of it.\n")


def tell(console: Console, text: str, *, style: str = "") -> None:
    """Print as it stands: neither wrapped, for it is copied, nor read as markup."""
    console.print(Text(text, style=style), soft_wrap=True)
