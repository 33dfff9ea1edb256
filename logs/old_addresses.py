"""What the old herald answered to programs over HTTP: addresses, parameters and keys are theirs and stay.

A parameter that is absent, or is the word `not_selected`, does not filter.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from logs import record, search, store
from logs.access import Scope, scope_of
from logs.models import Level
from logs.query import Query, QueryError
from logs.query.conditions import Condition
from logs.schema import searching
from logs.schema.asking import PAGE_MAX, Deadline
from logs.schema.seeds import NOT_SELECTED, OPTIONS, old_row, options

GREETING = "Hello, World!"
OWN_SYSTEM = "herald.web"


class NotUnderstood(ValueError):
    """A parameter that makes no sense; the sentence says which, and what would."""


@never_cache
@require_safe
def list_rows(request: HttpRequest) -> HttpResponse:
    """Return rows as a JSON list of objects with the old columns, by `created`.

    `order` asc begins with the oldest rows, desc (the default) with the newest; `num_records` is at most PAGE_MAX,
    also where nothing is said. Where time
    runs out, or the answer gets too long, the header Herald-Incomplete says so.
    """
    try:
        wanted = _wanted(request.GET)
        limit = _number(request.GET)
    except NotUnderstood as error:
        return _refused(str(error))
    oldest_first = _given(request.GET, "order") == "asc"
    deadline = Deadline(settings.SEARCH_DEADLINE)
    rows: list[search.Row]
    if not limit:
        rows, complete = [], True
    elif oldest_first:
        rows, complete = searching.oldest_first(request.user, wanted, skip=0, limit=limit, deadline=deadline)
    else:
        page = searching.page(request.user, wanted, limit=limit, deadline=deadline)
        rows, complete = page.rows, page.is_complete
    fitting = searching.fitting(rows)
    complete, rows = complete and len(fitting) == len(rows), fitting
    rows.sort(key=lambda row: (row["created"], row["id"]), reverse=not oldest_first)
    answer = JsonResponse([old_row(row) for row in rows], safe=False)
    if not complete:
        answer["Herald-Incomplete"] = "there may be more rows: time ran out, or the answer got too long"
    return answer


@never_cache
@require_safe
def list_options(request: HttpRequest) -> HttpResponse:
    """Return what each id may be chosen from, each list ending in the word for no choice."""
    return JsonResponse(options(request.user))


@require_safe
def hello(request: HttpRequest) -> HttpResponse:
    """Say hello."""
    return _plain(GREETING)


@never_cache
@require_safe
def hello_to_the_log(request: HttpRequest) -> HttpResponse:
    """Say hello, and store a record that somebody asked for it: a way to see that records are stored and shown."""
    if scope_of(request) is Scope.READ:
        raise PermissionDenied("This adds a record: it takes a token with the scope write.")
    now = timezone.now()
    fields = {
        "message": f"Hello World called by {request.user.get_username()}",
        "name": __name__,
        "levelno": logging.INFO,
        "levelname": "INFO",
        "created": now.timestamp(),
        "system_id": OWN_SYSTEM,
        "sub_system_id": settings.HOST_NAME,
    }
    store.append([record.build(fields, received=now, peer=request.META.get("REMOTE_ADDR", ""))])
    return _plain(GREETING)


def _plain(text: str) -> HttpResponse:
    return HttpResponse(text, content_type="text/plain; charset=utf-8")


def _refused(sentence: str) -> HttpResponse:
    return HttpResponseBadRequest(sentence + "\n", content_type="text/plain; charset=utf-8")


# --- Parameters -----------------------------------------------------------------------------------------------------


def _given(data: Mapping[str, str], name: str) -> str:
    text = data.get(name) or ""
    return "" if text == NOT_SELECTED else text


def _wanted(data: Mapping[str, str]) -> Query:
    """Return the query that the parameters come to; raise NotUnderstood."""
    try:
        ids = [searching.equals(column, text) for column in OPTIONS.values() if (text := _given(data, column))]
        return searching.query(*ids, *_pattern(data), *_from(data), *_level(data))
    except QueryError as error:
        raise NotUnderstood(error.advice) from None


def _pattern(data: Mapping[str, str]) -> list[Condition]:
    text = _given(data, "pattern")
    columns = ("message", "funcname", "module")
    return [searching.one_of(*(searching.contains(column, text) for column in columns))] if text else []


def _from(data: Mapping[str, str]) -> list[Condition]:
    text = _given(data, "starting_at")
    try:
        return [searching.between("created", searching.utc(datetime.fromisoformat(text.strip())))] if text else []
    except (ValueError, OverflowError):
        raise NotUnderstood(f"starting_at is {text[:50]!r}; it must be a time such as 2026-11-22 14:03:00.") from None


def _level(data: Mapping[str, str]) -> list[Condition]:
    text = _given(data, "notify_level").strip().upper()
    if text in Level.names:
        text = str(Level[text].value)
    if not text:
        return []
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise NotUnderstood(f"notify_level is {text[:50]!r}; it must be a number such as 40.")
    return [searching.between("levelno", int(text))]


def _number(data: Mapping[str, str]) -> int:
    text = _given(data, "num_records").strip()
    if not text:
        return PAGE_MAX
    if not (text.isascii() and text.isdigit()):
        raise NotUnderstood(f"num_records is {text[:50]!r}; it must be a number.")
    # The old herald took any number; nobody can read so many rows, and all would wait for them.
    return min(PAGE_MAX, int(text[:10]))
