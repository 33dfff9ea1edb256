"""What the log page offers around its rows, used at a real browser: volume, values, details, neighbours, completion."""

from __future__ import annotations

import logging
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser import CHROMIUM, Visitor
from tests.end_to_end.conftest import Site
from tests.end_to_end.herald import Herald

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not there: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def herald(shared_site: Site) -> Herald:
    return Herald(shared_site)


def asked(visitor: Visitor) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(visitor.page.url).query).items()}


def test_dragging_over_the_volume_leads_into_that_time(herald: Herald):
    herald.send("dragged", system="drag")
    herald.site.wait_for_rows(1, "system_id = %s", "drag")
    with herald.visit("/?q=system:drag&last=1h") as anna:
        box = anna.page.locator("svg.bars").bounding_box()
        assert box is not None
        anna.page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 20)
        anna.page.mouse.down()
        anna.page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 30, steps=5)
        anna.page.mouse.up()
        anna.page.wait_for_url("**since=*")

        assert asked(anna).keys() == {"q", "since", "until"}
        assert anna.messages == ["dragged"]


def test_the_volume_leads_into_a_time_without_a_script(herald: Herald):
    herald.send("barred", system="bar")
    herald.site.wait_for_rows(1, "system_id = %s", "bar")
    with herald.visit("/?q=system:bar&last=1h", java_script_enabled=False) as anna:
        anna.page.get_by_text("In numbers").click()
        anna.page.locator(".numbers a").first.click()
        anna.page.wait_for_url("**since=*")

        assert anna.messages == ["barred"]


def test_values_narrow_by_a_click_leave_out_by_one_with_alt_and_are_taken_back(herald: Herald):
    herald.send("calm", system="values")
    herald.send("bad", system="values", level=logging.ERROR)
    herald.site.wait_for_rows(2, "system_id = %s", "values")
    with herald.visit("/?q=system:values") as anna:
        level = anna.page.locator("#choices [data-field=level]")
        level.get_by_role("link", name="ERROR", exact=True).click()
        anna.page.wait_for_url("**ERROR*")
        assert anna.messages == ["bad"]
        assert asked(anna)["q"] == 'system:values level:"ERROR"'

        level.get_by_role("link", name="ERROR", exact=True).click()
        anna.page.wait_for_url("**/?q=system%3Avalues")
        level.get_by_role("link", name="ERROR", exact=True).click(modifiers=["Alt"])
        anna.page.wait_for_url("**ERROR*")
        assert anna.messages == ["calm"]


def test_on_a_phone_the_values_stand_folded_above_the_rows(herald: Herald):
    herald.send("small", system="phone")
    herald.site.wait_for_rows(1, "system_id = %s", "phone")
    with herald.visit("/?q=system:phone", viewport={"width": 320, "height": 700}) as anna:
        expect(anna.page.locator("#choices h2").first).to_be_hidden()
        anna.page.get_by_text("Narrow by value").click()

        expect(anna.page.locator("#choices h2").first).to_be_visible()
        assert anna.page.evaluate("document.documentElement.scrollWidth") <= 320
