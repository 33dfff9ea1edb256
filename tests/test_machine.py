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


@pytest.mark.parametrize(
    ("program", "package"),
    [("/usr/sbin/sshd", "openssh-server"), ("/usr/bin/ssh", "openssh-client"), ("/usr/bin/autossh", "autossh")],
)
def test_there_is_what_tunnels_are_made_of(program: str, package: str):
    assert Path(program).exists(), f"apt install {package}"
