"""What all tests share, and the shortcuts that make them quick. TESTING itself stays a stage one can run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from logs import seen, store

hypothesis_settings.register_profile(
    "herald", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
hypothesis_settings.load_profile("herald")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Give SQLite's test databases files of this run's own: threads see one another there as they do in life."""
    directory: Path = tmp_path_factory.mktemp("databases")
    for each in connections.all():
        if each.vendor == "sqlite":
            each.settings_dict["TEST"]["NAME"] = str(directory / f"{each.alias}.sqlite3")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """At the end, end the sessions that threads of tests may still hold: PostgreSQL drops no database in use."""
    yield
    with django_db_blocker.unblock():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )


@pytest.fixture(autouse=True)
def _quick_passwords(settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    """The systems and values of the test before are gone with its rows."""
    store.forget_systems()
    seen.forget()


@pytest.fixture
def now() -> datetime:
    """A moment for tests whose outcome must not depend on the clock."""
    return datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
