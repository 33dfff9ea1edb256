"""The judge of the tests of exactly once: that it finds what is planted in a real database."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import pytest

from logs.store import COLUMNS
from tests.end_to_end.conftest import SERVER, Site
from tests.end_to_end.judge import Findings, first_difference, judge, judge_site
from tests.end_to_end.pushing import digest
from tests.end_to_end.storm import start_pushing, wait_for_end

EACH = 500


@pytest.fixture(scope="module")
def bridge(shared_site: Site) -> Site:
    shared_site.start_bridge()
    return shared_site


@pytest.fixture
def pushed(bridge: Site, tmp_path: Path, request: pytest.FixtureRequest) -> tuple[str, dict[str, Path]]:
    """Push records under a system of this test's own; return it, and what the sender wrote down."""
    system = f"push-{crc32(request.node.name.encode())}"
    pushing, oracles = start_pushing(bridge, tmp_path / "oracles", [system], EACH)
    wait_for_end(pushing)
    return system, oracles


def row_of(site: Site, system: str, number: int) -> tuple[int, str]:
    """Return id and message of a row."""
    found = site.sql("SELECT id, message FROM logs_log WHERE system_id = %s AND message LIKE %s", system, f"{number} %")
    return int(found[0][0]), str(found[0][1])


def double(site: Site, system: str, number: int) -> None:
    columns = ", ".join(("tx", *COLUMNS) if SERVER else COLUMNS)
    row, _ = row_of(site, system, number)
    site.sql(f"INSERT INTO logs_log ({columns}) SELECT {columns} FROM logs_log WHERE id = %s", row)


def swap(site: Site, system: str, one: int, other: int) -> None:
    (first, earlier), (second, later) = row_of(site, system, one), row_of(site, system, other)
    site.sql("UPDATE logs_log SET message = %s WHERE id = %s", later, first)
    site.sql("UPDATE logs_log SET message = %s WHERE id = %s", earlier, second)


def test_what_was_stored_as_acknowledged_is_good(bridge: Site, pushed: tuple[str, dict[str, Path]]):
    system, oracles = pushed

    assert judge_site(bridge, oracles) == {system: Findings(acknowledged=EACH, stored=EACH)}


@pytest.mark.parametrize("number", [1, 250, EACH])
def test_a_planted_loss_is_found(bridge: Site, pushed: tuple[str, dict[str, Path]], number: int):
    system, oracles = pushed
    bridge.sql("DELETE FROM logs_log WHERE id = %s", row_of(bridge, system, number)[0])
    found = judge_site(bridge, oracles)[system]

    assert found == Findings(EACH, EACH - 1, lost=[number])
    assert not found.is_good


def test_a_planted_double_is_found(bridge: Site, pushed: tuple[str, dict[str, Path]]):
    system, oracles = pushed
    double(bridge, system, 77)
    found = judge_site(bridge, oracles)[system]

    assert found == Findings(EACH, EACH + 1, doubled=[77])
    assert not found.is_good


@pytest.mark.parametrize("other", [101, 400])
def test_a_planted_swap_is_found(bridge: Site, pushed: tuple[str, dict[str, Path]], other: int):
    system, oracles = pushed
    swap(bridge, system, 100, other)
    found = judge_site(bridge, oracles)[system]

    assert found == Findings(EACH, EACH, swapped=[*range(101, other), 100])
    assert not found.is_good


def test_a_text_that_was_changed_is_found(bridge: Site, pushed: tuple[str, dict[str, Path]]):
    system, oracles = pushed
    row, message = row_of(bridge, system, 9)
    bridge.sql("UPDATE logs_log SET message = %s WHERE id = %s", message + "!", row)

    assert judge_site(bridge, oracles)[system] == Findings(EACH, EACH, altered=[9])


def test_a_row_that_differs_between_two_sites_is_found(bridge: Site, site: Site):
    site.start_bridge()
    for each in (bridge, site):
        pushing, _ = start_pushing(each, each.directory / "oracles", ["push-both"], 50)
        wait_for_end(pushing)
    same = "system_id = 'push-both'"
    assert first_difference(bridge, site, "system_id, message", same) is None

    swap(site, "push-both", 20, 21)
    difference = first_difference(bridge, site, "message", same)
    assert difference is not None
    assert [row[0].split()[0] for row in difference] == ["20", "21"]
    site.sql("DELETE FROM logs_log WHERE message LIKE '50 %%'")
    swap(site, "push-both", 20, 21)
    assert first_difference(bridge, site, "system_id", same) == (("push-both",), None)


def test_a_record_that_was_stored_and_never_acknowledged_is_no_fault():
    acknowledged = {number: digest(f"{number} text") for number in (1, 2)}

    assert judge(acknowledged, ["1 text", "2 text", "3 text"]) == Findings(acknowledged=2, stored=3)
