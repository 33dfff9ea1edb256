"""The systems of a real herald, and how its old rows are deleted, as somebody at a real browser sees them."""

from __future__ import annotations

import logging
import logging.handlers
import math
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser import CHROMIUM
from tests.end_to_end.conftest import Site
from tests.end_to_end.herald import Herald

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not there: apt-get install chromium"),
]

HOSTILE = "<img src=x onerror=alert(1)>\u202e"
SPARK = re.compile(r"^[\d,]+ records in the last 6 h, .* at ERROR and above$")
WIDTHS = (320, 768, 1280)


@pytest.fixture(scope="module")
def herald(shared_site: Site) -> Herald:
    """A herald with a few systems: a busy one, one on many hosts, one that has just been deployed, a hostile one."""
    made = Herald(shared_site)
    send(made, "till", "desk-1", "3.0", "sold", "sold")
    send(made, "till", "desk-1", "3.1", "sold again")
    for number in range(12):
        send(made, "render", f"worker-{number}", "0.9" if number % 3 else "1.0", "frame done")
    send(made, HOSTILE, HOSTILE, HOSTILE, "boo", level=logging.CRITICAL)
    send(made, "s" * 150, "h" * 150, "v" * 150, "long names")
    send(made, "shop", "web-3", "1.4.2", *["payment failed"] * 7, level=logging.ERROR)
    made.site.wait_for_rows(7, "system_id = %s", "shop")
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    for minute in range(0, 360, 2):
        at = str(now - timedelta(minutes=minute))[:19]
        for system, level, number in (
            ("shop", 20, int(60 + 40 * math.sin(minute / 25))),
            ("shop", 40, 25 if 90 < minute < 150 else 0),
            ("render", 20, minute % 7),
        ):
            made.site.sql(
                "INSERT INTO logs_logcount (minute, system_id, level, writer, count) VALUES (%s, %s, %s, 'past', %s)",
                at if not made.site.database_url.startswith("postgres") else f"{at}+00",
                system,
                level,
                number,
            )
    return made


def send(herald: Herald, system: str, host: str, version: str, *messages: str, level: int = logging.INFO) -> None:
    handler = logging.handlers.SocketHandler("127.0.0.1", herald.site.bridge_port)
    for message in messages:
        record = logging.makeLogRecord(
            {"msg": message, "levelno": level, "levelname": logging.getLevelName(level), "name": "test"}
        )
        record.SYSTEM_ID, record.SUB_SYSTEM_ID, record.PACKAGE_VERSION = system, host, version
        handler.emit(record)
    handler.close()


def test_somebody_without_systems_copies_what_sends_the_first_record(site: Site, tmp_path: Path):
    with Herald(site).visit("/systems", viewport={"width": 800, "height": 600}) as anna:
        expect(anna.page.locator("#snippet")).to_contain_text(f'SocketHandler("127.0.0.1", {site.bridge_port})')
        assert anna.page.get_by_role("button", name="Copy").is_visible()
        anna.page.screenshot(path=tmp_path / "empty.png")


def test_a_system_leads_to_its_rows_by_keyboard_and_without_javascript(herald: Herald):
    with herald.visit("/systems", java_script_enabled=False) as anna:
        anna.page.fill("[name=text]", "SHOP")
        anna.page.press("[name=text]", "Enter")
        expect(anna.page.locator("h2")).to_have_text(["shop"])
        expect(anna.page.get_by_role("img")).to_have_attribute("aria-label", SPARK)
        anna.page.get_by_role("link", name=re.compile("^ERROR")).press("Enter")

        assert anna.messages == ["payment failed"] * 7


def test_the_order_can_be_chosen(herald: Herald):
    with herald.visit("/systems") as anna:
        anna.page.select_option("[name=sort]", "errors")
        anna.page.get_by_role("button", name="Show").click()
        anna.page.wait_for_url("**sort=errors**")

        assert anna.page.locator("h2").first.inner_text() == "shop"


def test_hostile_names_stay_text(herald: Herald):
    with herald.visit("/systems") as anna:
        line = anna.page.locator(".system-line", has_text="onerror").first
        expect(line.locator("h2")).to_contain_text("<img src=x onerror=alert(1)>⟦U+202E⟧")
        assert anna.page.locator("main img").count() == 0


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures_of_the_systems(herald: Herald, tmp_path: Path, width: int, scheme: str):
    """At no width is anything cut off, also with long names and an open list of hosts."""
    with herald.visit("/systems", viewport={"width": width, "height": 800}, color_scheme=scheme) as anna:
        anna.page.locator(".host-fold > summary").first.click()
        picture = anna.page.screenshot(path=tmp_path / f"systems-{width}-{scheme}.png", full_page=True)

        assert anna.page.evaluate("document.documentElement.scrollWidth") <= width
        assert len(picture) > 10_000


def test_old_rows_are_deleted_after_a_look_and_a_confirmation(herald: Herald, tmp_path: Path):
    send(herald, "ancient", "h", "1", "old", "older")
    herald.site.wait_for_rows(2, "system_id = %s", "ancient")
    long_ago = str(datetime.now(UTC) - timedelta(days=60))[:19]
    shown = f"{long_ago}+00" if herald.site.database_url.startswith("postgres") else long_ago
    herald.site.sql("UPDATE logs_log SET received = %s WHERE system_id = %s", shown, "ancient")
    with herald.visit("/prune", viewport={"width": 800, "height": 600}) as anna:
        expect(anna.page.locator("tr.sum td").first).to_have_text("2")
        anna.page.screenshot(path=tmp_path / "prune.png")
        anna.page.get_by_role("checkbox").check()
        anna.page.get_by_role("button", name="Delete them now").click()
        expect(anna.page.locator("p.done")).to_contain_text("2 rows deleted.")
        anna.page.screenshot(path=tmp_path / "pruned.png")

    assert herald.site.count("system_id = %s", "ancient") == 0
