"""Folds rows, one by one and in order, into what is known of their pattern.

Pure but for the model's fields, and without a memory beyond them: wherever a batch ends, the outcome is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from logs.models import ID_MAX, Pattern
from logs.patterns import shapes
from logs.patterns.versions import is_older, newest
from logs.query.folding import fold
from logs.rows import UNSET

Row = Mapping[str, Any]

SAMPLES = 3
"""The first row, and the newest ones."""
SAMPLE_TEXT = 1_000
SAMPLE_TRACEBACK_HEAD, SAMPLE_TRACEBACK_TAIL = 1_000, 3_000
VERSIONS = 20
"""The first version, and the newest ones."""
HOURS = 7 * 24
HOUR = timedelta(hours=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def hour_of(moment: datetime) -> int:
    """Return the number of a moment's hour, counted from 1970."""
    return (moment - _EPOCH) // HOUR


def version_of(row: Row) -> str:
    """Return the version a row says it comes from; empty where it says none."""
    version: str = row["package_version"]
    return "" if version in UNSET else version


def begin(shape: shapes.Pattern, row: Row) -> Pattern:
    """Return a pattern that has seen nothing yet; `Fold` lets it see `row`."""
    return Pattern(
        system_id=row["system_id"],
        key=shape.key,
        template=shape.template,
        exception=shape.exception,
        frame=shape.frame,
        logger=row["name"][:ID_MAX],
        levelno=row["levelno"],
        words=fold("\n".join((shape.template, shape.exception, shape.frame, row["name"][:ID_MAX], row["system_id"]))),
        count=0,
        first_seen=row["received"],
        last_seen=row["received"],
        first_version=version_of(row),
        newest_version=version_of(row),
    )


class Fold:
    """A pattern while rows are added to it; `finish` puts everything back into its fields."""

    def __init__(self, pattern: Pattern) -> None:
        self.pattern = pattern
        self.came_back = False
        self._hours: dict[int, int] = dict(pattern.hours)
        self._versions: list[dict[str, Any]] = list(pattern.versions)
        self._by_version = {each["version"]: each for each in self._versions}
        self._samples: list[Row | dict[str, Any]] = list(pattern.samples)

    def take(self, row: Row) -> None:
        """Add one row."""
        pattern, received = self.pattern, row["received"]
        pattern.count += 1
        pattern.levelno = max(pattern.levelno, row["levelno"])
        pattern.first_seen = min(pattern.first_seen, received)
        pattern.last_seen = max(pattern.last_seen, received)
        hour = hour_of(received)
        self._hours[hour] = self._hours.get(hour, 0) + 1
        self._take_version(version_of(row), received)
        if len(self._samples) < SAMPLES:
            self._samples.append(row)
        else:
            self._samples = [self._samples[0], *self._samples[2:], row]
        if pattern.state == Pattern.State.RESOLVED and self._is_a_regress(row):
            self._regress(row)

    def _take_version(self, version: str, received: datetime) -> None:
        known = self._by_version.get(version)
        if known is not None:
            known["count"] += 1
            known["last"] = received.isoformat()
            return
        self.pattern.newest_version = newest(self.pattern.newest_version, version)
        at = received.isoformat()
        fresh = {"version": version, "first": at, "last": at, "count": 1}
        self._versions.append(fresh)
        self._by_version[version] = fresh
        if len(self._versions) > VERSIONS:
            del self._by_version[self._versions.pop(1)["version"]]

    def _is_a_regress(self, row: Row) -> bool:
        """Whether a row means that a resolved pattern is back: it came after that, from no version older than the mend."""
        decided_at, mended = self.pattern.decided_at, self.pattern.resolved_in
        if decided_at is None or row["received"] <= decided_at:
            return False
        return not (mended and is_older(version_of(row), mended))

    def _regress(self, row: Row) -> None:
        self.came_back = True
        self.pattern.state = Pattern.State.OPEN
        self.pattern.regressed = True
        self.pattern.regressed_at = row["received"]
        self.pattern.regressed_in = version_of(row)

    def finish(self) -> Pattern:
        """Return the pattern with all that was added."""
        oldest = max(self._hours) - HOURS
        self.pattern.hours = sorted([hour, count] for hour, count in self._hours.items() if hour > oldest)
        self.pattern.versions = self._versions
        self.pattern.samples = [each if "text" in each else sample(each) for each in self._samples]
        return self.pattern


def sample(row: Row) -> dict[str, Any]:
    """Return what is kept of a row as an example: bounded copies of its texts, so that it outlives the row."""
    return {
        "id": row["id"],
        "created": row["created"].isoformat(),
        "received": row["received"].isoformat(),
        "level": row["levelname"][:20] or str(row["levelno"]),
        "host": row["sub_system_id"],
        "version": version_of(row),
        "place": _place(row),
        "text": _cut(row["message"], SAMPLE_TEXT),
        "traceback": _shortened(row["exc_text"]),
    }


def _place(row: Row) -> str:
    file, function = row["filename"] or row["module"], row["funcname"]
    place = f"{file}:{row['lineno']}" if file and row["lineno"] else file
    return " in ".join(part for part in (place, function) if part)[:ID_MAX]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + "…"


def _shortened(text: str) -> str:
    """Return a traceback with its middle left out where it is long: the end tells most, then the beginning."""
    if len(text) <= SAMPLE_TRACEBACK_HEAD + SAMPLE_TRACEBACK_TAIL:
        return text
    head = text[:SAMPLE_TRACEBACK_HEAD].rpartition("\n")[0] or text[:SAMPLE_TRACEBACK_HEAD]
    tail = text[-SAMPLE_TRACEBACK_TAIL:].partition("\n")[2] or text[-SAMPLE_TRACEBACK_TAIL:]
    return f"{head}\n  … {len(text) - len(head) - len(tail):,} characters left out …\n{tail}"
