"""What somebody at a real browser sees of two bridges, one of which hands its rows on to the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser import CHROMIUM, Visitor
from tests.end_to_end.conftest import Site, free_port
from tests.end_to_end.herald import Herald
from tests.end_to_end.tunnel import Tunnel

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not there: apt-get install chromium"),
]

ONWARD = "[data-destination=head-office]"
INCOMING = "[data-hop=branch]"


@contextmanager
def looking(herald: Herald, card: str, word: str, **options: object) -> Iterator[Visitor]:
    """Open the page Bridges, and wait, without touching anything, until a card bears a word."""
    with herald.visit("/status", **options) as anna:
        expect(anna.page.locator(f"{card} .state")).to_have_text(word)
        yield anna


def test_the_page_tells_a_tunnel_that_is_down_from_a_bridge_that_is_down(sites: Callable[[str], Site], tmp_path: Path):
    branch, office = Herald(sites("branch")), Herald(sites("office"))
    port = free_port()
    done = branch.site.manage("destinations", "add", "head-office", f"127.0.0.1:{port}", "--from-start")
    assert done.returncode == 0, done.stderr

    with Tunnel(office.site.bridge_port, port):
        branch.send("hello over there", system="shop")
        with looking(branch, ONWARD, "connected") as anna:
            expect(anna.page.locator(ONWARD)).to_contain_text("office, level 50")
            anna.page.screenshot(path=tmp_path / "connected.png", full_page=True)
        with looking(office, INCOMING, "up") as anna:
            expect(anna.page.locator(INCOMING)).to_contain_text("on the way")
            anna.page.screenshot(path=tmp_path / "incoming.png", full_page=True)
        look_at_a_row(office, tmp_path)
        look_at_what_left(branch, tmp_path)

    with looking(branch, ONWARD, "tunnel down") as anna:
        expect(anna.page.locator(".gist")).to_contain_text("1 destination 1 in trouble")
        expect(anna.page.locator(ONWARD)).to_contain_text("Nothing accepts connections at")
        anna.page.screenshot(path=tmp_path / "tunnel_down.png", full_page=True)
    with looking(office, INCOMING, "gone", color_scheme="dark") as anna:
        anna.page.screenshot(path=tmp_path / "gone_dark.png", full_page=True)

    with ExitStack() as open_again:
        office.bridge.stop()
        open_again.enter_context(Tunnel(office.site.bridge_port, port))
        with looking(branch, ONWARD, "bridge down", color_scheme="dark") as anna:
            expect(anna.page.locator(ONWARD)).to_contain_text("no herald answers")
            anna.page.screenshot(path=tmp_path / "bridge_down_dark.png", full_page=True)

        office.bridge = office.site.start_bridge()
        with looking(branch, ONWARD, "connected", viewport={"width": 320, "height": 640}) as anna:
            assert anna.page.evaluate("document.documentElement.scrollWidth") <= 320
            anna.page.screenshot(path=tmp_path / "phone.png", full_page=True)
        with looking(office, INCOMING, "up"):
            pass

        branch.bridge.stop()
        with looking(branch, ONWARD, "no bridge forwards", java_script_enabled=False):
            pass
        with looking(office, INCOMING, "stopped"):
            pass


def look_at_a_row(office: Herald, tmp_path: Path) -> None:
    """The way of a row is told where it is opened, and on the page of the row without a script."""
    office.site.wait_for_rows(1, "system_id = %s", "shop")
    with office.visit("/?system_id=shop") as anna:
        anna.page.locator("#rows summary").click()
        expect(anna.page.locator(".path .step")).to_have_count(2)
        expect(anna.page.locator(".path .step").first).to_contain_text("branch")
        expect(anna.page.locator(".path .step").first).to_contain_text("lay there")
        expect(anna.page.locator(".path .step").last).to_contain_text("on the way")
        anna.page.screenshot(path=tmp_path / "row.png", full_page=True)
    with office.visit("/?system_id=shop", java_script_enabled=False, viewport={"width": 320, "height": 640}) as anna:
        anna.page.locator("#rows summary").click()
        anna.page.get_by_role("link", name="Everything of this record").click()
        expect(anna.page.locator(".path .step")).to_have_count(2)
        assert anna.page.evaluate("document.documentElement.scrollWidth") <= 320
        anna.page.screenshot(path=tmp_path / "row_phone.png", full_page=True)


def look_at_what_left(branch: Herald, tmp_path: Path) -> None:
    """From the page Bridges it is two steps to the hours of a day."""
    with branch.visit("/status") as anna:
        anna.page.get_by_role("link", name="What left this site").click()
        anna.page.locator("section[aria-labelledby=days] tbody a").first.click()
        expect(anna.page.locator("section[aria-labelledby=hours] tbody tr").first).to_contain_text("head-office")
        anna.page.screenshot(path=tmp_path / "departures.png", full_page=True)
    sizes = {"width": 320, "height": 640}
    with branch.visit("/departures", viewport=sizes, color_scheme="dark", java_script_enabled=False) as anna:
        assert anna.page.evaluate("document.documentElement.scrollWidth") <= 320
        anna.page.screenshot(path=tmp_path / "departures_phone.png", full_page=True)


def test_two_sites_are_joined_in_their_administrations(sites: Callable[[str], Site], tmp_path: Path):
    """The credential is made where rows arrive, and its secret is carried over by hand, once."""
    branch, office = Herald(sites("branch")), Herald(sites("office"), HERALD_BRIDGE_CREDENTIALS="required")
    with office.visit("/admin/bridge/credential/add/") as anna:
        anna.page.fill("[name=name]", "from-branch")
        anna.page.check("[name=may_relay]")
        anna.page.screenshot(path=tmp_path / "credential.png", full_page=True)
        anna.page.click("[name=_save]")
        secret = anna.page.locator(".messagelist code").text_content() or ""
        assert len(secret) > 30
        anna.page.screenshot(path=tmp_path / "secret.png", full_page=True)
        anna.open("/admin/bridge/credential/")
        assert secret not in anna.page.content()

    with branch.visit("/admin/bridge/destination/add/") as anna:
        anna.page.fill("[name=name]", "head-office")
        anna.page.fill("[name=host]", "127.0.0.1")
        anna.page.fill("[name=port]", str(office.site.bridge_port))
        anna.page.fill("[name=login]", "from-branch")
        anna.page.fill("[name=secret]", "wrong")
        anna.page.screenshot(path=tmp_path / "destination.png", full_page=True)
        anna.page.click("[name=_save]")
    with looking(branch, ONWARD, "refused") as anna:
        expect(anna.page.locator(ONWARD)).to_contain_text("these credentials are not accepted here")

    with branch.visit("/admin/bridge/destination/", color_scheme="dark") as anna:
        anna.page.get_by_role("link", name="head-office").click()
        expect(anna.page.locator("[name=secret]")).to_have_value("")
        anna.page.screenshot(path=tmp_path / "destination_dark.png", full_page=True)
        anna.page.fill("[name=secret]", secret)
        anna.page.click("[name=_save]")
    with looking(branch, ONWARD, "connected"):
        pass
    with branch.visit("/admin/bridge/destination/") as anna:
        anna.page.check("[name=_selected_action]")
        anna.page.select_option("[name=action]", "pause")
        anna.page.click("[name=index]")
        expect(anna.page.locator(".messagelist")).to_contain_text("Paused: head-office. Rows for it wait.")
        anna.page.screenshot(path=tmp_path / "destinations.png", full_page=True)
    with looking(branch, ONWARD, "paused"):
        pass

    with office.visit("/admin/bridge/credential/") as anna:
        anna.page.check("[name=_selected_action]")
        anna.page.select_option("[name=action]", "renew")
        anna.page.click("[name=index]")
        anna.page.screenshot(path=tmp_path / "renew.png", full_page=True)
        anna.page.click("#content [type=submit]")
        assert (anna.page.locator(".messagelist code").text_content() or "") not in ("", secret)
