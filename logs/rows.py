"""How one row is shown in a line: the same short texts for the page and for the live view.

Text from the network is shown as what it is. Characters that an eye cannot see, or that would reorder what it sees,
are shown as a code such as ⟦U+202E⟧; everything else is left alone, and escaped by whoever renders it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, TypedDict

LINE_MAX = 1_000
SHORT_MAX = 200
LATE = timedelta(seconds=60)
# Senders that set no id say so by this word (the clients of ps.basic do).
UNSET = frozenset({"", "None", "undef"})

# --- Characters that do not show --------------------------------------------------------------------------------------

# Letters by their category, and yet they show nothing: the fillers of Hangul and of braille, and our own brackets,
# which must not be mistaken for a code.
_ALSO = "\u115f\u1160\u3164\uffa0\u2800⟦⟧"
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Outside of these planes Unicode has only ideographs, private use, and nothing.
_PLANES = (range(0x20000), range(0xE0000, 0xE1000))


def _hidden_class() -> str:
    """Return a regular expression's class of every character to be shown as a code; tab and line feed are not."""
    hidden = [
        code
        for code in chain(*_PLANES)
        if (unicodedata.category(chr(code)) in _HIDDEN_CATEGORIES and chr(code) not in "\t\n") or chr(code) in _ALSO
    ]
    runs: list[tuple[int, int]] = []
    for code in hidden:
        if runs and runs[-1][1] == code - 1:
            runs[-1] = (runs[-1][0], code)
        else:
            runs.append((code, code))
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in runs)


_HIDDEN = re.compile(f"[{_hidden_class()}]")
CODE = re.compile(r"⟦U\+[0-9A-F]{4,6}⟧")


def inert(text: str) -> str:
    """Return `text` with every character that hides or reorders shown as ⟦U+….⟧; a line end stays a line end."""
    if text.isascii() and text.isprintable():
        return text
    return _HIDDEN.sub(_code, text.replace("\r\n", "\n"))


def _code(found: re.Match[str]) -> str:
    return f"⟦U+{ord(found[0]):04X}⟧"


def short(text: str, limit: int) -> str:
    """Return at most `limit` characters of `text`, made inert; a cut is marked by an ellipsis."""
    return inert(text) if len(text) <= limit else inert(text[:limit]) + "…"


# --- Words ------------------------------------------------------------------------------------------------------------

_UNITS = (
    (timedelta(days=1), "d"),
    (timedelta(hours=1), "h"),
    (timedelta(minutes=1), "min"),
    (timedelta(seconds=1), "s"),
)


def in_words(duration: timedelta) -> str:
    """Return a duration in its largest unit: `3 h`, `5 min`, `0 s`."""
    for unit, word in _UNITS:
        if duration >= unit:
            return f"{duration // unit:,} {word}"
    return "0 s"


def precisely(duration: timedelta) -> str:
    """Return a duration that may be short: `12 ms`, `1.2 s`; from a minute on as `in_words` does."""
    seconds = duration.total_seconds()
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 59.95 else in_words(max(duration, timedelta(minutes=1)))


def lateness(created: datetime, received: datetime) -> str:
    """Return what the two clocks say when they differ by LATE or more, else nothing."""
    delay = received - created
    if delay >= LATE:
        return f"late by {in_words(delay)}"
    return f"clock ahead by {in_words(-delay)}" if -delay >= LATE else ""


def severity(levelno: int) -> str:
    """Return the class by which a page colours a level."""
    for least, name in ((50, "critical"), (40, "error"), (30, "warning"), (20, "info")):
        if levelno >= least:
            return name
    return "debug"


def iso(moment: datetime) -> str:
    """Return a moment as UTC with milliseconds, as a browser reads it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


def _set(value: str) -> str:
    return "" if value in UNSET else short(value, SHORT_MAX)


# --- One line of the table --------------------------------------------------------------------------------------------


class Line(TypedDict):
    """What the table shows of a row; the keys are the `data-field` names in `logs/row.html`."""

    id: int
    created: str
    received: str
    severity: str
    level: str
    system: str
    host: str
    part: str
    product: str
    user1: str
    user2: str
    version: str
    place: str
    message: str
    trace: str
    late: str


def line(row: Mapping[str, Any]) -> Line:
    """Return what the table shows of a row with Log's column names."""
    return Line(
        id=row["id"],
        created=iso(row["created"]),
        received=iso(row["received"]),
        severity=severity(row["levelno"]),
        level=short(row["levelname"], 20) or str(row["levelno"]),
        system=_set(row["system_id"]),
        host=_set(row["sub_system_id"]),
        part=_set(row["sub_sub_system_id"]),
        product=_set(row["produkt_id"]),
        user1=_set(row["user_spec_1"]),
        user2=_set(row["user_spec_2"]),
        version=_set(row["package_version"]),
        place=_place(row),
        message=short(row["message"], LINE_MAX),
        trace=folded(row["exc_text"] or row["stack_info"]),
        late=lateness(row["created"], row["received"]),
    )


def _place(row: Mapping[str, Any]) -> str:
    """Return where in the program the record was made: `charge:88`."""
    function = _set(row["funcname"]) or _set(row["module"])
    return f"{function}:{row['lineno']}" if row["lineno"] is not None else function


def folded(text: str) -> str:
    """Return a traceback folded to its last line, which names the exception."""
    text = text.rstrip()
    if not text:
        return ""
    last = text.rpartition("\n")[2].strip()
    lines = text.count("\n") + 1
    return f"{short(last, SHORT_MAX)} ({lines:,} lines)" if lines > 1 else short(last, SHORT_MAX)


def empty_line() -> dict[str, str]:
    """Return a line without content: what the browser's template is rendered with."""
    return dict.fromkeys(Line.__annotations__, "")
