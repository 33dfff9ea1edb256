"""Records of a small firm's systems, made up, for whoever wants to see herald at work.

A shop with orders, billing, a warehouse, mail and sensors: several hosts, all levels, a deploy half-way that breaks
something for a while, tracebacks, child loggers, many scripts, and values such as programs put into `extra`. The records
are those of `logging`, and travel as any program's do: through the standard library's SocketHandler.
"""

from __future__ import annotations

import logging
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from logging.handlers import SocketHandler
from random import Random
from types import TracebackType
from typing import Any

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
# How long, as a share of the whole, the new version misbehaves after the deploy at one half.
TROUBLE = (0.5, 0.62)
BROKEN_IN = "3.5.0"


@dataclass(frozen=True, slots=True)
class System:
    """One application as herald sees it, and how often it speaks."""

    name: str
    hosts: tuple[str, ...]
    version: str
    product: str
    weight: int


SHOP_WEB = System("shop.web", ("web-1", "web-2", "web-3"), "7.2.0", "shop", 40)
ORDERS = System("shop.orders", ("app-1", "app-2"), "3.4.1", "shop", 22)
BILLING = System("billing", ("app-3",), "2.19.4", "billing", 12)
WAREHOUSE = System("warehouse.sync", ("lager-münchen", "lager-wrocław"), "1.0.7", "warehouse", 10)
MAIL = System("mail.gateway", ("mx-1",), "undef", "platform", 8)
SENSORS = System("edge.sensors", tuple(f"sensor-{n:02}" for n in range(1, 13)), "0.9", "cold chain", 8)
SYSTEMS = (SHOP_WEB, ORDERS, BILLING, WAREHOUSE, MAIL, SENSORS)

PEOPLE = (
    "Jürgen Groß",
    "Zoë Ångström",
    "李小龍",
    "Ольга Смирнова",
    "محمد علي",
    "Ana María Peña",
    "山田太郎",
    "O'Brien, Siobhán",
)
PATHS = ("/", "/cart", "/checkout", "/api/items", "/search?q=käse", "/login", "/static/app.js")


@dataclass(frozen=True, slots=True)
class Event:
    """What one record says; the system and the host come from elsewhere."""

    level: int
    message: str
    function: str
    line: int
    logger: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    exc_info: ExcInfo | None = None


class Story:
    """Tells the same records for the same seed; only their times are those of the telling."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 (a story, no secret)
        self._orders = count(48_210)

    def record(self, progress: float) -> logging.LogRecord:
        """Return the next record; `progress`, from 0 to 1, is how far the story has got."""
        system = self._random.choices(SYSTEMS, [system.weight for system in SYSTEMS])[0]
        version = BROKEN_IN if system is ORDERS and progress >= TROUBLE[0] else system.version
        broken = version == BROKEN_IN and TROUBLE[0] <= progress < TROUBLE[1]
        event = self._trouble() if broken and self._random.random() < 0.6 else TELLERS[system.name](self)
        return self._as_record(event, system, version)

    def deploy(self) -> logging.LogRecord:
        """Return the record of the new version's start."""
        event = Event(logging.INFO, f"deployed {BROKEN_IN} (was {ORDERS.version}), 14 migrations applied", "main", 31)
        return self._as_record(event, ORDERS, BROKEN_IN)

    def _as_record(self, event: Event, system: System, version: str) -> logging.LogRecord:
        module = system.name.rpartition(".")[2]
        record = logging.LogRecord(
            event.logger or system.name,
            event.level,
            f"/srv/{system.name}/{module}.py",
            event.line,
            event.message,
            (),
            event.exc_info,
            event.function,
        )
        record.__dict__.update(self._ids(event, system, version), **event.extra)
        return record

    def _ids(self, event: Event, system: System, version: str) -> dict[str, str]:
        host = self._random.choice(system.hosts)
        if event.logger:
            # A library's logger knows nothing of the application's ids, and its records arrive without them.
            return {}
        return {
            "SYSTEM_ID": system.name,
            "SUB_SYSTEM_ID": host,
            "SUB_SUB_SYSTEM_ID": f"worker-{self._random.randint(1, 4)}",
            "PRODUKT_ID": system.product,
            "USER_SPEC_1": self._random.choice(("eu", "us", "None")),
            "USER_SPEC_2": "None",
            "package_version": version,
        }

    def web(self) -> Event:
        path, took = self._random.choice(PATHS), self._random.lognormvariate(3.4, 0.8)
        status = self._random.choices((200, 302, 404, 500), (90, 6, 3, 1))[0]
        level = logging.ERROR if status >= 500 else logging.WARNING if status == 404 else logging.INFO
        told = f"GET {path} {status} in {took:.0f} ms"
        return Event(level, told, "access", 88, extra={"status": status, "took_ms": round(took, 1)})

    def orders(self) -> Event:
        number, person = next(self._orders), self._random.choice(PEOPLE)
        total = Decimal(self._random.randint(500, 90_000)) / 100
        choice = self._random.random()
        if choice < 0.3:
            return Event(
                logging.DEBUG, f"stock of K-{number % 997} looked up in 3 ms", "execute", 412, "shop.orders.db"
            )
        extra = {"order": number, "total": total, "placed": datetime.now(UTC), "tags": {"new", "web"}}
        return Event(logging.INFO, f"order {number} of {person} accepted, {total} €", "accept", 140, extra=extra)

    def billing(self) -> Event:
        choice = self._random.random()
        if choice < 0.08:
            return Event(
                logging.ERROR, "card could not be charged", "charge_card", 57, exc_info=caught(charge_card, "4111…1111")
            )
        if choice < 0.2:
            return Event(
                logging.WARNING, "provider answered after 4.2 s; asked again", "call", 203, "urllib3.connectionpool"
            )
        number = uuid.UUID(int=self._random.getrandbits(128), version=4)
        return Event(logging.INFO, f"invoice {number} sent", "send", 96, extra={"invoice": number})

    def warehouse(self) -> Event:
        choice = self._random.random()
        if choice < 0.05:
            return Event(
                logging.CRITICAL,
                "stock file unreadable, sync stopped",
                "run",
                19,
                exc_info=caught(read_stock, b"\xff\xfe42;Gru\xdf"),
            )
        if choice < 0.2:
            return Event(logging.WARNING, "Lücke im Bestand: 3 Артикула ohne Lagerplatz 📦", "compare", 77)
        moved = self._random.randint(1, 400)
        return Event(logging.INFO, f"{moved} items moved", "run", 44, extra={"moved": moved, "raw": b"\x00\x01K-17"})

    def mail(self) -> Event:
        person = self._random.choice(PEOPLE)
        if self._random.random() < 0.1:
            told = f"refused mail of {person}: <script>alert('subject')</script> \x1b[31mred\x1b[0m"
            return Event(logging.WARNING, told, "filter", 12)
        return Event(logging.INFO, f"mail to {person} queued", "queue", 61)

    def sensors(self) -> Event:
        degrees = self._random.gauss(4.0, 1.6)
        level = logging.ERROR if degrees > 8 else logging.WARNING if degrees > 7 else logging.DEBUG
        extra = {"degrees": round(degrees, 2), "battery": self._random.randint(20, 100), "taskName": "Task-3"}
        return Event(level, f"cold store at {degrees:.1f} °C", "measure", 9, extra=extra)

    def _trouble(self) -> Event:
        number = next(self._orders)
        return Event(
            logging.ERROR,
            f"order {number} rejected",
            "accept",
            151,
            extra={"order": number},
            exc_info=caught(discount, 0),
        )


TELLERS: dict[str, Callable[[Story], Event]] = {
    SHOP_WEB.name: Story.web,
    ORDERS.name: Story.orders,
    BILLING.name: Story.billing,
    WAREHOUSE.name: Story.warehouse,
    MAIL.name: Story.mail,
    SENSORS.name: Story.sensors,
}


class CardDeclined(Exception):
    """What the demo's billing raises."""


def charge_card(card: str) -> None:
    answer = {"status": "declined"}
    try:
        answer["authorisation"]
    except KeyError as error:
        raise CardDeclined(f"card {card}: the provider gave no authorisation") from error


def read_stock(line: bytes) -> str:
    return line.decode("utf-8")


def discount(customers: int) -> float:
    return 100 / customers


def caught(function: Callable[[Any], Any], argument: Any) -> ExcInfo | None:
    """Call `function`, and return the exception it raises with its traceback."""
    try:
        function(argument)
    except Exception:
        kind, error, trace = sys.exc_info()
        return (kind, error, trace) if kind and error else None
    return None


@dataclass(slots=True)
class Totals:
    """What became of the records: by level, and how many the connection swallowed."""

    by_level: Counter[str] = field(default_factory=Counter)
    lost: int = 0

    @property
    def sent(self) -> int:
        return self.by_level.total()


class NobodyListens(Exception):
    """There is no record port at that address."""


def connect(host: str, port: int) -> SocketHandler:
    """Return the standard library's handler, connected; raises NobodyListens."""
    handler = SocketHandler(host, port)
    handler.createSocket()
    if handler.sock is None:
        raise NobodyListens(f"nobody listens on {host}:{port}")
    return handler


def send(handler: SocketHandler, records: Iterator[logging.LogRecord]) -> Iterator[Totals]:
    """Send the records one by one, yielding the totals after each; the connection is closed at the end.

    The stock handler tells nobody when it could not send: a record counts as lost when its connection is gone after
    it. What a connection loses on its way unseen, no sender of this protocol can know.
    """
    totals = Totals()
    try:
        for record in records:
            handler.emit(record)
            if handler.sock is None:
                totals.lost += 1
            else:
                totals.by_level[record.levelname] += 1
            yield totals
    finally:
        handler.close()


def told(
    seed: int, rate: float, seconds: float, *, clock: Callable[[], float] = time.monotonic
) -> Iterator[logging.LogRecord]:
    """Yield `rate` times `seconds` records, each when its time has come; with `rate` 0, a thousand a second at once."""
    story, begun = Story(seed), clock()
    total = number_of_records(rate, seconds)
    for number in range(total):
        wait = begun + number / rate - clock() if rate else 0
        if wait > 0:
            time.sleep(wait)
        yield story.deploy() if number == total // 2 else story.record(number / total)


def number_of_records(rate: float, seconds: float) -> int:
    return max(1, round((rate or 1_000) * seconds))
