"""Which values the fields that people choose by have had: a bounded table that the store keeps with every batch.

A search asks it how a value is really spelled, so that its case costs no scan, and learns at once that a value was never
there. So it must be complete, or say that it is not: a field of which a value was left out has a marker.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Sequence
from operator import itemgetter

from django.db import connection, transaction

from logs.models import ID_MAX, SeenValue
from logs.query.folding import fold
from logs.record import Record

FIELDS = (
    "system_id",
    "sub_system_id",
    "sub_sub_system_id",
    "produkt_id",
    "user_spec_1",
    "user_spec_2",
    "package_version",
    "name",
    "levelname",
)
VALUES_MAX = 10_000
"""How many values are kept of a field."""
LENGTH_MAX = ID_MAX
"""Longer values are not kept. Two texts that are equal but for case have the same length, so none is missed."""
INCOMPLETE = ""
"""Stands for the values of a field that were left out; an empty value is never kept otherwise."""
COMBINATIONS_MAX = 50_000

_Pair = tuple[str, str]
"""A field and a value of it."""

_INSERT = """
INSERT INTO logs_seenvalue (field, value, folded) VALUES (%s, %s, %s) ON CONFLICT (field, value) DO NOTHING
"""
_SELECT = "SELECT value FROM logs_seenvalue WHERE field = %s AND folded IN"
_values_of = itemgetter(*map(Record._fields.index, FIELDS))


class _Known:
    """What is in the table for certain, as far as this process has read or written it.

    Records of one program have the same few combinations of values, so most of them cost one look into a set.
    """

    def __init__(self) -> None:
        self._combinations: set[tuple[str, ...]] = set()
        self._values: dict[str, set[str]] | None = None
        self._lock = threading.Lock()

    def remember(self, records: Iterable[Record]) -> None:
        """Add what `records` have that was never seen. Call it in the transaction that stores them."""
        combinations = set(map(_values_of, records))
        with self._lock:
            combinations -= self._combinations
            fresh = self._fresh(combinations) if combinations else []
        if fresh:
            with connection.cursor() as cursor:
                cursor.executemany(_INSERT, [(field, value, fold(value)) for field, value in fresh])
        if combinations:
            # Not before the commit: what was rolled back must be written again.
            transaction.on_commit(lambda: self._accept(combinations, fresh))

    def forget(self) -> None:
        """Read the table anew at the next batch, as when rows of it were deleted."""
        with self._lock:
            self._combinations.clear()
            self._values = None

    def _fresh(self, combinations: Collection[tuple[str, ...]]) -> list[_Pair]:
        """Return the pairs to be written, in the one order in which all writers write them."""
        if self._values is None:
            self._values = _stored()
        fresh: list[_Pair] = []
        for field, values in zip(FIELDS, zip(*combinations, strict=True), strict=True):
            fresh += [(field, value) for value in _admitted(set(values), self._values[field])]
        return sorted(fresh)

    def _accept(self, combinations: Collection[tuple[str, ...]], fresh: Sequence[_Pair]) -> None:
        with self._lock:
            if self._values is None:
                return
            if len(self._combinations) + len(combinations) > COMBINATIONS_MAX:
                self._combinations.clear()
            self._combinations.update(combinations)
            for field, value in fresh:
                self._values[field].add(value)


def _stored() -> dict[str, set[str]]:
    known: dict[str, set[str]] = {field: set() for field in FIELDS}
    for field, value in SeenValue.objects.filter(field__in=FIELDS).values_list("field", "value"):
        known[field].add(value)
    return known


def _admitted(values: set[str], known: set[str]) -> list[str]:
    """Return which of the `values` of one field get a place; where one gets none, the marker does."""
    strangers = sorted(value for value in values - known if value and len(value) <= LENGTH_MAX)
    room = max(0, VALUES_MAX - len(known))
    if len(strangers) > room and INCOMPLETE not in known:
        return [*strangers[:room], INCOMPLETE]
    return strangers[:room]


_known = _Known()
remember = _known.remember
forget = _known.forget


def spellings(field: str, folded: Collection[str]) -> list[str] | None:
    """Return in which spellings the column `field` has had these folded values.

    None where that is not known: the field has no place in the table, or has had more values than are kept.
    """
    if field not in FIELDS or any(len(value) > LENGTH_MAX for value in folded):
        return None
    asked = [field, INCOMPLETE, *folded]
    with connection.cursor() as cursor:
        cursor.execute(f"{_SELECT} ({', '.join(['%s'] * (len(asked) - 1))})", asked)
        values = [value for (value,) in cursor.fetchall()]
    return None if INCOMPLETE in values else sorted(values)


def values(field: str, prefix: str, limit: int) -> list[str]:
    """Return values of the column `field` that begin with `prefix`, whatever its case, in alphabetical order."""
    found = SeenValue.objects.filter(field=field, folded__startswith=fold(prefix)).exclude(value=INCOMPLETE)
    return list(found.order_by("folded", "value").values_list("value", flat=True)[:limit])
