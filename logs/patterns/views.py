"""The Errors page, the page of one pattern, and what people decide there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from logs.models import Pattern, PatternTable
from logs.patterns import decisions, showing
from logs.patterns.finding import ORDERS, STATES, Choice, ChoiceError, find, visible_patterns
from logs.patterns.keeping import PatternReader
from logs.readers import standing
from logs.rows import inert

MAY_DECIDE = "logs.change_pattern"
BEHIND = timedelta(seconds=10)
"""From then on the page says how far behind it is."""
GONE = timedelta(minutes=1)
"""A reader that has rows to read and has not moved for so long does not run."""
ID_MAX = 2**63 - 1


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Patterns that fit the choice in the address, those that came back first, then the newest."""
    now = timezone.now()
    try:
        wanted = Choice.parse(request.GET)
        page = find(request.user, wanted)
    except ChoiceError as error:
        context = {"error": str(error), "given": request.GET, "orders": ORDERS} | _standing(now)
        return render(request, "logs/errors.html", context, status=400)
    context = {
        "entries": [showing.entry(pattern, now) for pattern in page.patterns],
        "wanted": wanted,
        "given": {"text": wanted.text, "system": wanted.system, "order": wanted.order, "state": wanted.state},
        "states": [
            (label, f"?{wanted.querystring(state=name)}", name == wanted.state) for name, label in STATES.items()
        ],
        "orders": ORDERS,
        "next": f"?{wanted.querystring(after=page.after)}" if page.after else "",
        "first": f"?{wanted.querystring()}" if wanted.after else "",
        "nothing": "" if page.patterns else _nothing(request, wanted),
        "dropped": PatternTable.objects.first(),
    }
    return render(request, "logs/errors.html", context | _standing(now))


def _standing(now: datetime) -> dict[str, Any]:
    """Return what the page says about the reader that keeps it."""
    stands = standing(PatternReader.name, now)
    silent = stands.read_at is None or now - stands.read_at > GONE
    behind = stands.waiting > 0 and stands.lag > BEHIND
    return {"stands": stands, "is_behind": behind, "is_silent": behind and silent}


def _nothing(request: HttpRequest, wanted: Choice) -> str:
    """Return why a page is empty: `never` (there is no pattern at all), `good` (none is open), or `none` that fits."""
    if wanted.is_narrow or wanted.after or wanted.state not in ("open", "all"):
        return "none"
    return "good" if visible_patterns(request.user).exists() else "never"


@require_http_methods(["GET", "HEAD", "POST"])
def show(request: HttpRequest, number: int) -> HttpResponse:
    """Everything of one pattern; by POST, what to make of it."""
    pattern = visible_patterns(request.user).filter(pk=number).first() if number <= ID_MAX else None
    if pattern is None:
        raise Http404(f"There is no error {number}; it may have made room for others.")
    if request.method == "POST":
        return _decide(request, pattern)
    return render(request, "logs/error.html", _everything(request, pattern, timezone.now()))


def _everything(request: HttpRequest, pattern: Pattern, now: datetime) -> dict[str, Any]:
    return {
        "entry": showing.entry(pattern, now),
        "pattern": pattern,
        "chart": showing.chart(pattern.hours, now, step=1, bar=4, height=60),
        "samples": showing.samples(pattern),
        "versions": showing.seen_versions(pattern),
        "rows": showing.search_for(pattern),
        "may_decide": request.user.has_perm(MAY_DECIDE),
        "decided_by": inert(pattern.decided_by),
        "resolved_in": inert(pattern.resolved_in),
        "regressed_in": inert(pattern.regressed_in),
    }


def _decide(request: HttpRequest, pattern: Pattern) -> HttpResponse:
    if not request.user.has_perm(MAY_DECIDE):
        raise PermissionDenied("Deciding about errors needs the permission to change patterns.")
    version = request.POST.get("version", "")
    actions: dict[str, tuple[Callable[..., bool], str]] = {
        "resolve": (partial(decisions.resolve, version=version.replace("\0", "")), "Resolved."),
        "ignore": (decisions.ignore, "Ignored."),
        "reopen": (decisions.reopen, "Open again."),
    }
    action, told = actions.get(request.POST.get("action", ""), (None, ""))
    if action is None:
        return HttpResponse(
            f"There is no such action, only {', '.join(actions)}.\n", status=400, content_type="text/plain"
        )
    if action(pattern.pk, by=request.user.get_username(), now=timezone.now()):
        messages.success(request, told)
    return HttpResponseRedirect(reverse("logs:error", args=[pattern.pk]))
