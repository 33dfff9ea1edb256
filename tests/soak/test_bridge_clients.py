"""Real clients, in numbers: what `make test` shows in short."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Site
from tests.end_to_end.interpreters import CLIENT, VERSIONS, as_numbers, interpreters

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

EACH = 2_500

PS_BASIC = """
import sys
from ps.basic import Config
Config.Basic("live-psbasic")
for number in range(int(sys.argv[1])):
    Config.logger.info("live record %d", number, extra={"package_version": "1.0"})
try:
    1 / 0
except ZeroDivisionError:
    Config.logger.exception("it failed")
"""


def test_there_are_enough_pythons_to_mean_something():
    found = interpreters()

    assert len(found) >= 4, f"only {sorted(found)}: install more Pythons, or this shows nothing"
    assert any(as_numbers(version) >= (3, 12) for version in found), "none of them is 3.12 or newer"


@pytest.mark.parametrize("version", [version for version in VERSIONS if version in interpreters()])
def test_10_000_unpaced_records_from_four_connections_arrive_once_each(site: Site, version: str):
    site.start_bridge()
    system = f"python-{version}"
    command = [interpreters()[version], "-c", CLIENT, str(site.bridge_port), system, str(EACH)]
    subprocess.run(command, check=True, timeout=600)
    site.wait_for_rows(4 * EACH, "system_id = %s", system, timeout=120)
    rows = site.rows("system_id = %s", system)

    assert sorted(row["message"] for row in rows) == sorted(
        f"{system}/{number}/{sequence}" for number in range(4) for sequence in range(EACH)
    )


@pytest.fixture(scope="module")
def psbasic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with an unmodified ps.basic 1.2.19."""
    version = next((v for v in ("3.11", "3.10", "3.9", "3.8") if v in interpreters()), None)
    if version is None:
        pytest.fail("ps.basic needs a Python 3.8 to 3.11")
    directory = tmp_path_factory.mktemp("psbasic")
    subprocess.run([interpreters()[version], "-m", "venv", str(directory / "venv")], check=True)
    pip = [str(directory / "venv" / "bin" / "pip"), "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "setuptools<80", "docopt"], check=True)
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "ps.basic==1.2.19"], check=True)
    return directory / "venv" / "bin" / "python"


def test_a_live_ps_basic_is_served(site: Site, psbasic: Path, tmp_path: Path):
    """It has the ports of the stages built in; TESTING's is 9010."""
    site.start_bridge(HERALD_BRIDGE_PORT="9010")
    (tmp_path / "LOG").mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DEV_STAGE": "TESTING", "PYTHONWARNINGS": "ignore"}
    subprocess.run([psbasic, "-c", PS_BASIC, "1000"], check=True, cwd=tmp_path, env=env, timeout=300)
    site.wait_for_rows(1, "system_id = 'live-psbasic' AND message = 'it failed'")
    rows = site.rows("system_id = 'live-psbasic' AND message LIKE 'live record%%'")
    failed = site.rows("message = 'it failed'")[0]

    assert [row["message"] for row in rows] == [f"live record {number}" for number in range(1_000)]
    assert {row["package_version"] for row in rows} == {"1.0"}
    assert "ZeroDivisionError" in failed["exc_text"]
