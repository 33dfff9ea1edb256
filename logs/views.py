"""The log page, and the page of a single row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST, require_safe

from logs import completion, path, saved, search, seen, tail
from logs.address import RANGES, ROW_MAX, AddressError, Asked, Cursor
from logs.choices import Choices, choices
from logs.details import details
from logs.export import BYTES_MAX, FORMATS, ROWS_MAX, export
from logs.models import HeartBeat, SavedSearch
from logs.query import Query, QueryError, parse_or_text
from logs.query.lexer import LENGTH_MAX
from logs.rows import empty_line, in_words, inert, line
from logs.search import SORTED_ROWS, Page
from logs.search.pages import Kin
from logs.volume import Volume, volume

# What herald writes about its own doings.
OWN_SYSTEMS = "herald."
# A page does not wait longer than this for the number of its rows.
COUNTING = timedelta(milliseconds=500)
# The same for the volume above the rows and for the values beside them; with less time they say that they are estimated.
DRAWING = timedelta(milliseconds=500)
CHOOSING = timedelta(milliseconds=500)
# How many values of a field are offered.
CHOICES = 8
# The columns that somebody may do without; the style sheet and the script of the view know them by these names.
COLUMNS = (
    ("time", "Time"),
    ("level", "Level"),
    ("system", "System"),
    ("users", "Product, user"),
    ("source", "Version, function"),
)
# What the help under the query box shows; docs/query.md has the rest.
EXAMPLES = (
    ("card declined", "rows that have both words in their message or traceback, in upper or lower case"),
    ('"card declined"', "the phrase as it stands"),
    ("level:>=ERROR", "errors and worse: DEBUG, INFO, WARNING, ERROR, CRITICAL, or a number"),
    ("system:billing host:web-*", "one application on all hosts whose names begin with web-"),
    ("timeout OR refused", "one of both; without OR, all must hold"),
    ("level:ERROR -logger:noisy", "without what a logger says; NOT is the same as -"),
    ("time:>now-15m", "written in the last 15 minutes; also s, h, d, w, or 2026-11-20T10:00"),
    ("extra.order_id:42", "what a record carried beside the columns"),
    ("/order \\d+ failed/", "a regular expression"),
    ("_exists_:exc_text", "rows that have a traceback"),
)


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The log page: rows that the query in the address selects, newest arrival first; new ones join live."""
    now = timezone.now()
    try:
        cursor = Cursor.parse(request.GET)
        asked = Asked.parse(request.GET)
    except AddressError as error:
        context = {"errors": error.errors, "page": None, "live": False} | _form(request.GET, request.GET.get("q", ""))
        return render(request, "logs/index.html", context, status=400)
    query = asked.query(now)
    # Taken before the rows are read: what the page misses because it came in between, the live view brings.
    position = tail.newest()
    page = _page(request, query, cursor)
    is_newest = cursor.before is None and page.newer is None
    context = {
        "page": page,
        "lines": [line(row) for row in page.rows],
        "position": str(position),
        "deadline": settings.SEARCH_DEADLINE,
        "query": asked.to_querystring(),
        "read_as": inert(str(query)) if asked.parameters() else "",
        "count": _count(request, query, page, is_newest),
        "misread": _misread(query.misread),
        "live": is_newest and not cursor.sort and (asked.until is None or asked.until > now),
        "is_newest": is_newest,
        "sort": cursor.sort,
        "sorted_rows": SORTED_ROWS,
        "older": _link(asked, before=page.older),
        "newer": _link(asked, after=page.newer),
        "by_time": "" if cursor.sort else "?" + asked.to_querystring(sort="time"),
        "nothing": _nothing(query, asked, page, now),
        "empty_line": empty_line(),
        "empty_step": path.EMPTY,
        "asked": asked.parameters(),
        "saved": [
            (each, saved.asked(each).to_querystring()) for each in saved.visible_to(request.user)[: saved.SHOWN_MAX]
        ],
        "share": _at(asked, now).to_querystring(),
        "is_relative": parse_or_text(asked.text, now=now).is_relative,
        "columns": COLUMNS,
        "exports": [(f"{_export_address(form)}?{asked.to_querystring()}", form.upper()) for form in FORMATS],
        "export_max": ROWS_MAX,
        "export_bytes": BYTES_MAX,
        "bridge": {"host": settings.BRIDGE_HOST, "port": settings.BRIDGE_PORT},
    }
    context |= {"volume": _volume(request, query, asked, now)} | _choices(request, query, asked)
    return render(request, "logs/index.html", context | _form(request.GET, asked.text))


def _page(request: HttpRequest, query: Query, cursor: Cursor) -> Page:
    if cursor.sort:
        return search.by_time(request.user, query, limit=SORTED_ROWS)
    return search.page(request.user, query, before=cursor.before, after=cursor.after, limit=cursor.limit)


def _count(request: HttpRequest, query: Query, page: Page, is_newest: bool) -> str:
    """Return how many rows there are, where a page does not show it by itself."""
    if is_newest and page.older is None and page.is_complete:
        found = search.Count(len(page.rows))
    else:
        found = search.count(request.user, query, deadline=COUNTING)
    return f"{found} row{'' if str(found) == '1' else 's'}"


def _at(asked: Asked, now: datetime) -> Asked:
    """Return what was asked for with the time that it means at `now`."""
    since = now - RANGES[asked.last][1] if asked.last else asked.since
    return replace(asked, last="", since=since, until=asked.until or now)


def _volume(request: HttpRequest, query: Query, asked: Asked, now: datetime) -> Volume:
    found = search.histogram(request.user, query, _at(asked, now).since, asked.until, within=DRAWING)
    return volume(found, lambda start, end: "?" + replace(asked, last="", since=start, until=end).to_querystring())


def _choices(request: HttpRequest, query: Query, asked: Asked) -> dict[str, Any]:
    """Return the values that can be chosen, and of how many rows they are the values where that is not all."""
    found = search.facets(request.user, query, limit=CHOICES, within=CHOOSING)
    offered: list[Choices] = [choices(asked, facet) for facet in found]
    return {
        "choices": [each for each in offered if each.choices],
        "chosen_from": found[0].rows if found[0].is_sample else 0,
    }


def _misread(error: QueryError | None) -> dict[str, str] | None:
    """Return what a text that is no query is told: what stands before the fault, the fault, what follows it, and advice."""
    if error is None:
        return None
    parts = {
        "before": error.query[: error.start][-30:],
        "fault": error.query[error.start : error.end][:60],
        "behind": error.query[error.end :][:30],
    }
    shown = {name: inert(" ".join(f"[{part}]".split()))[1:-1] for name, part in parts.items()}
    return shown | {"advice": inert(error.advice)}


def _link(asked: Asked, **cursor: int | None) -> str:
    return "" if None in cursor.values() else "?" + asked.to_querystring(**cursor)


def _form(data: Mapping[str, str], text: str) -> dict[str, Any]:
    """Return what the form shows: what was asked for, even where it could not be understood."""
    return {
        "text": text,
        "text_max": LENGTH_MAX,
        "given": {name: data.get(name) or "" for name in ("last", "since", "until")},
        "ranges": [(name, label) for name, (label, _) in RANGES.items()],
        "examples": EXAMPLES,
    }


def _nothing(query: Query, asked: Asked, page: Page, now: datetime) -> str:
    """Return what an empty page says: `first` (nobody but herald has sent anything yet), a sentence, or nothing."""
    is_everything = not asked.parameters()
    if is_everything and page.newer is None and page.older is None:
        herald_alone = all(row["system_id"].startswith(OWN_SYSTEMS) for row in page.rows)
        return "first" if herald_alone else ""
    if page.rows or not page.is_complete:
        return ""
    return "There is nothing further." if is_everything else _silence(query, now)


def _silence(query: Query, now: datetime) -> str:
    """Return when a system that was asked for was last heard of."""
    names = query.needs.equal.get("system_id", frozenset())
    spelled = seen.spellings("system_id", names) if len(names) == 1 else None
    if spelled is None:
        return "No rows match."
    (name,) = names
    newest = HeartBeat.objects.filter(system_id__in=spelled).order_by("-newest_heartbeat").first()
    if newest is None:
        return f"No rows match. herald has never heard of {inert(name)}."
    ago = in_words(now - newest.newest_heartbeat)
    return f"No rows match. {inert(newest.system_id)} was last heard of {ago} ago."


# What stands around a row: of the same one, in the order of arrival, or of all by the sender's time.
KIN: dict[Kin, str] = {
    "system": "Same system",
    "process": "Same process",
    "thread": "Same thread",
    "time": "All systems by time",
}
AROUND = (10, 50, 200)


@require_safe
def show(request: HttpRequest, number: int) -> HttpResponse:
    """Everything of one row, nothing cut, and what stands around it."""
    by, around = _kin(request.GET.get("by", "")), _around(request.GET.get("around", ""))
    found = search.neighbours(request.user, number, around, by) if number <= ROW_MAX else None
    if found is None:
        raise _gone(number)
    row = found.row
    context = {
        "line": line(row),
        "details": details(row, limit=None),
        "path": path.steps(row),
        "lines": [line(each) for each in (*reversed(found.after), row, *reversed(found.before))],
        "neighbours": found,
        "by": by,
        "around": around,
        "kin": [(name, label) for name, label in KIN.items() if name == "time" or row.get(f"{name}_id", row.get(name))],
        "numbers": AROUND,
        "empty_step": path.EMPTY,
    }
    return render(request, "logs/row_page.html", context)


def _kin(text: str) -> Kin:
    return next((name for name in KIN if name == text), "system")


def _around(text: str) -> int:
    return next((number for number in AROUND if str(number) == text), AROUND[0])


@require_safe
def show_json(request: HttpRequest, number: int) -> HttpResponse:
    """The details of one row for a page that opens it in place; long texts are cut.

    The address says what the page has asked for, as its own does, and the details narrow that.
    """
    row = search.row(request.user, number) if number <= ROW_MAX else None
    if row is None:
        raise _gone(number)
    try:
        asked = Asked.parse(request.GET)
    except AddressError:
        asked = Asked()
    told = {
        "details": [each.as_dict() for each in details(row, asked=asked)],
        "path": [each.as_dict() for each in path.steps(row)],
    }
    return JsonResponse(told)


def _gone(number: int) -> Http404:
    return Http404(f"There is no row {number}; it may be older than what herald keeps.")


@require_POST
def save_search(request: HttpRequest) -> HttpResponse:
    """Save what a log page asks for under a name, and go back to it."""
    form = saved.SaveForm(request.user, request.POST)
    if form.is_valid():
        messages.success(request, f"Saved as “{inert(form.save().name)}”.")
    else:
        messages.error(request, f"Not saved. {inert(form.fault)}")
    back = {name: request.POST[name] for name in ("q", "last", "since", "until") if request.POST.get(name)}
    return redirect(f"{reverse('logs:index')}?{urlencode(back)}")


@require_POST
def delete_search(request: HttpRequest, number: int) -> HttpResponse:
    """Delete a saved search of one's own."""
    found = get_object_or_404(SavedSearch, id=number, owner_id=request.user.pk)
    found.delete()
    messages.success(request, f"“{inert(found.name)}” is deleted.")
    return redirect("logs:index")


@require_safe
def complete(request: HttpRequest) -> HttpResponse:
    """What the query box offers: all fields, or the values that begin like `prefix` of the `field` in the address."""
    field, prefix = request.GET.get("field", ""), request.GET.get("prefix", "")
    if not field:
        return JsonResponse({"fields": completion.fields()})
    if "\0" in prefix or "\0" in field:
        return JsonResponse({"values": []})
    return JsonResponse({"values": completion.values(request.user, field, prefix)})


@require_GET
def export_rows(request: HttpRequest, form: str) -> HttpResponseBase:
    """The rows that the address asks for, as a file that is made while it is sent."""
    now = timezone.now()
    try:
        query = Asked.parse(request.GET).query(now)
    except AddressError as error:
        return HttpResponse(f"{error}\n", status=400, content_type="text/plain; charset=utf-8")
    if form not in FORMATS:
        raise Http404(f"Rows are exported as {', '.join(FORMATS)}.")
    chosen = FORMATS[form]
    answer = StreamingHttpResponse(export(request.user, query, chosen), content_type=chosen.content_type)
    answer["Content-Disposition"] = f'attachment; filename="herald-{now:%Y-%m-%dT%H%M%S}Z.{form}"'
    answer["Cache-Control"] = "no-store"
    answer["X-Accel-Buffering"] = "no"
    return answer


def _export_address(form: str) -> str:
    return reverse("logs:export", args=[form])
