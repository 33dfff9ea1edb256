"""What left this site: how many rows, to whom and when, from what the forwarders have booked hour by hour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db.models import Max, Min, QuerySet, Sum
from django.db.models.functions import TruncDay

from bridge.models import Departure, Destination
from logs.rows import short

DAYS = 30
LISTED = 200
"""Lines that a table of the page has at most; those with most rows or of the newest hour come first."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Rows that left, how large they were, and of how many something was removed; `share` of the largest, 0 to 100."""

    rows: int = 0
    size: int = 0
    redacted: int = 0
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who got rows: the destination's name, its address, the bridge that answered there."""

    destination: str
    address: str
    far_bridge: str
    far_name: str


NOBODY = Recipient("", "", "", "")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a table: to whom, or when, or both, and how much."""

    amount: Amount
    recipient: Recipient = NOBODY
    start: datetime | None = None
    end: datetime | None = None


_AMOUNT = {"n": Sum("rows"), "size": Sum("bytes"), "red": Sum("redacted")}
_RECIPIENT = ("destination", "address", "far_bridge")


def first_day(now: datetime) -> date:
    """Return the first of the days that are told of, today being the last."""
    return now.astimezone(UTC).date() - timedelta(days=DAYS - 1)


def lately(now: datetime, destination: str = "") -> QuerySet[Departure]:
    """Return what was booked in those days, for one destination where it is named."""
    found = Departure.objects.filter(hour__gte=_start(first_day(now)))
    return found.filter(destination=destination) if destination else found


def total(departures: QuerySet[Departure]) -> Amount:
    return _amount(departures.aggregate(**_AMOUNT))


def by_recipient(departures: QuerySet[Departure]) -> list[Line]:
    """Return what each recipient got, and the hours of the first and the newest row; most rows first."""
    sums = departures.values(*_RECIPIENT).annotate(**_AMOUNT, first=Min("hour"), last=Max("hour"))
    found = list(sums.order_by("-n", *_RECIPIENT)[:LISTED])
    names = _names()
    return [Line(_amount(each), _recipient(each, names), each["first"], each["last"]) for each in found]


def by_day(departures: QuerySet[Departure]) -> list[Line]:
    """Return what left on each day on which something did, the newest first."""
    sums = departures.annotate(day=TruncDay("hour", tzinfo=UTC)).values("day").annotate(**_AMOUNT)
    return _scaled([Line(_amount(each), start=each["day"]) for each in sums.order_by("-day")[:LISTED]])


def by_hour(day: date, destination: str = "") -> list[Line]:
    """Return what left in each hour of `day`, by recipient."""
    start = _start(day)
    found = Departure.objects.filter(hour__gte=start, hour__lt=start + timedelta(days=1))
    if destination:
        found = found.filter(destination=destination)
    sums = found.values("hour", *_RECIPIENT).annotate(**_AMOUNT).order_by("-hour", *_RECIPIENT)
    names = _names()
    return _scaled([Line(_amount(each), _recipient(each, names), each["hour"]) for each in sums[:LISTED]])


def _start(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _amount(sums: Mapping[str, Any]) -> Amount:
    return Amount(int(sums["n"] or 0), int(sums["size"] or 0), int(sums["red"] or 0))


def _scaled(lines: Sequence[Line]) -> list[Line]:
    most = max((line.amount.rows for line in lines), default=0) or 1
    return [replace(line, amount=replace(line.amount, share=100 * line.amount.rows / most)) for line in lines]


def _names() -> dict[str, str]:
    """Return what the bridges call themselves that destinations have to do with now."""
    known = Destination.objects.exclude(far_bridge="").values_list("far_bridge", "far_name")[:LISTED]
    return {bridge: short(name, 80) for bridge, name in known}


def _recipient(sums: Mapping[str, Any], names: dict[str, str]) -> Recipient:
    bridge = sums["far_bridge"]
    return Recipient(sums["destination"], sums["address"], short(bridge, 64), names.get(bridge, ""))
