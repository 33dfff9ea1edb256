"""The volume of rows by time and level, as the log page draws it: bars that lead into their time, and the same in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from logs.models import Level
from logs.rows import in_words, severity
from logs.search import Histogram

HEIGHT = 100
LEAST = 3
"""How high a part of a bar is at least: one error among ten thousand rows must be seen."""


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one level in one bar, from `top` down, in hundredths of the height."""

    level: str
    severity: str
    rows: int
    top: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One bucket, the `at`th from the left; `parts` from the bottom up, the gravest first."""

    at: int
    since: datetime
    until: datetime
    rows: int
    parts: list[Part]
    address: str

    @property
    def in_words(self) -> str:
        """What the bar shows: `12 rows, 3 ERROR, 9 INFO`."""
        levels = ", ".join(f"{part.rows:,} {part.level}" for part in self.parts)
        return f"{self.rows:,} row{'' if self.rows == 1 else 's'}{': ' if levels else ''}{levels}"


@dataclass(frozen=True, slots=True)
class Volume:
    """All bars, and what to say about them. `levels` are those that occur, the gravest first, each with its class."""

    bars: list[Bar]
    since: datetime
    until: datetime
    width: timedelta
    rows: int
    levels: list[tuple[str, str, int]]
    caveat: str

    @property
    def step(self) -> str:
        """How long a bar is, in words."""
        return in_words(self.width)

    @property
    def seconds(self) -> int:
        return int(self.width.total_seconds())

    @property
    def busy(self) -> list[Bar]:
        """The bars that have rows."""
        return [bar for bar in self.bars if bar.rows]


def volume(histogram: Histogram, address: Callable[[datetime, datetime], str]) -> Volume:
    """Return how `histogram` is drawn; `address` makes the link that leads into a time."""
    levels = sorted(histogram.levels, reverse=True)
    totals = [sum(numbers) for numbers in zip(*histogram.levels.values(), strict=True)] or [0] * histogram.buckets
    most = max(totals, default=0)
    bars = []
    for at, since in enumerate(histogram.moments):
        until = since + histogram.width
        rows = [(level, histogram.levels[level][at]) for level in levels]
        bars.append(Bar(at, since, until, totals[at], _parts(rows, most), address(since, until)))
    end = histogram.start + histogram.buckets * histogram.width
    known = [(_name(level), severity(level), sum(histogram.levels[level])) for level in levels]
    return Volume(bars, histogram.start, end, histogram.width, histogram.total, known, _caveat(histogram))


def _parts(rows: list[tuple[int, int]], most: int) -> list[Part]:
    parts: list[Part] = []
    top = float(HEIGHT)
    for level, number in rows:
        if number:
            height = min(max(LEAST, number / most * HEIGHT), top)
            top = round(top - height, 2)
            parts.append(Part(_name(level), severity(level), number, top, round(height, 2)))
    return parts


def _name(level: int) -> str:
    return Level(level).name if level in Level.values else str(level)


def _caveat(histogram: Histogram) -> str:
    """Return what the numbers are not."""
    if histogram.kind == "sample":
        more = "" if histogram.is_complete else "; time ran out, so older rows are missing"
        return f"estimated from {histogram.rows:,} rows spread over the time{more}"
    return "" if histogram.is_complete else "time ran out, so older rows are missing"
