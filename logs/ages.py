"""Durations as people write them into a form and read them on a page: `30 d`, `6 h`, nothing rounded."""

from __future__ import annotations

import re
from datetime import timedelta

_WRITTEN = re.compile(r"\s*([0-9]{1,7})\s*(d|days?|h|hours?|min|minutes?|s|seconds?)\s*", re.IGNORECASE)
_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}
LONGEST = timedelta(days=36_500)


def read_age(text: str) -> timedelta:
    """Return the duration that `text` writes, such as `30 d`; raises ValueError with a sentence for who wrote it."""
    found = _WRITTEN.fullmatch(text)
    age = int(found[1]) * _UNITS[found[2][0].lower()] if found else timedelta(0)
    if not timedelta(0) < age <= LONGEST:
        raise ValueError("Write a number above 0 and a unit, such as 30 d, 6 h, 45 min or 90 s; 100 years at most.")
    return age


def write_age(age: timedelta) -> str:
    """Return a duration as `read_age` reads it, in the largest unit that does not round it."""
    for unit, word in ((_UNITS["d"], "d"), (_UNITS["h"], "h"), (_UNITS["m"], "min")):
        if age >= unit and age % unit == timedelta(0):
            return f"{age // unit} {word}"
    return f"{age // _UNITS['s']} s"


def as_kept(age: timedelta) -> str:
    """Return how long rows are kept, exactly: `30 days`, `6 hours`, `1,309,600 s`."""
    for unit, word in ((_UNITS["d"], "day"), (_UNITS["h"], "hour")):
        if age >= unit and age % unit == timedelta(0):
            number = age // unit
            return f"{number:,} {word}{'s' if number != 1 else ''}"
    return f"{age.total_seconds():,.0f} s"
