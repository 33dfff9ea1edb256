"""Where everything must be tested, nothing the tests want may be absent: there a skipped test would pass for a good one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not (os.environ.get("CI") or os.environ.get("HERALD_REQUIRE_ALL")),
    reason="neither CI nor HERALD_REQUIRE_ALL is set",
)


def test_there_is_a_browser():
    assert Path("/usr/bin/chromium").exists(), "apt install chromium"


def test_there_is_a_postgresql_server():
    assert list(Path("/usr/lib/postgresql").glob("*/bin/initdb")), "apt install postgresql"
