"""What the log page offers around its rows, used at a real browser: volume, values, details, neighbours, completion."""

from __future__ import annotations

import logging
import logging.handlers
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


TRACE = """Traceback (most recent call last):
  File "/srv/shop/pay.py", line 3, in pay
    charge()
  File "/usr/lib/python3/dist-packages/gateway.py", line 9, in charge
    raise Refused()
Refused: no"""


def send_rich(herald: Herald, system: str) -> None:
    record = logging.makeLogRecord({"msg": "payment failed", "levelno": 40, "levelname": "ERROR", "name": "pay"})
    vars(record).update(SYSTEM_ID=system, exc_text=TRACE, order={"id": 42, "note": "<b>"})
    handler = logging.handlers.SocketHandler("127.0.0.1", herald.site.bridge_port)
    handler.emit(record)
    handler.close()
    herald.site.wait_for_rows(1, "system_id = %s AND exc_text <> ''", system)


def test_an_opened_row_offers_its_values_its_tree_and_its_frames(herald: Herald):
    send_rich(herald, "rich")
    herald.send("calm", system="rich")
    herald.site.wait_for_rows(2, "system_id = %s", "rich")
    with herald.visit("/?q=system:rich", permissions=["clipboard-read", "clipboard-write"]) as anna:
        row = anna.page.locator("#rows .row").last
        row.locator("summary").first.click()
        trace = row.locator(".traceback")
        expect(trace.locator("summary")).to_contain_text("Refused: no (6 lines)")
        expect(trace.locator(".own")).to_be_hidden()
        trace.locator("summary").click()
        expect(trace.locator(".own")).to_contain_text("/srv/shop/pay.py")
        expect(trace.locator(".library")).to_contain_text("gateway.py")

        entry = row.locator(".entry", has_text="note").last
        expect(entry).to_contain_text("<b>")
        row.locator("[data-name=levelname] .copy").click()
        expect(row.locator("[data-name=levelname] .copy")).to_have_text("copied")
        assert anna.page.evaluate("navigator.clipboard.readText()") == "ERROR (40)"

        row.locator(".entry", has_text="42").last.get_by_role("link", name="filter for").click()
        anna.page.wait_for_url("**extra.order.id*")
        assert anna.messages == ["payment failed"]
        assert asked(anna)["q"] == 'system:rich extra.order.id:"42"'
        anna.page.locator("#rows summary").first.click()
        anna.page.locator("[data-name=levelname]").get_by_role("link", name="filter out").click()
        anna.page.wait_for_url("**-level*")
        assert anna.messages == []


def test_a_row_leads_to_what_stands_around_it_from_the_keyboard(herald: Herald):
    herald.send("before", "the one", "after", system="around")
    herald.site.wait_for_rows(3, "system_id = %s", "around")
    with herald.visit('/?q=system:around "the one"') as anna:
        anna.wait_for_live()
        anna.page.keyboard.press("j")
        anna.page.keyboard.press("o")
        anna.page.wait_for_url("**/log/*")

        assert anna.messages == ["after", "the one", "before"]
        expect(anna.page.locator("#rows [aria-current]")).to_contain_text("the one")
        anna.page.get_by_role("link", name="All systems by time").click()
        anna.page.wait_for_url("**by=time*")
        expect(anna.page.locator("#rows [aria-current]")).to_contain_text("the one")
        anna.page.locator("#rows .here summary").click()
        expect(anna.page.locator("#rows .here .fields")).to_be_visible()


def test_the_rows_of_a_query_are_downloaded_while_they_are_made(herald: Herald):
    herald.send("=1+1", "kept", system="export")
    herald.send("not this", system="other")
    herald.site.wait_for_rows(2, "system_id = %s", "export")
    with herald.visit("/?q=system:export") as anna:
        anna.page.get_by_text("Export", exact=True).click()
        with anna.page.expect_download() as download:
            anna.page.get_by_role("link", name="CSV").click()
        content, name = download.value.path().read_text(), download.value.suggested_filename

    assert name.endswith(".csv")
    assert ",'=1+1," in content
    assert "not this" not in content
    assert "StreamingHttpResponse" not in herald.web.output


def test_the_query_box_completes_fields_and_values_from_the_keyboard(herald: Herald):
    herald.send("complete me", system="needs a quote")
    herald.site.wait_for_rows(1, "system_id = %s", "needs a quote")
    with herald.visit("/") as anna:
        keys = anna.page.keyboard
        keys.press("/")
        keys.type("-absent sys")
        offers = anna.page.locator("#offers li")
        expect(offers.first).to_contain_text("system:")
        box = anna.page.get_by_role("combobox", name="Query")
        expect(box).to_have_attribute("aria-expanded", "true")
        keys.press("ArrowDown")
        expect(box).to_have_attribute("aria-activedescendant", "offer-0")
        keys.press("Enter")
        keys.type("NEEDS")
        expect(offers).to_have_text(["needs a quote"])
        keys.press("ArrowDown")
        keys.press("Tab")
        assert box.input_value() == '-absent system:"needs a quote" '
        expect(offers).to_have_count(0)
        keys.press("Enter")
        anna.page.wait_for_url("**needs**")
        assert anna.messages == ["complete me"]


def test_what_was_asked_before_is_offered_again(herald: Herald):
    with herald.visit("/?q=asked-before") as anna:
        anna.open("/")
        box = anna.page.locator("#query")
        box.press("ArrowDown")
        expect(anna.page.locator("#offers li")).to_contain_text(["asked-before"])
        box.press("Escape")
        expect(anna.page.locator("#offers li")).to_have_count(0)
        box.press("ArrowDown")
        anna.page.locator("#offers li", has_text="asked-before").click()
        assert box.input_value() == "asked-before"


def test_a_search_is_saved_used_and_deleted(herald: Herald):
    herald.send("saved one", system="saved")
    herald.site.wait_for_rows(1, "system_id = %s", "saved")
    with herald.visit("/?q=system:saved&last=1h") as anna:
        anna.page.get_by_text("Saved", exact=True).click()
        anna.page.fill(".save [name=name]", "My search")
        anna.page.get_by_role("button", name="Save", exact=True).click()
        expect(anna.page.locator(".notices")).to_contain_text("Saved as “My search”.")

        anna.open("/")
        anna.page.get_by_text("Saved", exact=True).click()
        anna.page.get_by_role("link", name="My search").click()
        anna.page.wait_for_url("**system%3Asaved**")
        assert asked(anna) == {"q": "system:saved", "last": "1h"}
        assert anna.messages == ["saved one"]
        anna.page.get_by_text("Saved", exact=True).click()
        anna.page.get_by_role("button", name="Delete My search").click()
        expect(anna.page.locator(".notices")).to_contain_text("“My search” is deleted.")


def test_columns_wrapping_and_space_are_chosen_and_remembered(herald: Herald):
    herald.send("long " * 100, system="view")
    herald.site.wait_for_rows(1, "system_id = %s", "view")
    with herald.visit("/?q=system:view", viewport={"width": 1280, "height": 700}) as anna:
        row = anna.page.locator("#rows .row")
        low = row.bounding_box()
        anna.page.get_by_text("View", exact=True).click()
        anna.page.get_by_role("checkbox", name="Product, user").uncheck()
        anna.page.get_by_role("checkbox", name="Level").uncheck()
        anna.page.get_by_label("Wrap messages").check()
        anna.open("/?q=system:view")

        expect(row.locator(".level")).to_be_hidden()
        expect(row.locator(".users")).to_be_hidden()
        expect(row.locator(".message")).to_be_visible()
        high = row.bounding_box()
        assert low is not None
        assert high is not None
        assert high["height"] > 2 * low["height"]
        assert anna.page.evaluate("document.documentElement.scrollWidth") <= 1280
        text = row.locator(".text").bounding_box()
        assert text is not None
        assert text["width"] > 500
