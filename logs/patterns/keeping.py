"""Keeps the table of patterns: a reader of the log that looks at rows at WARNING and above."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import ClassVar

from django.conf import settings
from django.db.models import Case, F, QuerySet, Value, When
from django.utils import timezone

from logs.models import Level, Pattern, PatternTable
from logs.patterns import shapes
from logs.patterns.doings import say
from logs.patterns.state import Fold, Row, begin
from logs.readers import Reader, readers

LEAST = Level.WARNING
MESSAGES_REMEMBERED = 4_096
SHARE = 10
"""No system has more than this part of the table, so that one that babbles does not push out the others."""

Key = tuple[str, str]
"""A system and the key of one of its patterns."""

_FIELDS = [field.name for field in Pattern._meta.concrete_fields if field.name not in ("id", "system_id", "key")]


@readers.register("patterns")
class PatternReader(Reader):
    """Groups rows by pattern. Whether one comes back in a resolved pattern is seen here, and said in a row of its own."""

    name: ClassVar[str] = "patterns"

    def __init__(self) -> None:
        self._own_roots: tuple[str, ...] = settings.OWN_ROOTS

    def prepare(self, rows: Sequence[Row]) -> list[tuple[Row, shapes.Pattern]]:
        return [(row, self._pattern_of(row)) for row in rows if row["levelno"] >= LEAST]

    def _pattern_of(self, row: Row) -> shapes.Pattern:
        message: str = row["message"]
        if row["exc_text"] or len(message) > shapes.MESSAGE_READ:
            return shapes.pattern_of(message, row["exc_text"], own_roots=self._own_roots)
        return _remembered(message, self._own_roots)

    def store(self, prepared: Sequence[tuple[Row, shapes.Pattern]]) -> None:
        if not prepared:
            return
        folds = self._folds(prepared)
        fresh = {fold.pattern.system_id for fold in folds.values() if fold.pattern.pk is None}
        for row, shape in prepared:
            folds[row["system_id"], shape.key].take(row)
        _write(folds[key].finish() for key in sorted(folds))
        for fold in folds.values():
            if fold.came_back:
                _tell(fold.pattern)
        if fresh:
            make_room(fresh, settings.PATTERNS_MAX, timezone.now())

    def _folds(self, prepared: Sequence[tuple[Row, shapes.Pattern]]) -> dict[Key, Fold]:
        """Return what is known of the patterns of these rows, new ones among them; nobody else changes them now."""
        begun = {}
        for row, shape in prepared:
            key = (row["system_id"], shape.key)
            if key not in begun:
                begun[key] = (shape, row)
        known = {(pattern.system_id, pattern.key): pattern for pattern in _known(begun)}
        return {key: Fold(known.get(key) or begin(*begun[key])) for key in begun}


def _shape_of(message: str, own_roots: tuple[str, ...]) -> shapes.Pattern:
    return shapes.pattern_of(message, own_roots=own_roots)


_remembered = lru_cache(maxsize=MESSAGES_REMEMBERED)(_shape_of)


def _known(keys: Iterable[Key]) -> QuerySet[Pattern]:
    systems, patterns = {system for system, _ in keys}, {key for _, key in keys}
    # In one order, so that two never wait for each other.
    return Pattern.objects.select_for_update().filter(system_id__in=systems, key__in=patterns).order_by("id")


def _write(patterns: Iterable[Pattern]) -> None:
    Pattern.objects.bulk_create(
        [_without_id(pattern) for pattern in patterns],
        update_conflicts=True,
        unique_fields=["system_id", "key"],
        update_fields=_FIELDS,
    )


def _without_id(pattern: Pattern) -> Pattern:
    pattern.pk = None  # it is found by system and key
    return pattern


def _tell(pattern: Pattern) -> None:
    version = f" in version {pattern.regressed_in}" if pattern.regressed_in else ""
    say(
        f"an error of {pattern.system_id or 'an unknown system'} that was resolved has come back{version}: "
        f"{pattern.template}",
        at=timezone.now(),
        level=logging.INFO,
    )


def make_room(systems: Iterable[str], most: int, now: datetime) -> int:
    """Delete patterns beyond `most`, and those of each of `systems` beyond its share; return how many went.

    Those that are resolved or ignored go first, and of either kind those that were not seen for longest.
    """
    gone = 0
    for system in sorted(systems):
        gone += _shorten(Pattern.objects.filter(system_id=system), max(1, most // SHARE))
    gone += _shorten(Pattern.objects.all(), most)
    if gone:
        PatternTable.objects.get_or_create(id=1)
        PatternTable.objects.filter(id=1).update(dropped=F("dropped") + gone, dropped_at=now)
    return gone


def _shorten(patterns: QuerySet[Pattern], most: int) -> int:
    over = patterns.count() - most
    if over <= 0:
        return 0
    settled_first = Case(When(state=Pattern.State.OPEN, then=Value(1)), default=Value(0))
    going = list(patterns.order_by(settled_first, "last_seen", "id").values_list("id", flat=True)[:over])
    return Pattern.objects.filter(id__in=going).delete()[0]
