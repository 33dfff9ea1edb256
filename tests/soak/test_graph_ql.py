"""Whatever the schema allows, and some that it does not, asked over HTTP for two minutes: herald never fails."""

from __future__ import annotations

import os
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.graphql import nodes

from tests.end_to_end.conftest import ROOT, Site
from tests.end_to_end.test_api import graph, token

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

SECONDS = float(os.environ.get("HERALD_SOAK_SECONDS", "120"))
FAILED = "herald failed here"
ROWS = 2_000


@pytest.fixture
def asked(site: Site) -> tuple[Site, str]:
    """A herald with rows, and a token that may do everything the schema has."""
    made = site.manage(
        "createsuperuser", "--noinput", "--email", "", "--username", "anna", DJANGO_SUPERUSER_PASSWORD="x"
    )
    assert made.returncode == 0, made.stderr
    secret = token(site, "soak", "--write")
    site.start_web()
    add = " ".join(
        f'a{n}: addLog(input: {{message: "n{n}", systemId: "s{n % 7}"}}) {{ log {{ id }} }}' for n in range(20)
    )
    for _ in range(ROWS // 20):
        assert "errors" not in graph(site, secret, f"mutation {{ {add} }}")
    return site, secret


def test_no_document_makes_herald_fail(asked: tuple[Site, str]):
    site, secret = asked
    moments = st.one_of(st.datetimes().map(datetime.isoformat), st.text(max_size=20))
    schemathesis.graphql.scalar("DateTime", moments.map(nodes.String))
    schema = schemathesis.graphql.from_path(Path(ROOT) / "heraldsite" / "schema.graphql")
    schema.config.update(base_url=f"{site.web}/graph_ql")
    ends_at = time.monotonic() + SECONDS
    statuses: dict[int, int] = {}

    @settings(max_examples=100, database=None, suppress_health_check=list(HealthCheck))
    @given(case=schema.as_strategy())
    def ask(case: Any) -> None:
        if time.monotonic() < ends_at:
            answer = case.call(headers={"Authorization": f"Bearer {secret}"})
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            assert answer.status_code in (200, 400), answer.content
            assert FAILED not in answer.text, case.body

    while time.monotonic() < ends_at:
        ask()

    assert statuses.get(200, 0) > 100, statuses
    assert graph(site, secret, "{ goodbye }") == {"data": {"goodbye": "See ya!"}}
    said = site.running[-1].output
    assert "Traceback" not in said, said
    print(statuses)
