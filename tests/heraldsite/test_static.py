from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client

SETTINGS = {"staticfiles": {"BACKEND": "heraldsite.static.HashedFiles"}}


@pytest.fixture
def collected(tmp_path: Path, settings) -> Path:
    """The static files as every stage but DEVELOPMENT and TESTING serves them."""
    settings.STATIC_ROOT = tmp_path
    settings.WHITENOISE_USE_FINDERS = False
    settings.STORAGES = settings.STORAGES | SETTINGS
    call_command("collectstatic", verbosity=0, interactive=False)
    return tmp_path


def test_a_collected_file_is_kept_for_ever_under_a_name_that_tells_its_content(collected: Path):
    (name,) = [path.name for path in collected.glob("logs/tokens.*.css")]

    hashed, plain = Client().get(f"/static/logs/{name}"), Client().get("/static/logs/tokens.css")

    assert hashed.content == plain.content
    assert "immutable" in hashed["Cache-Control"]
    assert "max-age=60" in plain["Cache-Control"]


def test_a_script_imports_other_scripts_under_such_a_name_too(collected: Path):
    (page,) = collected.glob("logs/page.*.js")

    imported = re.findall(r'from "\./([^"]+)"', page.read_text())

    assert len(imported) == 4
    assert all(
        re.fullmatch(r"\w+\.[0-9a-f]{12}\.js", name) and (collected / "logs" / name).exists() for name in imported
    )


def test_a_compressed_copy_goes_to_a_browser_that_takes_one(collected: Path):
    answer = Client().get("/static/logs/herald.css", headers={"Accept-Encoding": "gzip"})

    assert answer["Content-Encoding"] == "gzip"
    assert answer["Vary"] == "Accept-Encoding"


def test_an_unchanged_file_is_not_sent_again(collected: Path):
    first = Client().get("/static/logs/herald.css")

    again = Client().get("/static/logs/herald.css", headers={"If-Modified-Since": first["Last-Modified"]})

    assert (again.status_code, again.content) == (304, b"")
