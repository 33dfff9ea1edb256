"""The log page, and the page of a single row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from logs import path, search, tail
from logs.models import HeartBeat, Level
from logs.rows import details, empty_line, in_words, inert, line
from logs.search import IDS, PAGE_ROWS, PAGE_ROWS_MAX, RANGES, Filter, FilterError, Page

SUGGESTIONS = 200
# What herald writes about its own doings.
OWN_SYSTEMS = "herald."
ID_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Cursor:
    """Which page of the rows is wanted: the newest one, or that before or after a row."""

    before: int | None = None
    after: int | None = None
    limit: int = PAGE_ROWS

    @classmethod
    def parse(cls, data: Mapping[str, str]) -> Cursor:
        """Return what the address says; raise FilterError with a sentence for each fault."""
        values: dict[str, int] = {}
        errors: dict[str, str] = {}
        for name, most in (("before", ID_MAX), ("after", ID_MAX), ("limit", PAGE_ROWS_MAX)):
            text = data.get(name) or ""
            if not text:
                continue
            if text.isascii() and text.isdigit() and len(text) < 20 and 0 < int(text) <= most:
                values[name] = int(text)
            else:
                errors[name] = f"{name} must be a number from 1 to {most:,}."
        if "before" in values and "after" in values:
            errors["before"] = "Give either before or after, not both."
        if errors:
            raise FilterError(errors)
        return cls(**values)


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The log page: rows that match the filter in the address, newest arrival first; new ones join live."""
    now = timezone.now()
    try:
        cursor = Cursor.parse(request.GET)
        wanted = Filter.parse(request.GET, now)
    except FilterError as error:
        context = {"errors": error.errors, "page": None, "live": False} | _form(request.GET)
        return render(request, "logs/index.html", context, status=400)
    # Taken before the rows are read: what the page misses because it came in between, the live view brings.
    position = tail.newest()
    page = search.page(request.user, wanted, before=cursor.before, after=cursor.after, limit=cursor.limit)
    newest_page = cursor.before is None and page.newer is None
    context = {
        "page": page,
        "lines": [line(row) for row in page.rows],
        "position": str(position),
        "deadline": settings.SEARCH_DEADLINE,
        "query": wanted.to_querystring(),
        "read_as": " and ".join(read_as(wanted)),
        "live": newest_page and (wanted.until is None or wanted.until > now),
        "newest_page": newest_page,
        "older": _link(wanted, before=page.older),
        "newer": _link(wanted, after=page.newer),
        "nothing": _nothing(wanted, page, now),
        "empty_line": empty_line(),
        "empty_step": path.EMPTY,
        "bridge": {"host": settings.BRIDGE_HOST, "port": settings.BRIDGE_PORT},
    }
    return render(request, "logs/index.html", context | _form(request.GET))


def _link(wanted: Filter, **cursor: int | None) -> str:
    parts = [f"{name}={value}" for name, value in cursor.items() if value is not None]
    return "?" + "&".join(filter(None, [wanted.to_querystring(), *parts])) if parts else ""


def _form(data: Mapping[str, str]) -> dict[str, Any]:
    """Return what the filter bar shows: what was asked for, even where it could not be understood."""
    given = {name: data.get(name) or "" for name in ("text", "level", "last", "since", "until", *IDS)}
    return {
        "given": given,
        "levels": [name for name in Level.names if name != "NOTSET"],
        "ranges": [(name, label) for name, (label, _) in RANGES.items()],
        "id_fields": [(name, label, given[name]) for name, label in IDS.items()],
        "ids_given": sum(1 for name in IDS if given[name]),
        "systems": _systems(),
        "hosts": _hosts(),
    }


def _systems() -> list[str]:
    return _suggestions("system_id")


def _hosts() -> list[str]:
    return _suggestions("sub_system_id")


def _suggestions(column: str) -> list[str]:
    """Return known ids to choose from; one with characters that do not show is left to those who know it."""
    known = HeartBeat.objects.exclude(**{column: ""}).order_by(column).values_list(column, flat=True).distinct()
    return [name for name in known[:SUGGESTIONS] if inert(name) == name]


def read_as(wanted: Filter) -> Iterator[str]:
    """Yield, in words, each condition herald understood."""
    if wanted.level:
        name = Level(wanted.level).name if wanted.level in Level.values else str(wanted.level)
        yield f"level ≥ {name}"
    for name, label in IDS.items():
        if value := getattr(wanted, name):
            yield f"{label.lower()} = {inert(value)}"
    if wanted.text:
        yield f"text contains “{inert(wanted.text)}”"
    if wanted.last:
        yield RANGES[wanted.last][0].lower()
    elif wanted.since is not None:
        yield f"from {wanted.since:%Y-%m-%d %H:%M:%S} UTC"
    if wanted.until is not None:
        yield f"up to {wanted.until:%Y-%m-%d %H:%M:%S} UTC"


def _nothing(wanted: Filter, page: Page, now: datetime) -> str:
    """Return what an empty page says: `first` (nobody but herald has sent anything yet), a sentence, or nothing."""
    if not wanted.parameters() and page.newer is None and page.older is None:
        herald_alone = all(row["system_id"].startswith(OWN_SYSTEMS) for row in page.rows)
        return "first" if herald_alone else ""
    if page.rows or not page.complete:
        return ""
    return _silence(wanted, now) if wanted.parameters() else "There is nothing further."


def _silence(wanted: Filter, now: datetime) -> str:
    """Return when a system that was asked for was last heard of."""
    beats = HeartBeat.objects.filter(system_id=wanted.system_id) if wanted.system_id else HeartBeat.objects.none()
    name = inert(wanted.system_id)
    newest = beats.order_by("-newest_heartbeat").first()
    if not wanted.system_id:
        return "No rows match."
    if newest is None:
        return f"No rows match. herald has never heard of {name}."
    ago = in_words(now - newest.newest_heartbeat)
    return f"No rows match. {name} was last heard of {ago} ago."


@require_safe
def show(request: HttpRequest, number: int) -> HttpResponse:
    """Everything of one row, nothing cut."""
    row = _row_or_404(request, number)
    context = {"line": line(row), "details": details(row, limit=None), "path": path.steps(row)}
    return render(request, "logs/row_page.html", context)


@require_safe
def show_json(request: HttpRequest, number: int) -> HttpResponse:
    """The details of one row for a page that opens it in place; long texts are cut."""
    row = _row_or_404(request, number)
    told = {"details": [each.as_dict() for each in details(row)], "path": [each.as_dict() for each in path.steps(row)]}
    return JsonResponse(told)


def _row_or_404(request: HttpRequest, number: int) -> search.Row:
    row = search.row(request.user, number) if number <= ID_MAX else None
    if row is None:
        raise Http404(f"There is no row {number}; it may be older than what herald keeps.")
    return row
