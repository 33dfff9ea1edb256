"""Which stage runs, and what each demands. Each case is a process of its own: settings load once per process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from heraldsite.stage import STAGES

ROOT = Path(__file__).resolve().parent.parent.parent
SHOWN = """
import json, sys
from heraldsite.stage import choose_settings
choose_settings()
from django.conf import settings
names = sys.argv[1:] or [name for name in dir(settings) if name.isupper()]
print(json.dumps({name: getattr(settings, name) for name in names}, default=str))
"""
PRODUCTION = {
    "DEV_STAGE": "PRODUCTION",
    "HERALD_SECRET_KEY": "a-sample-that-only-looks-like-a-secret-0123456789-abcdefghijklmnop",
    "HERALD_ALLOWED_HOSTS": "herald.example.org",
}


def run(data: Path, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HERALD_", "DJANGO_", "DEV_STAGE"))}
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=kept | {"HERALD_DATA_DIR": str(data)} | env,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def settings_of(data: Path, *names: str, **env: str) -> dict[str, Any]:
    done = run(data, "-c", SHOWN, *names, **env)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("stage", "ports", "suffix"),
    [
        ("TESTING", [9010, 9011], "_t"),
        ("DEVELOPMENT", [9020, 9021], "_d"),
        ("INTEGRATION", [9022, 9023], "_i"),
        ("PRODUCTION", [9024, 9025], ""),
    ],
)
def test_dev_stage_chooses_the_stage_with_the_ports_its_clients_have_built_in(tmp_path, stage, ports, suffix):
    found = settings_of(
        tmp_path, "BRIDGE_PORT", "WEB_PORT", "DATABASES", "DATA_DIR", **PRODUCTION | {"DEV_STAGE": stage}
    )
    assert [found["BRIDGE_PORT"], found["WEB_PORT"]] == ports
    assert found["DATA_DIR"] == str(tmp_path / stage.lower())
    assert Path(found["DATABASES"]["default"]["NAME"]) == tmp_path / stage.lower() / f"herald{suffix}.sqlite3"


def test_without_a_word_the_stage_is_development(tmp_path):
    assert settings_of(tmp_path, "STAGE")["STAGE"].startswith("Stage(name='DEVELOPMENT'")


def test_a_settings_module_outweighs_dev_stage(tmp_path):
    env = {"DEV_STAGE": "INTEGRATION", "DJANGO_SETTINGS_MODULE": "heraldsite.settings.testing"}
    assert settings_of(tmp_path, "WEB_PORT", **env)["WEB_PORT"] == STAGES["TESTING"].web_port


def test_an_unknown_stage_is_refused_with_those_there_are(tmp_path):
    done = run(tmp_path, "manage.py", "check", DEV_STAGE="PRODUKTION")
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "DEV_STAGE is 'PRODUKTION'; it must be one of TESTING, DEVELOPMENT, INTEGRATION, PRODUCTION"
        " (or unset: DEVELOPMENT)"
    )


def test_every_port_and_host_can_be_chosen(tmp_path):
    env = {
        "HERALD_BRIDGE_HOST": "10.0.0.1",
        "HERALD_BRIDGE_PORT": "1111",
        "HERALD_WEB_HOST": "::1",
        "HERALD_WEB_PORT": "2222",
    }
    found = settings_of(tmp_path, "BRIDGE_HOST", "BRIDGE_PORT", "WEB_HOST", "WEB_PORT", **env)
    assert list(found.values()) == ["10.0.0.1", 1111, "::1", 2222]


@pytest.mark.parametrize("missing", ["HERALD_SECRET_KEY", "HERALD_ALLOWED_HOSTS"])
def test_production_names_the_variable_it_lacks_and_what_it_is_for(tmp_path, missing):
    env = {name: value for name, value in PRODUCTION.items() if name != missing}
    done = run(tmp_path, "manage.py", "check", **env)
    assert done.returncode != 0
    assert f"  {missing}: " in done.stderr
    assert "PRODUCTION does not start without" in done.stderr
    assert "Traceback" not in done.stderr
    (other,) = {"HERALD_SECRET_KEY", "HERALD_ALLOWED_HOSTS"} - {missing}
    assert f"  {other}: " not in done.stderr


def test_production_makes_no_secret_of_its_own(tmp_path):
    settings_of(tmp_path, "WEB_PORT", **PRODUCTION)
    assert not (tmp_path / "production" / "secret_key").exists()


def test_other_stages_make_a_secret_once_and_keep_it_to_their_user(tmp_path):
    first, second = (settings_of(tmp_path, "SECRET_KEY", DEV_STAGE="INTEGRATION") for _ in range(2))
    assert first == second
    assert len(first["SECRET_KEY"]) >= 50
    assert (tmp_path / "integration" / "secret_key").stat().st_mode & 0o777 == 0o600


def test_only_development_shows_tracebacks_to_a_browser(tmp_path):
    debug = {name: settings_of(tmp_path, "DEBUG", **PRODUCTION | {"DEV_STAGE": name})["DEBUG"] for name in STAGES}
    assert debug == {"TESTING": False, "DEVELOPMENT": True, "INTEGRATION": False, "PRODUCTION": False}


def test_djangos_own_check_finds_nothing_to_say_about_production(tmp_path):
    done = run(tmp_path, "manage.py", "check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_one_migrate_prepares_every_database(tmp_path):
    done = run(tmp_path, "manage.py", "migrate", "-v0")
    assert done.returncode == 0, done.stderr
    done = run(tmp_path, "manage.py", "migrate", "--check")
    assert done.returncode == 0, done.stdout
    done = run(tmp_path, "manage.py", "migrate", "--check", "--database", "queue")
    assert done.returncode == 0, done.stdout
