"""requirements.lock: complete, pinned, hashed, and bound to no package index."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)


def normalised(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name.group()).lower()


def entries() -> list[str]:
    """Each requirement with its continuation lines, as one text."""
    return [entry for entry in re.split(r"\n(?=\S)", LOCK.strip()) if not entry.startswith("#")]


def test_every_entry_is_pinned_to_one_version_and_has_hashes():
    assert len(entries()) > 50
    loose = [entry.splitlines()[0] for entry in entries() if not PIN.match(entry) or "--hash=sha256:" not in entry]
    assert loose == []


def test_the_lock_names_no_address():
    assert re.findall(r"\S*://\S*", LOCK) == []
    assert re.findall(r"^\s*-(?:i|f|-index-url|-extra-index-url|-find-links)\b.*", LOCK, re.MULTILINE) == []


def test_every_direct_dependency_is_locked():
    wanted = PROJECT["project"]["dependencies"] + PROJECT["dependency-groups"]["dev"]
    assert {normalised(name) for name in wanted} <= {normalised(name) for name, _ in PIN.findall(LOCK)}


def test_the_lock_holds_for_the_oldest_python_the_project_allows():
    assert PROJECT["project"]["requires-python"] == ">=3.11"
    markers = re.findall(r"python_(?:full_)?version\s*([<>=!]+)\s*'([\d.]+)'", LOCK)
    # A package that only an older Python needed would show that the lock was made for another range.
    assert [m for m in markers if m[0] in ("<", "<=") and tuple(map(int, m[1].split(".")[:2])) < (3, 11)] == []
