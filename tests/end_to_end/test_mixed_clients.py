"""All kinds of clients on one port at the same time."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests import corpus
from tests.end_to_end.conftest import Site
from tests.end_to_end.interpreters import CLIENT
from tests.end_to_end.judge import Findings, judge_site
from tests.end_to_end.storm import start_pushing, wait_for_end

EACH = 500
TIMES = 40


def test_psbasic_a_stock_handler_and_acknowledged_senders_share_a_port(site: Site, tmp_path: Path):
    site.start_bridge()
    sent = (corpus.DATA / "psbasic_frames.bin").read_bytes()
    pushing, oracles = start_pushing(site, tmp_path, ["push-a", "push-b"], 5_000)
    stock = site.launch([sys.executable, "-c", CLIENT, str(site.bridge_port), "stock", str(EACH)])
    with site.connect() as psbasic:
        for _ in range(TIMES):
            psbasic.sendall(sent)
    wait_for_end([stock, *pushing])
    expected = len(corpus.psbasic_payloads()) * TIMES
    of_psbasic = "system_id NOT LIKE 'push-%%' AND system_id NOT LIKE 'herald.%%' AND system_id <> 'stock'"
    site.wait_for_rows(expected, of_psbasic)
    site.wait_for_rows(4 * EACH, "system_id = 'stock'")
    rows = site.rows("system_id = 'stock'")

    assert site.count(of_psbasic) == expected
    for number in range(4):
        said = [row["message"] for row in rows if row["name"] == f"client.{number}"]
        assert said == [f"stock/{number}/{sequence}" for sequence in range(EACH)]
    assert judge_site(site, oracles) == dict.fromkeys(oracles, Findings(acknowledged=5_000, stored=5_000))
    rejected = site.sql("SELECT figures FROM bridge_bridgestatus")[0][0]
    assert (rejected if isinstance(rejected, dict) else json.loads(rejected))["rejected"] == {}
