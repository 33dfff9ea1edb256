"""The page that tells how records get in: each bridge, what was rejected, how long rows are kept."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from bridge.keeper import as_kept
from bridge.status import report
from logs import store, tail

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
        "kept": as_kept(settings.RETENTION),
        "room": room,
        "is_full": room is not None and room.free_percent < settings.DISK_FREE_MIN_PERCENT,
        "free_min_percent": settings.DISK_FREE_MIN_PERCENT,
        "holders": tail.holders(),
        "address": f"{settings.BRIDGE_HOST}:{settings.BRIDGE_PORT}",
        "refresh_seconds": REFRESH_SECONDS,
    }
