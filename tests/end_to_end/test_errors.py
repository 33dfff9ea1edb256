"""The reader of patterns as a process that dies at any moment, and the Errors page in a real browser."""

from __future__ import annotations

import json
import logging
import logging.handlers
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from playwright.sync_api import expect

from tests.browser import CHROMIUM, Visitor, visitor
from tests.corpus import entries
from tests.end_to_end.conftest import PATIENCE, Running, Site

pytestmark = pytest.mark.timeout(300)

NAME, PASSWORD = "admin", "correct horse battery"
MAKE_ACCOUNT = f"""
from django.contrib.auth import get_user_model
get_user_model().objects.create_superuser({NAME!r}, password={PASSWORD!r})
"""
SAMPLE = """\
Traceback (most recent call last):
  File "/srv/shop/billing/charge.py", line 57, in charge_card
    answer = client.post("https://cards.example.com/v1/charges", json={"amount": 1200, "currency": "EUR", "card": card})
  File "/srv/shop/.venv/lib/python3.11/site-packages/httpx/_client.py", line 1144, in post
    return self.request("POST", url, content=content, data=data, files=files, json=json, params=params, headers=headers)
ConnectionRefusedError: [Errno 111] Connection refused"""


def send(site: Site, number: int, begin: int = 0) -> None:
    handler = logging.handlers.SocketHandler("127.0.0.1", site.bridge_port)
    for n in range(begin, begin + number):
        level = (logging.INFO, logging.WARNING, logging.ERROR)[n % 3]
        record = logging.makeLogRecord(
            {"msg": f"{('payment', 'order', 'card', 'refund')[n % 4]} {n} failed", "levelno": level, "name": "shop"}
        )
        record.levelname = logging.getLevelName(level)
        record.SYSTEM_ID = ("shop", "billing")[n % 2]
        record.package_version = f"1.{n % 5}"
        handler.emit(record)
    handler.close()


def send_all(site: Site) -> None:
    for begin in range(0, 6_000, 250):
        send(site, 250, begin)


def start_readers(site: Site) -> Running:
    process = site.start("run_readers")
    process.wait_for("following the log")
    return process


def wait_for_count(site: Site, number: int) -> int:
    """Return how many rows were counted once it is `number`, or when no more come."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = int(
            site.sql("SELECT coalesce(sum(count), 0) FROM logs_pattern WHERE system_id NOT LIKE 'herald%%'")[0][0]
        )
        if found >= number or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def test_a_reader_killed_again_and_again_counts_each_row_once(site: Site):
    site.start_bridge()
    sending = threading.Thread(target=send_all, args=[site])
    sending.start()
    random = Random(7)
    for _ in range(4):
        process = start_readers(site)
        time.sleep(random.uniform(0.05, 0.6))
        process.stop(signal.SIGKILL)
    sending.join()
    site.wait_for_rows(6_000, "system_id IN ('shop', 'billing')")
    last = start_readers(site)

    assert wait_for_count(site, 4_000) == 4_000
    for count, versions, hours in site.sql(
        "SELECT count, versions, hours FROM logs_pattern WHERE system_id IN ('shop', 'billing')"
    ):
        counted = versions if isinstance(versions, list) else json.loads(versions)
        hourly = hours if isinstance(hours, list) else json.loads(hours)
        assert sum(each["count"] for each in counted) == count
        assert sum(each for _, each in hourly) == count
    assert last.stop() == 0


def test_a_second_reader_of_the_same_installation_does_not_start(site: Site):
    first = start_readers(site)
    second = site.start("run_readers")

    assert second.wait(PATIENCE) == 1
    assert "is running already" in second.output
    assert site.start("run_readers", "--if-not-running").wait(PATIENCE) == 0
    assert first.stop() == 0


def test_several_readers_of_one_database_count_each_row_once_and_one_takes_over(site: Site, tmp_path: Path):
    if not site.database_url.startswith("postgres"):
        pytest.skip("SQLite is one installation's")
    first = start_readers(site)
    second = site.start("run_readers", HERALD_DATA_DIR=str(tmp_path / "second"))
    second.wait_for("following the log")
    site.start_bridge()
    send(site, 600)
    assert wait_for_count(site, 400) == 400
    first.stop(signal.SIGKILL)
    send(site, 600)

    assert wait_for_count(site, 800) == 800
    assert second.stop() == 0


def test_without_tables_it_says_what_to_do(site: Site, tmp_path: Path):
    done = site.manage("run_readers", HERALD_DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite3")

    assert done.returncode == 1
    assert "run `manage.py migrate` first" in done.stderr


# --- In a browser ---------------------------------------------------------------------------------------------------

needs_browser = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not there: apt-get install chromium")


class Herald:
    """A running herald with a reader."""

    def __init__(self, site: Site) -> None:
        self.site = site
        done = site.manage("shell", "-v0", "-c", MAKE_ACCOUNT)
        assert done.returncode == 0, done.stderr
        site.start_web()
        site.start_bridge()
        self.reader = start_readers(site)

    def send(
        self, message: str, *, version: str = "1.4", system: str = "shop", trace: str = "", level: int = 40
    ) -> None:
        handler = logging.handlers.SocketHandler("127.0.0.1", self.site.bridge_port)
        record = logging.makeLogRecord({"msg": message, "levelno": level, "levelname": "ERROR", "name": "shop.cart"})
        record.SYSTEM_ID, record.package_version = system, version
        record.exc_text = trace or None
        handler.emit(record)
        handler.close()

    def wait_for(self, number: int, system: str) -> None:
        """Wait until so many rows of a system were counted."""
        deadline = time.monotonic() + PATIENCE
        query = "SELECT coalesce(sum(count), 0) FROM logs_pattern WHERE system_id = %s"
        while int(self.site.sql(query, system)[0][0]) < number:
            assert time.monotonic() < deadline, self.reader.output
            time.sleep(0.05)

    @contextmanager
    def visit(self, path: str, **options: object) -> Iterator[Visitor]:
        with visitor(self.site.web, **options) as found:
            found.log_in(NAME, PASSWORD, path)
            yield found
            assert found.complaints == []


@pytest.fixture(scope="module")
def herald(shared_site: Site) -> Herald:
    return Herald(shared_site)


@pytest.mark.browser
@needs_browser
@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_an_error_is_seen_resolved_and_comes_back(herald: Herald, scripts: bool):
    system = f"life-{scripts}"
    herald.send("payment 7 failed", system=system, trace=SAMPLE)
    herald.wait_for(1, system)
    with herald.visit(f"/errors?system={system}", java_script_enabled=scripts) as anna:
        anna.page.get_by_role("link", name="payment <num> failed").click()
        expect(anna.page.locator(".traceback .own").first).to_contain_text("charge.py")
        anna.page.get_by_label("Mended in version").fill("1.5")
        anna.page.get_by_role("button", name="Resolve").click()
        expect(anna.page.locator(".decide")).to_contain_text("resolved by admin in version 1.5")

        herald.send("payment 8 failed", system=system, trace=SAMPLE, version="1.4")
        herald.wait_for(2, system)
        anna.open(f"/errors?system={system}")
        expect(anna.page.locator(".empty")).to_contain_text("No errors fit")
        herald.send("payment 9 failed", system=system, trace=SAMPLE, version="1.5")
        herald.wait_for(3, system)
        anna.open(f"/errors?system={system}")
        expect(anna.page.locator(".pattern")).to_contain_text("regressed")
        anna.page.get_by_role("link", name="payment <num> failed").click()
        anna.page.get_by_role("link", name="Search for its records").click()
        expect(anna.page.locator("#rows .row")).to_have_count(3)


@pytest.mark.browser
@needs_browser
def test_errors_can_be_settled_from_the_keyboard(herald: Herald):
    herald.send("keyboard 7 failed", system="keys")
    herald.wait_for(1, "keys")
    with herald.visit("/errors?system=keys") as anna:
        keys = anna.page.keyboard
        anna.page.locator(".tabs a").last.focus()
        keys.press("Tab")
        expect(anna.page.locator("a.template")).to_be_focused()
        keys.press("Enter")
        anna.page.get_by_label("Mended in version").focus()
        keys.press("Tab")
        keys.press("Tab")
        keys.press("Enter")
        expect(anna.page.locator(".decide")).to_contain_text("ignored by admin")


@pytest.mark.browser
@needs_browser
def test_hostile_records_do_nothing_on_the_errors_page(herald: Herald):
    frames = [entry.frame for entry in entries() if entry.name.startswith("msg_") and entry.category == "message"]
    before = herald.site.count()
    with herald.site.connect() as connection:
        for frame in frames:
            connection.sendall(frame)
        herald.site.wait_for_rows(before + len(frames))
    for message in ("<script>alert(1)</script>", "<img src=x onerror=alert(2)>", "\u202eevil\x1b[31m {{ 7 }}"):
        herald.send(message, system="<b>evil</b>", version="<i>1</i>", trace=f'{SAMPLE}\n<svg onload="alert(3)">')
    herald.wait_for(3, "<b>evil</b>")
    with herald.visit("/errors?state=all") as anna:
        addresses = [link.get_attribute("href") for link in anna.page.locator("a.template").all()]
        assert addresses
        for address in addresses:
            anna.open(address or "")
            assert anna.page.locator("main script, main img, main iframe, main b, main i").count() == 0


@pytest.mark.browser
@needs_browser
def test_pictures_of_the_errors_page(herald: Herald, tmp_path: Path):
    """Light, dark and phone, none of them wider than the window."""
    done = herald.site.manage("demo", "--rate", "80", "--seconds", "6")
    assert done.returncode == 0, done.stderr
    for n in range(30):
        herald.send(
            f"payment {n} of customer {n * 7} failed after {n % 4} retries", trace=SAMPLE, version=f"1.{n // 8}"
        )
    herald.send("w" * 400 + " 7", system="s" * 150, version="v" * 150, trace="File " + "x" * 900)
    herald.wait_for(30, "shop")
    pictures = {}
    for name, width, scheme in (
        ("light", 1280, "light"),
        ("dark", 1280, "dark"),
        ("phone", 320, "dark"),
        ("tablet", 768, "light"),
    ):
        with herald.visit("/errors", viewport={"width": width, "height": 800}, color_scheme=scheme) as anna:
            pictures[f"{name} list"] = anna.page.screenshot(path=tmp_path / f"{name}-list.png")
            assert anna.page.evaluate("document.documentElement.scrollWidth") <= width
            anna.page.get_by_role("link", name="payment <num> of customer").first.click()
            pictures[f"{name} one"] = anna.page.screenshot(path=tmp_path / f"{name}-one.png", full_page=True)
            assert anna.page.evaluate("document.documentElement.scrollWidth") <= width
            anna.open(f"/errors?system={'s' * 150}")
            anna.page.locator("a.template").first.click()
            assert anna.page.evaluate("document.documentElement.scrollWidth") <= width

    assert len(set(pictures.values())) == len(pictures)
    assert all(len(picture) > 10_000 for picture in pictures.values())
