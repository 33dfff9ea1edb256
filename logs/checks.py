"""What `manage.py check` and `migrate` have to say about the database that keeps the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error
from django.db import connections, router

from logs.models import Log


def check_locale(
    app_configs: Sequence[AppConfig] | None, *, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Refuse a PostgreSQL database whose locale knows no letters beyond ASCII, before anything is stored in it.

    Runs where the caller names databases, as `migrate` does: others may not be reachable yet.
    """
    keepers = [alias for alias in databases or () if router.allow_migrate_model(alias, Log)]
    return [_refusal(alias) for alias in keepers if not _knows_letters(alias)]


def _knows_letters(alias: str) -> bool:
    connection = connections[alias]
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT lower('ÜЖ') = 'üж'")
        return bool(cursor.fetchone()[0])


def _refusal(alias: str) -> CheckMessage:
    return Error(
        f"The database {connections[alias].settings_dict['NAME']} has a locale, such as C, that knows no letters beyond "
        "ASCII: its text index would lose them, and searches would miss rows.",
        hint="Make it anew: CREATE DATABASE herald TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'.",
        id="logs.E001",
    )
