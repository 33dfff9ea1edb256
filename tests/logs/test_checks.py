from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.checks import Tags, run_checks
from django.db import connection

from logs.checks import check_locale

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def database_of_locale_c(transactional_db: None) -> Iterator[str]:
    """A PostgreSQL database as somebody makes it who takes the locale C; yields its URL."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no locale")
    name = f"{connection.settings_dict['NAME']}_c"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE \"{name}\" TEMPLATE template0 LOCALE 'C'")
        yield f"{os.environ['HERALD_DATABASE_URL'].rpartition('/')[0]}/{name}"
        cursor.execute(f'DROP DATABASE "{name}"')


@pytest.mark.django_db(transaction=True)
def test_a_database_that_knows_no_letters_beyond_ascii_is_not_migrated(database_of_locale_c: str, tmp_path: Path):
    asked = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "migrate"],
        env=os.environ | {"HERALD_DATABASE_URL": database_of_locale_c, "HERALD_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert asked.returncode == 1
    assert "logs.E001" in asked.stderr
    assert "LOCALE 'C.UTF-8'" in asked.stderr


@pytest.mark.django_db
def test_the_database_the_tests_run_on_passes():
    assert run_checks(tags=[Tags.database], databases=["default"]) == []


def test_no_database_is_asked_that_nobody_named():
    assert check_locale(None) == []
