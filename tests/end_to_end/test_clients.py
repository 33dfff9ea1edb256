"""Python's own SocketHandler, unmodified, under every Python of this machine. The long form is in tests/soak."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.end_to_end.conftest import Site
from tests.end_to_end.interpreters import CLIENT, VERSIONS, as_numbers, interpreters

EACH = 100


@pytest.fixture(scope="module")
def bridge(shared_site: Site) -> Site:
    shared_site.start_bridge()
    return shared_site


def log_from(version: str, site: Site, each: int) -> list[dict[str, Any]]:
    """Let a program under Python `version` log from four connections at once; return the rows."""
    system = f"python-{version}"
    command = [interpreters()[version], "-c", CLIENT, str(site.bridge_port), system, str(each)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    site.wait_for_rows(4 * each, "system_id = %s", system, timeout=100)
    return site.rows("system_id = %s", system)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_the_stock_handler_sends_arrives_complete(bridge: Site, version: str):
    if version not in interpreters():
        pytest.skip(f"there is no Python {version} here")
    rows = log_from(version, bridge, EACH)
    system = f"python-{version}"
    odd = [extra(row) for row in rows if int(row["message"].rpartition("/")[2]) % 10 == 0]

    for number in range(4):
        sent = [f"{system}/{number}/{sequence}" for sequence in range(EACH)]
        assert [row["message"] for row in rows if row["name"] == f"client.{number}"] == sent
    assert len(odd) == 4 * EACH // 10
    assert all({"raw", "many", "when", "price"} <= set(values) for values in odd)
    assert all("1.50" in values["price"] and "2026" in values["when"] for values in odd)
    if as_numbers(version) >= (3, 12):
        assert {row["taskname"] for row in rows if row["name"] == "client.0"} == {"Task-1"}
    assert {row["taskname"] for row in rows if row["name"] == "client.1"} == {""}


def extra(row: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = row["extra"] if isinstance(row["extra"], dict) else json.loads(row["extra"])
    return found
