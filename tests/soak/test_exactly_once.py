"""The long form of tests/end_to_end/test_exactly_once.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.conftest import Site
from tests.end_to_end.judge import Findings
from tests.end_to_end.test_exactly_once import push_through_kills

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1_800)]


def test_what_is_acknowledged_outlives_200_kills_while_a_million_records_come(site: Site, tmp_path: Path):
    storm, found = push_through_kills(site, tmp_path / "oracles", kills=200, senders=5, each=200_000)

    assert found == [Findings(acknowledged=200_000, stored=200_000)] * 5
    assert storm.last_at < 1_000_000, "the last kill came when all was stored"
