"""The page of the systems: who is there, since when silent, how much they write and how bad it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from logs.address import Asked
from logs.models import Level
from logs.query import term
from logs.rows import UNSET, in_words, severity, short
from logs.store import OTHER
from logs.systems import BUCKETS, PER_PAGE, Host, Sort, System, overview

TEXT_MAX = 200
NAME_SHOWN = 120
HOSTS_SHOWN = 5
"""More hosts than these are shown folded."""
VERSIONS_SHOWN = 3
REFRESH_SECONDS = 10
PAGES_MAX = 1_000
ZERO = timedelta(0)
SORTS = {Sort.NAME: "Name", Sort.SEEN: "Last seen", Sort.ERRORS: "Errors"}


@never_cache
@require_safe
def systems(request: HttpRequest) -> HttpResponse:
    """Show the systems; the whole state is in the address. The browser asks again by itself only where that was wished."""
    now = timezone.now()
    state = State.parse(request)
    found = overview(now, text=state.text, sort=state.sort, retired=state.retired, first=state.page * PER_PAGE)
    context: dict[str, Any] = {
        "state": state,
        "lines": [line(system, now) for system in found.systems],
        "number": found.number,
        "retired": found.retired,
        "first": state.page * PER_PAGE + 1,
        "last": state.page * PER_PAGE + len(found.systems),
        "earlier": state.link(page=state.page - 1) if state.page else "",
        "later": state.link(page=state.page + 1) if (state.page + 1) * PER_PAGE < found.number else "",
        "sorts": [
            (name.value, label, state.link(sort=name, page=0), name is state.sort) for name, label in SORTS.items()
        ],
        "known": found.known,
        "begins": found.begins,
        "switch": state.link(live=not state.live),
        "other_hosts": state.link(retired=not state.retired, page=0),
        "refresh_seconds": REFRESH_SECONDS,
        "bridge": {"host": settings.BRIDGE_HOST, "port": settings.BRIDGE_PORT},
        "systems_max": settings.SYSTEMS_MAX,
    }
    response = render(request, "logs/systems.html", context)
    if state.live:
        response["Refresh"] = str(REFRESH_SECONDS)
    return response


@dataclass(frozen=True, slots=True)
class State:
    """What an address asks for. What cannot be understood is as if it were not there."""

    text: str
    sort: Sort
    retired: bool
    live: bool
    page: int

    @classmethod
    def parse(cls, request: HttpRequest) -> State:
        given = request.GET
        sort, page = given.get("sort", ""), given.get("page", "")
        number = int(page) if page.isascii() and page.isdigit() and len(page) < 6 else 0
        return cls(
            text=given.get("text", "").replace("\0", "")[:TEXT_MAX],
            sort=Sort(sort) if sort in tuple(Sort) else Sort.NAME,
            retired=given.get("retired") == "1",
            live=given.get("live") == "1",
            page=min(number, PAGES_MAX),
        )

    def link(self, **changes: Any) -> str:
        """Return the address of the same page with some of it changed."""
        wanted = {name: getattr(self, name) for name in self.__slots__} | changes
        given = {
            "text": wanted["text"],
            "sort": "" if wanted["sort"] is Sort.NAME else wanted["sort"].value,
            "retired": "1" if wanted["retired"] else "",
            "live": "1" if wanted["live"] else "",
            "page": str(wanted["page"]) if wanted["page"] else "",
        }
        query = urlencode({name: value for name, value in given.items() if value})
        return reverse("logs:systems") + (f"?{query}" if query else "")


# --- One system --------------------------------------------------------------------------------------------------------


def line(system: System, now: datetime) -> dict[str, Any]:
    """Return what the page shows of a system."""
    # What does not fit into the table of systems has no name to search for.
    nameless = system.name == OTHER
    return {
        "name": short(system.name, NAME_SHOWN),
        "nameless": nameless,
        "url": "" if nameless else search_url(system.name),
        "newest": system.newest,
        "ago": ago(system.newest, now),
        "levels": [
            {
                "name": level.name,
                "severity": severity(level),
                "rows": f"{rows:,}",
                "url": "" if nameless else search_url(system.name, level=level, last="1h"),
            }
            for level, rows in system.levels.items()
        ],
        "spark": spark(system.rates, system.errors_by_bucket),
        "hosts": [host_line(system, host, now) for host in system.hosts],
        "folded": len(system.hosts) > HOSTS_SHOWN,
        "versions": versions_of(system),
    }


def host_line(system: System, host: Host, now: datetime) -> dict[str, Any]:
    """Return what the page shows of one host of a system."""
    named = host.name not in UNSET
    return {
        "name": short(host.name, NAME_SHOWN) if named else "",
        "url": search_url(system.name, host=host.name) if named and system.name != OTHER else "",
        "newest": host.newest,
        "ago": ago(host.newest, now),
        "versions": [
            {"name": short(version.name, 60), "since": version.since, "for": in_words(max(now - version.since, ZERO))}
            for version in host.running[:VERSIONS_SHOWN]
        ],
        "more_versions": max(0, len(host.running) - VERSIONS_SHOWN),
        "before": short(host.before.name, 60) if host.before is not None else "",
    }


def ago(moment: datetime, now: datetime) -> str:
    return f"{in_words(max(now - moment, ZERO))} ago"


def versions_of(system: System) -> str:
    """Return the versions that run on the hosts of a folded system, each once."""
    names = sorted({version.name for host in system.hosts for version in host.running})
    more = f" and {len(names) - VERSIONS_SHOWN:,} more" if len(names) > VERSIONS_SHOWN else ""
    return ", ".join(short(name, 60) for name in names[:VERSIONS_SHOWN]) + more


def search_url(system: str, *, host: str = "", level: int = 0, last: str = "") -> str:
    """Return the address of the log page with the rows of a system."""
    terms = [term("system", system)] if system else []
    terms += [term("host", host)] if host else []
    terms += [f"level:>={Level(level).name}"] if level else []
    return f"{reverse('logs:index')}?{Asked(' '.join(terms), last).to_querystring()}"


# --- Sparklines ----------------------------------------------------------------------------------------------------------

WIDTH, HEIGHT, STEP, BAR = 3 * BUCKETS, 24, 3, 2


@dataclass(frozen=True, slots=True)
class Spark:
    """A row of bars as two SVG paths, all rows and those at ERROR and above, and the same in words."""

    rows: str
    errors: str
    words: str
    width: int = WIDTH
    height: int = HEIGHT


def spark(rates: Sequence[int], errors: Sequence[int]) -> Spark:
    """Return the bars of some numbers, the highest of which fills the height."""
    most, total = max(rates), sum(rates)
    if not total:
        return Spark("", "", "no records in the last 6 h")
    words = f"{total:,} records in the last 6 h, {most:,} in the busiest 10 min, {rates[-1]:,} in these 10 min"
    if bad := sum(errors):
        words += f"; {bad:,} at ERROR and above"
    return Spark(_bars(rates, most), _bars(errors, most), words)


def _bars(numbers: Sequence[int], most: int) -> str:
    """Return bars as the data of an SVG path: digits and commands alone. What is not nothing is to be seen."""
    heights = [max(1.5, round(number * HEIGHT / most, 1)) if number else 0.0 for number in numbers]
    return "".join(
        f"M{STEP * at} {HEIGHT}v-{height:g}h{BAR}v{height:g}z" for at, height in enumerate(heights) if height
    )
