"""`make setup`: once, again only when the lock changes, and helpful where it cannot be done. Nothing is installed here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
WITHOUT_VENV = "case $2 in *ensurepip*) exit 1;; *) exit 0;; esac"
TOO_OLD = "exit 1"
DONE = "exit 0"


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def setup(environment: Path, python: Path) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", "setup", f"VENV={environment}", f"PYTHON={python}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An environment that looks as if it had been made from the lock of today."""
    directory = tmp_path / "venv"
    program(directory / "bin" / "python", DONE)
    shutil.copy(ROOT / "requirements.lock", directory / "installed.lock")
    return directory


def test_nothing_is_done_while_the_lock_is_the_one_installed(environment, tmp_path):
    done = setup(environment, program(tmp_path / "python", TOO_OLD))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("change", ["another lock", "no mark", "no interpreter"])
def test_the_environment_is_made_when_it_is_not_the_locks(environment, tmp_path, change):
    if change == "another lock":
        (environment / "installed.lock").write_text("django==1.0\n")
    elif change == "no mark":
        (environment / "installed.lock").unlink()
    else:
        (environment / "bin" / "python").unlink()
    done = setup(environment, program(tmp_path / "python", TOO_OLD))
    assert done.returncode != 0
    assert "herald needs Python 3.11 or newer" in done.stderr


def test_where_the_venv_module_is_missing_the_one_command_that_helps_is_said(environment, tmp_path):
    (environment / "installed.lock").unlink()
    done = setup(environment, program(tmp_path / "python", WITHOUT_VENV))
    assert done.returncode != 0
    assert "    sudo apt install python3-venv\n" in done.stderr
    assert "Making" not in done.stdout
    assert (environment / "bin" / "python").exists()
