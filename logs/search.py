"""Which rows a person asked for: the filter, what it says of one row, and pages of the rows it fits.

The database proposes, `Filter.matches` decides. What SQL asks for is never narrower than the filter, so that both
engines, the page and the live view agree on every row whatever an engine thinks of Ü, İ or ß.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from itertools import product
from typing import Any, Self
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import connections, router
from django.db.models import QuerySet

from logs.models import ID_MAX, Level, Log
from logs.query.folding import CASED, fold

Row = dict[str, Any]
Person = AbstractBaseUser | AnonymousUser

PAGE_ROWS = 200
PAGE_ROWS_MAX = 1_000
TEXT_MAX = 1_000
COLUMNS = tuple(field.attname for field in Log._meta.concrete_fields)

# The ids by which a record says whose it is, with the word the pages use for each.
IDS = {
    "system_id": "System",
    "sub_system_id": "Host",
    "sub_sub_system_id": "Part",
    "produkt_id": "Product",
    "user_spec_1": "User 1",
    "user_spec_2": "User 2",
}
RANGES = {
    "15m": ("Last 15 min", timedelta(minutes=15)),
    "1h": ("Last 1 h", timedelta(hours=1)),
    "6h": ("Last 6 h", timedelta(hours=6)),
    "24h": ("Last 24 h", timedelta(hours=24)),
    "7d": ("Last 7 days", timedelta(days=7)),
}
# What stands in an address beside the filter: where a page begins, and how long it is.
CURSORS = frozenset({"before", "after", "limit"})


# --- Who may see what ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Visible:
    """The rows one person may see, as a query and as a question about one row. Today: all of them."""

    def rows(self) -> QuerySet[Log]:
        """Return what may be seen; every door takes its rows from here."""
        return Log.objects.all()

    def allows(self, row: Mapping[str, Any]) -> bool:
        """Whether this row may be seen."""
        return True


def visible_to(person: Person) -> Visible:
    """Return what `person` may see."""
    return Visible()


# --- Upper and lower case ------------------------------------------------------------------------------------------

# Up to here (Latin, Greek, Cyrillic) all engines fold the pairs as we do; later scripts differ by their version.
_SAME_EVERYWHERE = 0x4FF
_TOO_YOUNG = frozenset("\u037f\u03f3")  # Yot became a pair with Unicode 7, which SQLite's tables do not know.

_folded = lru_cache(maxsize=1_024)(fold)


def _indexable(character: str) -> bool:
    """Whether every engine folds this character as `fold` does, so that its index may be asked for it."""
    common = ord(character) <= _SAME_EVERYWHERE and character not in _TOO_YOUNG
    return common or ord(character) not in CASED


# --- The filter ----------------------------------------------------------------------------------------------------


class FilterError(ValueError):
    """A filter that cannot be understood; `errors` says for each field what is wrong and what is allowed."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__(" ".join(errors.values()))
        self.errors = dict(errors)


@dataclass(frozen=True, slots=True)
class Filter:
    """What somebody wants to see. Every part that is set must hold; an empty filter fits every row.

    `text` is a piece of the message or of the traceback, in any case. `level` is the lowest level number wanted.
    The ids are compared as they stand. `since` and `until` bound `created` (from, and up to but not including);
    `last` is the name of a quick range, from which `since` was reckoned.
    """

    text: str = ""
    level: int = 0
    system_id: str = ""
    sub_system_id: str = ""
    sub_sub_system_id: str = ""
    produkt_id: str = ""
    user_spec_1: str = ""
    user_spec_2: str = ""
    since: datetime | None = None
    until: datetime | None = None
    last: str = ""

    @classmethod
    def parse(cls, data: Mapping[str, str], now: datetime) -> Self:
        """Return the filter that the parameters of an address describe; raise FilterError with every fault at once."""
        values: dict[str, Any] = {}
        errors: dict[str, str] = {}
        for name in data:
            text = data.get(name) or ""
            if name in CURSORS or not text.strip():
                continue
            try:
                values[name] = _read(name, text)
            except ValueError as error:
                errors[name] = str(error)
        if "last" in values and ({"since", "until"} & values.keys()):
            errors["last"] = "Choose either a quick range or a time from and to, not both."
        if not errors and values.get("since") and values.get("until") and values["since"] >= values["until"]:
            errors["since"] = "The time “from” must be before the time “to”."
        if errors:
            raise FilterError(errors)
        if "last" in values:
            values["since"] = now - RANGES[values["last"]][1]
        return cls(**values)

    def parameters(self) -> dict[str, str]:
        """Return what `parse` reads back into this filter."""
        given: dict[str, str] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if not value or (field.name == "since" and self.last):
                continue
            if field.name == "level":
                value = Level(value).name if value in Level.values else value
            given[field.name] = value.isoformat() if isinstance(value, datetime) else str(value)
        return given

    def to_querystring(self) -> str:
        """Return the filter as the query of an address, without the question mark."""
        return urlencode(self.parameters())

    def matches(self, row: Mapping[str, Any]) -> bool:
        """Whether this row is one of those wanted: the one definition, for every engine and the live view."""
        if row["levelno"] < self.level:
            return False
        for name in IDS:
            wanted = getattr(self, name)
            if wanted and row[name] != wanted:
                return False
        if self.since is not None and row["created"] < self.since:
            return False
        if self.until is not None and row["created"] >= self.until:
            return False
        return not self.text or self._mentioned(row)

    def _mentioned(self, row: Mapping[str, Any]) -> bool:
        needle = _folded(self.text)
        return needle in fold(row["message"]) or needle in fold(row["exc_text"])


def _read(name: str, text: str) -> Any:
    """Return one parameter's value; raise ValueError with a sentence for the person who wrote it."""
    if "\0" in text:
        raise ValueError(f"{name}: a NUL character cannot be searched for; herald stores none.")
    if name == "text":
        return _read_text(text)
    if name == "level":
        return _read_level(text)
    if name in IDS:
        if len(text) > ID_MAX:
            raise ValueError(f"{IDS[name]}: at most {ID_MAX} characters.")
        return text
    if name in ("since", "until"):
        return _read_time(text)
    if name == "last":
        if text not in RANGES:
            raise ValueError(f"The range {text!r} is not known; choose one of {', '.join(RANGES)}.")
        return text
    known = ", ".join(field.name for field in fields(Filter))
    raise ValueError(f"There is no filter {name[:50]!r}; there are {known}.")


def _read_text(text: str) -> str:
    text = text.strip()
    if len(text) > TEXT_MAX:
        raise ValueError(f"The text is {len(text):,} characters long; at most {TEXT_MAX:,} can be searched for.")
    return text


def _read_level(text: str) -> int:
    name = text.strip().upper()
    if name in Level.names:
        return Level[name].value
    if name.isascii() and name.isdigit() and len(name) <= 4:
        return int(name)
    raise ValueError(f"The level {text[:50]!r} is not known; choose one of {', '.join(Level.names)} or a number.")


def _read_time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text[:50]!r} is not a date and time such as 2026-11-22T14:03 or 2026-11-22T14:03Z."
        ) from None


# --- What SQL is asked for -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _TextClause:
    """How an engine finds candidates for a text: `extra` clauses, where the id is to be bounded, and by what order."""

    tables: Sequence[str]
    where: Sequence[str]
    params: Sequence[str]
    id_column: str = "logs_log.id"
    indexed: bool = True


TOKENS_MAX = 16


def _tokens(text: str) -> list[str]:
    """Return pieces of three characters that every row with this text has in its index, at most TOKENS_MAX."""
    pieces = (text[at : at + 3] for at in range(len(text) - 2))
    usable = list(dict.fromkeys(piece for piece in pieces if all(map(_indexable, piece))))
    step = max(1, -(-len(usable) // TOKENS_MAX))
    return usable[::step]


def _sqlite_clause(text: str) -> _TextClause:
    """FTS5 with detail=none knows only single tokens: all of them must occur, the row itself is verified afterwards."""
    tokens = _tokens(text)
    if not tokens:
        return _sqlite_scan(text)
    match = " AND ".join('"{}"'.format(token.replace('"', '""')) for token in tokens)
    # The plus sign keeps SQLite from walking Log and asking the text index about every single row.
    return _TextClause(
        tables=["logs_log_text"],
        where=["logs_log.id = +logs_log_text.rowid", "logs_log_text MATCH %s"],
        params=[match],
        id_column="logs_log_text.rowid",
    )


def _sqlite_scan(text: str) -> _TextClause:
    """Without a token every row is looked at. LIKE knows the case of ASCII alone; other letters become wildcards."""
    pattern = "".join(_literal(character) if character.isascii() else "_" for character in text)
    return _TextClause(
        tables=[],
        where=["(logs_log.message LIKE %s ESCAPE '\\' OR logs_log.exc_text LIKE %s ESCAPE '\\')"],
        params=[f"%{pattern}%", f"%{pattern}%"],
        indexed=False,
    )


def _literal(character: str) -> str:
    """Return a character as it stands for itself in a pattern of LIKE."""
    return "\\" + character if character in "\\%_" else character


@cache
def _folds(alias: str) -> tuple[bool, bool]:
    """Return whether this PostgreSQL database folds ASCII, and the letters beyond it, as `fold` does.

    A database of locale C folds ASCII alone and its trigrams drop all else; a Turkish one has another lower I.
    """
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT lower('AIZ') = 'aiz', lower('ÜЖ') = 'üж'")
        plain, beyond = cursor.fetchone()
    return plain, beyond


def _postgresql_clause(text: str, alias: str) -> _TextClause:
    """ILIKE over the trigram index; a character whose case the database treats otherwise becomes a wildcard."""
    if len(text) <= 2:
        return _postgresql_scan(text)
    plain, beyond = _folds(alias)
    pattern = "".join(
        _literal(character) if plain and (character.isascii() or (beyond and _indexable(character))) else "_"
        for character in text
    )
    return _TextClause(
        tables=[],
        where=["(logs_log.message ILIKE %s OR logs_log.exc_text ILIKE %s)"],
        params=[f"%{pattern}%", f"%{pattern}%"],
        indexed=any(len(run) >= 3 for run in re.findall(r"[^\W_]+", pattern)),
    )


def _postgresql_scan(text: str) -> _TextClause:
    """Every spelling of one or two characters, each by LIKE: ILIKE would fold the whole of every row first."""
    cases = [{_literal(case) for case in (character, fold(character), _upper(character))} for character in text]
    patterns = [f"%{''.join(spelling)}%" for spelling in product(*map(sorted, cases))]
    either = " OR ".join(f"logs_log.{column} LIKE %s" for column in ("message", "exc_text") for _ in patterns)
    return _TextClause(tables=[], where=[f"({either})"], params=patterns * 2, indexed=False)


def _upper(character: str) -> str:
    """Return the capital that `fold` takes back to this letter, if there is one."""
    capital = character.upper()
    return capital if len(capital) == 1 and fold(capital) == fold(character) else character


def _text_clause(text: str, alias: str) -> _TextClause | None:
    if not text:
        return None
    vendor = connections[alias].vendor
    return _postgresql_clause(text, alias) if vendor == "postgresql" else _sqlite_clause(text)


def _narrowed(rows: QuerySet[Log], wanted: Filter) -> QuerySet[Log]:
    """Return `rows` with every condition that means the same in SQL."""
    rows = rows.filter(**{name: value for name in IDS if (value := getattr(wanted, name))})
    if wanted.level:
        rows = rows.filter(levelno__gte=wanted.level)
    if wanted.since is not None:
        rows = rows.filter(created__gte=wanted.since)
    if wanted.until is not None:
        rows = rows.filter(created__lt=wanted.until)
    return rows


# --- Pages ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, newest arrival first, and where to go on.

    `older` and `newer` are what to give as `before` and `after` for the next page in that direction; None where there
    is no more. A page that is not `complete` ran out of time: it looked at everything that arrived since
    `searched_to`, and `older` (or `newer`) goes on from there.
    """

    rows: list[Row]
    older: int | None
    newer: int | None
    complete: bool = True
    searched_to: datetime | None = None


FIRST_SLICE = 20_000
FIRST_SLICE_INDEXED = 500_000
CHUNK = 400
NARROW = 5_000
QUICK, SLOW = 0.05, 0.3


class _Walk:
    """One search through the ids, in slices small enough that the deadline is kept.

    A slice that was answered quickly makes the next one larger, a slow one makes it smaller; so gaps in the ids and
    rows that an index skips cost next to nothing, and a scan stays interruptible.
    """

    def __init__(self, person: Person, wanted: Filter, *, descending: bool, clock: Callable[[], float]) -> None:
        self.visible = visible_to(person)
        self.wanted = wanted
        self.descending = descending
        self.clock = clock
        self.alias = router.db_for_read(Log)
        self.text = _text_clause(wanted.text, self.alias)
        self.edge: int | None = None
        self.complete = True

    def rows(self, low: int, high: int, limit: int, ends_at: float) -> list[Row]:
        """Return up to `limit` rows with low <= id <= high that match; `edge` is the last id looked at."""
        found: list[Row] = []
        for candidates in self._candidates(low, high, limit, ends_at):
            found += [row for row in candidates if self.wanted.matches(row) and self.visible.allows(row)]
            if len(found) >= limit:
                return found[:limit]
        return found

    def _candidates(self, low: int, high: int, limit: int, ends_at: float) -> Iterator[list[Row]]:
        narrow = self._ids_of_narrow_time(low, high)
        if narrow is not None:
            yield from self._by_ids(narrow)
        else:
            yield from self._by_slices(low, high, limit, ends_at)

    def _ids_of_narrow_time(self, low: int, high: int) -> list[int] | None:
        """Return the ids of a time range that holds few rows, which the index on `created` finds wherever they lie."""
        if self.wanted.since is None and self.wanted.until is None:
            return None
        within = _narrowed(self.visible.rows(), Filter(since=self.wanted.since, until=self.wanted.until))
        ids = list(within.order_by("created", "id").values_list("id", flat=True)[: NARROW + 1])
        if len(ids) > NARROW:
            return None
        return sorted((number for number in ids if low <= number <= high), reverse=self.descending)

    def _by_ids(self, ids: list[int]) -> Iterator[list[Row]]:
        for at in range(0, len(ids), CHUNK):
            chosen = ids[at : at + CHUNK]
            self.edge = chosen[-1]
            rows = _narrowed(self.visible.rows().filter(id__in=chosen), self.wanted)
            yield list(rows.order_by("-id" if self.descending else "id").values(*COLUMNS))

    def _by_slices(self, low: int, high: int, limit: int, ends_at: float) -> Iterator[list[Row]]:
        span = FIRST_SLICE_INDEXED if self.text is not None and self.text.indexed else FIRST_SLICE
        size = min(CHUNK, limit) if self.text is None else CHUNK
        while low <= high:
            started = self.clock()
            if started > ends_at and self.edge is not None:
                self.complete = False
                return
            bounds = (max(low, high - span + 1), high) if self.descending else (low, min(high, low + span - 1))
            candidates = self._slice(*bounds, size)
            if len(candidates) == size:
                self.edge = candidates[-1]["id"]
            else:
                self.edge = bounds[0] if self.descending else bounds[1]
            if self.descending:
                high = self.edge - 1
            else:
                low = self.edge + 1
            yield candidates
            span = _next_span(span, self.clock() - started)

    def _slice(self, low: int, high: int, size: int) -> list[Row]:
        rows = _narrowed(self.visible.rows(), self.wanted)
        direction = "-" if self.descending else ""
        if self.text is None:
            rows = rows.filter(id__gte=low, id__lte=high).order_by(f"{direction}id")
        else:
            # Both engines' text search is beyond the ORM; nothing but these constants goes into the SQL.
            column = self.text.id_column
            rows = rows.order_by().extra(  # noqa: S610
                tables=list(self.text.tables),
                where=[*self.text.where, f"{column} >= %s", f"{column} <= %s"],
                params=[*self.text.params, low, high],
                order_by=[f"{direction}{column}"],
            )
        return list(rows.values(*COLUMNS)[:size])


def _next_span(span: int, seconds: float) -> int:
    if seconds < QUICK:
        return span * 4
    return max(1_000, span // 4) if seconds > SLOW else span


def page(
    person: Person,
    wanted: Filter,
    *,
    before: int | None = None,
    after: int | None = None,
    limit: int = PAGE_ROWS,
    within: timedelta | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Page:
    """Return the newest matching rows, or those next to the row `before` (older ones) or `after` (newer ones).

    Looks no longer than about `within` (default: settings.SEARCH_DEADLINE); what it did not reach it says. Never
    counts, never skips by OFFSET.
    """
    within = settings.SEARCH_DEADLINE if within is None else within
    walk = _Walk(person, wanted, descending=after is None, clock=clock)
    oldest, newest = _ends(walk.visible)
    low = oldest if after is None else max(oldest, after + 1)
    high = newest if before is None else min(newest, before - 1)
    found = walk.rows(low, high, limit + 1, clock() + within.total_seconds())
    more = len(found) > limit
    rows = found[:limit]
    further = rows[-1]["id"] if more else None
    if not more and not walk.complete:
        further = walk.edge
    searched_to = None if walk.complete or more else _arrival(walk)
    complete = walk.complete or more
    if after is None:
        newer = None if before is None else (rows[0]["id"] if rows else before - 1)
        return Page(rows, further, newer, complete, searched_to)
    rows.reverse()
    older = rows[-1]["id"] if rows else after + 1
    return Page(rows, older, further, complete, searched_to)


def row(person: Person, number: int) -> Row | None:
    """Return one row that `person` may see, or None."""
    visible = visible_to(person)
    found = visible.rows().filter(id=number).values(*COLUMNS).first()
    return found if found is not None and visible.allows(found) else None


def _ends(visible: Visible) -> tuple[int, int]:
    """Return the ids of the oldest and of the newest row; (1, 0) when there is none."""
    ids = visible.rows().values_list("id", flat=True)
    newest = ids.order_by("-id").first()
    return (1, 0) if newest is None else (ids.order_by("id").first() or newest, newest)


def _arrival(walk: _Walk) -> datetime | None:
    """Return when the row arrived at which the walk ended."""
    near = walk.visible.rows().filter(id__gte=walk.edge).order_by("id").values_list("received", flat=True)
    return near.first()
