"""The pages that tell how records get in and on: each bridge, where rows go, where they come from, what has left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from bridge import departures as left
from bridge import forward, health
from bridge.addresses import shown
from bridge.health import Health
from bridge.models import Destination, Hop
from bridge.status import State, report
from logs import partitions, sizes, store, tail
from logs.ages import as_kept
from logs.models import ReaderPosition, RetentionPolicy
from logs.rows import short

REFRESH_SECONDS = 5
DESTINATIONS_SHOWN = 100
HOPS_SHOWN = 200


@never_cache
@require_safe
def status(request: HttpRequest) -> HttpResponse:
    """Show how the bridges are. The browser asks again by itself, told so by a header: that needs no script."""
    response = render(request, "bridge/status.html", page())
    response["Refresh"] = str(REFRESH_SECONDS)
    return response


def page() -> dict[str, Any]:
    """Return what the page shows."""
    now = datetime.now(UTC)
    room = store.room()
    bridges = report(now)
    destinations = [told(each, now) for each in Destination.objects.order_by("name")[:DESTINATIONS_SHOWN]]
    incoming = health.incoming(Hop.objects.order_by("via", "name")[:HOPS_SHOWN], now)
    return {
        "now": now,
        "bridges": bridges,
        "bridges_in_trouble": sum(1 for bridge in bridges if bridge.is_trouble),
        "destinations": destinations,
        "destinations_in_trouble": _troubled([each.health for each in destinations]),
        "incoming": incoming,
        "incoming_in_trouble": _troubled([each.health for each in incoming]),
        "is_deaf": not any(bridge.state is State.RUNNING for bridge in bridges),
        "shown_at_most": {"destinations": DESTINATIONS_SHOWN, "incoming": HOPS_SHOWN},
        "kept": kept(),
        "room": room,
        "is_full": room is not None and room.free_percent < settings.DISK_FREE_MIN_PERCENT,
        "free_min_percent": settings.DISK_FREE_MIN_PERCENT,
        "holders": tail.holders(),
        "address": f"{settings.BRIDGE_HOST}:{settings.BRIDGE_PORT}",
        "refresh_seconds": REFRESH_SECONDS,
    }


def kept() -> dict[str, Any]:
    """Return how long rows are kept, how much, and who has missed some."""
    names = {destination.reader: f"destination {destination.name}" for destination in Destination.objects.all()}
    return {
        "default": as_kept(settings.RETENTION),
        "policies": [(policy, as_kept(policy.age)) for policy in RetentionPolicy.objects.filter(enabled=True)],
        "patience": as_kept(settings.READERS_WAIT) if settings.READERS_WAIT else "",
        "limit": sizes.limit(),
        "used": sizes.used(),
        "cuts": [(names.get(one.name, one.name), one.cut) for one in ReaderPosition.objects.filter(cut__gt=0)],
        "days": partitions.days(),
        "leftovers": partitions.leftovers(),
    }


def _troubled(healths: Sequence[Health]) -> int:
    return sum(1 for each in healths if each.is_trouble)


@dataclass(frozen=True, slots=True)
class Told:
    """A destination as the page tells it."""

    destination: Destination
    health: Health
    waiting: str
    address: str
    far_name: str
    clock: str
    error: str
    removed: list[str]
    query: str


def told(destination: Destination, now: datetime) -> Told:
    """Return what the page tells of a destination. Where nobody counts the rows that wait, they are counted here."""
    waiting, lag = destination.waiting, destination.lag_seconds
    if not health.destination_state(destination, now).is_tended:
        waiting, lag = forward.standing(forward.position_of(destination), now)
    return Told(
        destination=destination,
        health=health.of_destination(destination, now),
        waiting=health.lag_in_words(waiting, lag),
        address=shown(destination.host, destination.port),
        far_name=short(destination.far_name or destination.far_bridge, 200),
        clock=health.clock_in_words(destination.clock_offset),
        error=short(destination.error, 500),
        removed=health.removed_in_words(destination),
        query=short(destination.query, 2_000),
    )


# --- What left this site ----------------------------------------------------------------------------------------------


@never_cache
@require_safe
def departures(request: HttpRequest) -> HttpResponse:
    """Show what left in the last 30 days: to whom, per day, and hour by hour for the day in the address."""
    name, text = request.GET.get("destination", ""), request.GET.get("day", "")
    day = _day(text)
    if text and day is None:
        context = {"error": f"{text[:40]!r} is no day. A day is written as 2026-01-31."}
        return render(request, "bridge/departures.html", context, status=400)
    return render(request, "bridge/departures.html", departures_page(datetime.now(UTC), name, day))


def departures_page(now: datetime, name: str, day: date | None) -> dict[str, Any]:
    """Return what the page shows."""
    lately = left.lately(now, name)
    return {
        "name": name,
        "day": day,
        "days": left.DAYS,
        "first_day": left.first_day(now),
        "total": left.total(lately),
        "recipients": left.by_recipient(lately),
        "by_day": left.by_day(lately),
        "by_hour": left.by_hour(day, name) if day else None,
        "listed": left.LISTED,
        "has_destinations": Destination.objects.exists(),
    }


def _day(text: str) -> date | None:
    try:
        found = datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 (a day has no zone)
    except ValueError:
        return None
    return found if 2000 <= found.year <= 9000 else None
