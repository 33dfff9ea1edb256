"""How the values of a query are read: numbers, levels and moments."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from math import isfinite

from logs.query.errors import shown
from logs.record import LEVEL_NAMES, LEVELS


class ValueProblem(ValueError):
    """A value that does not fit its field; the texts say what is wrong and what would be right."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy


_WHOLE = re.compile(r"[+-]?[0-9]{1,40}")
_REAL = re.compile(r"[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?")


def whole_number(text: str) -> int:
    """Return the whole number that `text` writes; raises ValueProblem."""
    if _WHOLE.fullmatch(text):
        return int(text)
    raise ValueProblem(f"“{shown(text)}” is not a whole number.")


def number(text: str) -> int | float:
    """Return the number that `text` writes, exact where it is whole; raises ValueProblem."""
    if _WHOLE.fullmatch(text):
        return int(text)
    if _REAL.fullmatch(text) and isfinite(float(text)):
        return float(text)
    raise ValueProblem(f"“{shown(text)}” is not a number.")


def level(text: str) -> int:
    """Return the number of a level given by name, in any case, or by number; raises ValueProblem."""
    if text.upper() in LEVELS:
        return LEVELS[text.upper()]
    if _WHOLE.fullmatch(text):
        return int(text)
    meant = get_close_matches(text[:40].upper(), LEVELS, n=1, cutoff=0.6)
    remedy = f"Did you mean {meant[0]}?" if meant else "There are DEBUG, INFO, WARNING, ERROR, CRITICAL, and numbers."
    raise ValueProblem(f"“{shown(text)}” is not a level.", remedy)


def level_name(value: int) -> str:
    """Return how a level is said: by name where it has one."""
    return LEVEL_NAMES.get(value, str(value))


# --- Moments ---------------------------------------------------------------------------------------------------------

_NOW = re.compile(r"now((?:[+-][0-9]{1,9}[smhdw])*)")
_STEP = re.compile(r"([+-])([0-9]+)([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_MOMENT = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ](?P<hour>[0-9]{2})(?::(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,6}))?)?)?)?"
    r"(?P<zone>[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
_SPANS = {"second": timedelta(seconds=1), "minute": timedelta(minutes=1), "hour": timedelta(hours=1)}
TICK = timedelta(microseconds=1)
"""What both engines keep of a moment."""
_HOW = "Write 2026-11-20, 2026-11-20T10:00, 2026-11-20T10:00:00+01:00, or now-15m (s, m, h, d, w)."


@dataclass(frozen=True, slots=True)
class Moment:
    """What a time in a query stands for: from `start` up to but not including `end`, as fine as it was written.

    `2026-11-20` is that day, `10:00` that minute, `now` and six decimals a single instant. Without a zone it is UTC.
    """

    start: datetime
    end: datetime
    relative: str = ""

    @property
    def is_instant(self) -> bool:
        """Whether it was written as finely as moments are kept."""
        return self.end - self.start == TICK


def moment(text: str, now: datetime) -> Moment:
    """Return the moment that `text` writes, in UTC; raises ValueProblem, also for a date that no calendar has."""
    try:
        if found := _NOW.fullmatch(text):
            start = now.astimezone(UTC) + _steps(found[1])
            return Moment(start, start + TICK, relative=text)
        if found := _MOMENT.fullmatch(text):
            return _written(found)
    except (ValueError, OverflowError):
        raise ValueProblem(f"There is no such moment as “{shown(text)}”.", _HOW) from None
    raise ValueProblem(f"“{shown(text)}” is not a moment.", _HOW)


def _steps(text: str) -> timedelta:
    total = timedelta()
    for sign, count, unit in _STEP.findall(text):
        step = timedelta(**{_UNITS[unit]: int(count)})
        total += step if sign == "+" else -step
    return total


def _written(found: re.Match[str]) -> Moment:
    fraction = found["fraction"]
    clock = f"{found['hour'] or '00'}:{found['minute'] or '00'}:{found['second'] or '00'}"
    zone = (found["zone"] or "Z").upper()
    start = datetime.fromisoformat(f"{found['day']}T{clock}.{(fraction or '0').ljust(6, '0')}{zone}").astimezone(UTC)
    return Moment(start, start + _span(found))


def _span(found: re.Match[str]) -> timedelta:
    if found["fraction"]:
        return timedelta(microseconds=10 ** (6 - len(found["fraction"])))
    return next((span for part, span in _SPANS.items() if found[part]), timedelta(days=1))


def said(value: datetime) -> str:
    """Return how a moment is said."""
    clock = value.strftime("%H:%M:%S") + (f".{value.microsecond:06}" if value.microsecond else "")
    return f"{value.year:04}-{value:%m-%d} {clock} UTC"
