"""How long a stored row takes to a hundred browsers at 1,000 rows a second, and whether each gets every one."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.cookiejar import CookieJar
from statistics import quantiles
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

import orjson
from django.conf import settings
from websockets.asyncio.client import ClientConnection, connect

from logs.record import Record
from logs.store import append
from tests.benchmarks import Result
from tests.benchmarks._installation import installation, use
from tests.end_to_end.conftest import Site

BROWSERS = 100
ROWS_PER_SECOND = 1_000
BATCHES_PER_SECOND = 20
WARM_UP_SECONDS = 3
SECONDS = 15
ROWS = ROWS_PER_SECOND * (WARM_UP_SECONDS + SECONDS)
NAME, PASSWORD = "bench", "a password for the bench"
MAKE_ACCOUNT = (
    f"from django.contrib.auth import get_user_model as m; m().objects.create_user({NAME!r}, password={PASSWORD!r})"
)


def measure() -> Iterator[Result]:
    with installation() as site:
        site.manage("shell", "-v0", "-c", MAKE_ACCOUNT)
        site.start_web()
        use(site)
        browsers = asyncio.run(watch(site, cookies(site)))
    warm = ROWS_PER_SECOND * WARM_UP_SECONDS
    delays = [delay for browser in browsers for delay in browser.delays[warm:]]
    lost = sum(browser.seen.count(0) for browser in browsers)
    doubled = sum(len(browser.delays) - (ROWS - browser.seen.count(0)) for browser in browsers)
    cuts = quantiles(delays, n=100)
    interval = settings.LIVE_INTERVAL.total_seconds()
    yield Result("live.rows_delivered_per_second", len(delays) / SECONDS, "rows/s")
    yield Result("live.median_seconds", cuts[49], "s")
    yield Result("live.p99_seconds", cuts[98], "s")
    yield Result("live.p99_over_interval", cuts[98] / interval, "ratio", goal=2.0, at_most=True)
    yield Result("live.lost_rows", lost, "rows", goal=0, at_most=True)
    yield Result("live.doubled_rows", doubled, "rows", goal=0, at_most=True)


NUMBER = re.compile(rb'"number":(\d+)')
ROW = re.compile(rb'"message":"(\d+) ([\d.]+)"')


class Browser:
    """Takes rows as the page does, acknowledges them, and notes how old each was when it came.

    A hundred of them share one process here, where each has one of its own in life: they read only what is counted.
    """

    def __init__(self, rows: int) -> None:
        self.seen = bytearray(rows)
        self.delays: list[float] = []
        self.skipped = 0

    async def run(self, socket: ClientConnection, ready: asyncio.Barrier) -> None:
        await socket.send('{"type":"follow","filter":"","position":""}')
        async for text in socket:
            await self.take(bytes(text, "utf-8") if isinstance(text, str) else text, socket, ready)

    async def take(self, text: bytes, socket: ClientConnection, ready: asyncio.Barrier) -> None:
        now = time.monotonic()
        if text.startswith(b'{"type":"rows"'):
            for number, begun in ROW.findall(text):
                self.seen[int(number)] += 1
                self.delays.append(now - float(begun))
        elif text.startswith(b'{"type":"following"'):
            await ready.wait()
        elif text.startswith(b'{"type":"skipped"'):
            self.skipped += orjson.loads(text)["count"] or 1
        if number := NUMBER.search(text, 0, 60):
            await socket.send(f'{{"type":"ack","number":{int(number[1])}}}')


async def watch(site: Site, cookie: str) -> list[Browser]:
    """Connect all browsers, store rows at the rate, wait until the last ones must have come; return them."""
    browsers = [Browser(ROWS) for _ in range(BROWSERS)]
    ready = asyncio.Barrier(BROWSERS + 1)
    headers = {"Cookie": cookie, "Origin": site.web}
    address = f"ws://127.0.0.1:{site.web_port}/ws/logs"
    sockets = [
        await connect(address, additional_headers=headers, compression=None, open_timeout=60, max_size=None)
        for _ in browsers
    ]
    running = [
        asyncio.create_task(browser.run(socket, ready)) for browser, socket in zip(browsers, sockets, strict=True)
    ]
    await ready.wait()
    await asyncio.to_thread(store)
    await asyncio.sleep(5)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await asyncio.gather(*(socket.close() for socket in sockets), return_exceptions=True)
    return browsers


def store() -> None:
    """Store rows at the rate, each with its number and the moment before its batch was stored."""
    size = ROWS_PER_SECOND // BATCHES_PER_SECOND
    begun = time.monotonic()
    for batch in range(ROWS // size):
        time.sleep(max(0.0, begun + batch / BATCHES_PER_SECOND - time.monotonic()))
        now, at = datetime.now(UTC), time.monotonic()
        append(
            [
                Record(now, now, system_id=f"svc-{number % 4}", sub_system_id="web-1", produkt_id="shop", levelno=20,
                       levelname="INFO", funcname="charge", lineno=88, message=f"{number} {at}")
                for number in range(batch * size, (batch + 1) * size)
            ]
        )  # fmt: skip


def cookies(site: Site) -> str:
    """Log in as a browser does; return the cookies."""
    jar = CookieJar()
    opener: OpenerDirector = build_opener(HTTPCookieProcessor(jar))
    with opener.open(f"{site.web}/login", timeout=30) as page:
        token = re.search(rb'name="csrfmiddlewaretoken" value="(\w+)"', page.read())
    if token is None:
        raise RuntimeError("the login page has no form")
    form = {"username": NAME, "password": PASSWORD, "csrfmiddlewaretoken": token[1].decode()}
    opener.open(f"{site.web}/login", urlencode(form).encode(), timeout=30).close()
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in jar)
