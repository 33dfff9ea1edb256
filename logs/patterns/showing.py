"""How a pattern is shown: texts made inert, a small chart of its last seven days, tracebacks line by line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings

from logs.models import Pattern
from logs.patterns import tracebacks
from logs.patterns.shapes import SLOTS
from logs.patterns.state import HOURS, hour_of
from logs.query import quoted, term
from logs.rows import in_words, inert, iso, severity, short

_SLOT = re.compile(rf"<(?:{SLOTS})>|<[\w.]+ …>")
_LITERAL_LEAST = 3


# --- A chart ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars as the path of an SVG, in a box of `width` by `height`; `told` says the same in words."""

    path: str
    width: int
    height: int
    told: str


def chart(hours: Sequence[Sequence[int]], now: datetime, *, step: int, bar: int, height: int) -> Chart:
    """Return the chart of the seven days up to `now`: a bar `bar` wide for every `step` hours.

    A stretch with anything in it has a bar of at least one unit, so that nothing rare is lost beside something frequent.
    """
    last = hour_of(now)
    counts = [0] * (HOURS // step)
    for hour, count in hours:
        at = len(counts) - 1 - (last - hour) // step
        if 0 <= at < len(counts):
            counts[at] += count
    most = max(counts)
    drawn = []
    for number, count in enumerate(counts):
        if count:
            tall = max(1, round(count * height / most))
            drawn.append(f"M{number * bar} {height}v-{tall}h{max(1, bar - 1)}v{tall}z")
    told = f"{sum(counts):,} in the last 7 days" if most else "none in the last 7 days"
    unit = "an hour" if step == 1 else f"{step} hours"
    peak = f", at most {most:,} in {unit}" if most else ""
    return Chart("".join(drawn), bar * len(counts), height, told + peak)


# --- One of the list --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a template; a slot stands for what varies."""

    text: str
    slot: bool


def pieces(template: str) -> list[Piece]:
    """Return a template in pieces, so that a page can set apart what varies."""
    shown = inert(template)
    found, at = [], 0
    for slot in _SLOT.finditer(shown):
        found += [Piece(shown[at : slot.start()], slot=False), Piece(slot[0], slot=True)]
        at = slot.end()
    return [piece for piece in [*found, Piece(shown[at:], slot=False)] if piece.text]


@dataclass(frozen=True, slots=True)
class Entry:
    """A pattern in the list."""

    pattern: Pattern
    severity: str
    pieces: list[Piece]
    system: str
    where: str
    versions: str
    last: str
    first: str
    chart: Chart


def entry(pattern: Pattern, now: datetime) -> Entry:
    return Entry(
        pattern=pattern,
        severity=severity(pattern.levelno),
        pieces=pieces(pattern.template) or [Piece("(an empty message)", slot=True)],
        system=short(pattern.system_id, 60) or "(no system)",
        where=where(pattern),
        versions=versions(pattern),
        last=in_words(max(now - pattern.last_seen, timedelta(0))),
        first=in_words(max(now - pattern.first_seen, timedelta(0))),
        chart=chart(pattern.hours, now, step=6, bar=4, height=20),
    )


def where(pattern: Pattern) -> str:
    """Return what was raised and where, else who said it: `KeyError · shop/cart.py in add`, `shop.cart`."""
    parts = [part for part in (pattern.exception, pattern.frame) if part] or [pattern.logger]
    return inert(" · ".join(parts))


def versions(pattern: Pattern) -> str:
    """Return the first version and the newest: `1.4`, or `1.4 → 1.6`."""
    first, newest = short(pattern.first_version, 40), short(pattern.newest_version, 40)
    if first == newest or not newest:
        return first
    return f"{first or '?'} → {newest}"


# --- All of one -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sample:
    """A copy of one row. `lines` is its traceback."""

    title: str
    row: int
    created: str
    level: str
    host: str
    version: str
    place: str
    text: str
    lines: list[tracebacks.Line]


def samples(pattern: Pattern) -> list[Sample]:
    """Return the copies that were kept, the newest first."""
    titles = (
        ["First", *["Before that"] * (len(pattern.samples) - 2), "Newest"] if len(pattern.samples) > 1 else ["Only"]
    )
    made = [_sample(title, copy) for title, copy in zip(titles, pattern.samples, strict=True)]
    return made[::-1]


def _sample(title: str, copy: dict[str, Any]) -> Sample:
    return Sample(
        title=title,
        row=copy["id"],
        created=iso(datetime.fromisoformat(copy["created"])),
        level=inert(copy["level"]),
        host=inert(copy["host"]),
        version=inert(copy["version"]),
        place=inert(copy["place"]),
        text=inert(copy["text"]),
        lines=list(tracebacks.lines(inert(copy["traceback"]), settings.OWN_ROOTS)),
    )


@dataclass(frozen=True, slots=True)
class Version:
    """One version in which a pattern was seen."""

    name: str
    first: str
    last: str
    count: int


def seen_versions(pattern: Pattern) -> list[Version]:
    """Return the versions a pattern was seen in, the newest arrival first."""
    return [
        Version(
            name=inert(each["version"]) or "(unknown)",
            first=iso(datetime.fromisoformat(each["first"])),
            last=iso(datetime.fromisoformat(each["last"])),
            count=each["count"],
        )
        for each in reversed(pattern.versions)
    ]


def search_for(pattern: Pattern) -> str:
    """Return the query of a search that shows the rows of a pattern: its system, WARNING and above, its longest words."""
    literal = max(_SLOT.split(pattern.template), key=len, default="").strip(" …()[]{}'\",.:;=-")
    if len(literal) < _LITERAL_LEAST or literal not in pattern.samples[-1]["text"]:
        literal = ""
    parts = ["level:>=WARNING", term("system", pattern.system_id)]
    return urlencode({"q": " ".join([*parts, *([quoted(literal)] if literal else [])])})
