"""The page "Delete old rows": what is due now, and a button for people with the permission `logs.delete_log`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from logs import requests, sizes
from logs.ages import as_kept
from logs.policies import Plan, UnusablePolicy
from logs.retention import dry_run

LOOK = timedelta(seconds=2)
"""How long the page may look for what is due."""
REFRESH_SECONDS = 2


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@permission_required("logs.delete_log", raise_exception=True)
def prune(request: HttpRequest) -> HttpResponse:
    """Show what is due; a confirmed POST asks a bridge to delete it."""
    if request.method != "POST":
        return _page(request)
    if request.POST.get("confirmed") != "yes":
        return _page(request, unconfirmed=True)
    # While another request is open, that one is shown: what is due is what it deletes.
    requests.ask(request.user.get_username(), settings.RETENTION, timezone.now())
    return HttpResponseRedirect(reverse("logs:prune"))


def _page(request: HttpRequest, *, unconfirmed: bool = False) -> HttpResponse:
    now = timezone.now()
    latest = requests.latest()
    if latest is not None and latest.finished is None:
        context: dict[str, Any] = {
            "request_open": latest,
            "open_for": now - latest.asked,
            "refresh_seconds": REFRESH_SECONDS,
        }
        response = render(request, "logs/prune.html", context)
        response["Refresh"] = f"{REFRESH_SECONDS}; url={reverse('logs:prune')}"
        return response
    context = {"last": latest, "unconfirmed": unconfirmed} | _due()
    return render(request, "logs/prune.html", context, status=400 if unconfirmed else 200)


def _due() -> dict[str, Any]:
    try:
        plan = Plan.load()
    except UnusablePolicy as error:
        return {"unusable": str(error)}
    tally = dry_run(plan, timezone.now(), within=LOOK, patience=settings.READERS_WAIT)
    limit, used = sizes.limit(), sizes.used()
    too_large = limit if limit is not None and used > limit.bytes else None
    return {
        "lines": [
            {
                "rows": f"{tally.by_rule[number]:,}",
                "kept": as_kept(rule.age),
                "name": rule.name,
                "query": rule.query.text if rule.query is not None else "",
            }
            for number, rule in enumerate(plan.rules)
        ],
        "days": [(day, f"{rows:,}") for day, rows in sorted(tally.days.items())],
        "total": f"{tally.rows:,}",
        "complete": tally.complete,
        "looked_to": tally.looked_to,
        "deadline": LOOK,
        "waiting": f"{tally.waiting:,}" if tally.waiting else "",
        "patience": as_kept(settings.READERS_WAIT),
        "used": used,
        "too_large": too_large,
        "nothing": not tally.rows and tally.complete and too_large is None,
    }
