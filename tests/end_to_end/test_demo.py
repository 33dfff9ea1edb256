"""`manage.py demo`: its records arrive in a real bridge as they were sent."""

from __future__ import annotations

import re

from tests.end_to_end.conftest import Site


def test_what_the_demo_counts_as_sent_is_stored_with_all_it_had(site: Site):
    bridge = site.start_bridge()
    done = site.manage("demo", "--rate", "0", "--seconds", "0.6")
    assert done.returncode == 0, done.stderr
    assert "sent 600 records" in done.stdout
    assert bridge.stop() == 0
    rows = site.rows("system_id NOT LIKE %s", "herald.%")
    assert len(rows) == 600
    systems = {"shop.web", "shop.orders", "billing", "warehouse.sync", "mail.gateway", "edge.sensors"}
    assert systems <= {row["system_id"] for row in rows}
    assert any("ZeroDivisionError: division by zero" in row["exc_text"] for row in rows)
    assert any("Ольга Смирнова" in row["message"] for row in rows)
    assert any("decimal" in str(row["extra"]).lower() for row in rows)
    assert any("deployed 3.5.0" in row["message"] for row in rows)
    assert {row["package_version"] for row in rows if row["system_id"] == "shop.orders"} == {"3.4.1", "3.5.0"}
    assert any(row["taskname"] == "Task-3" for row in rows)


def test_where_nobody_listens_the_demo_says_how_to_go_on(site: Site):
    done = site.manage("demo")
    assert done.returncode != 0
    assert re.search(rf"nobody listens on 127\.0\.0\.1:{site.bridge_port}: start herald first", done.stderr)
    assert "Traceback" not in done.stderr
