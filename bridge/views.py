"""The page that tells how records get in: each bridge, what was rejected, how long rows are kept."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from bridge.models import Destination
from bridge.status import report
from logs import partitions, sizes, store, tail
from logs.ages import as_kept
from logs.models import ReaderPosition, RetentionPolicy

REFRESH_SECONDS = 5


@never_cache
@require_safe
def status(request: HttpRequest) -> HttpResponse:
    """Show how the bridges are. The browser asks again by itself, told so by a header: that needs no script."""
    response = render(request, "bridge/status.html", page())
    response["Refresh"] = str(REFRESH_SECONDS)
    return response


def page() -> dict[str, Any]:
    """Return what the page shows."""
    room = store.room()
    return {
        "bridges": report(),
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
