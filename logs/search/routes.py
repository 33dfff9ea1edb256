"""Which index a search goes by: the one statement, or few, that bring the rows of a range of ids in order.

A route proposes rows by an index and asks the whole query of them; `Needs` tells which indexes every wanted row is in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db import connections, router

from logs import seen
from logs.models import Log
from logs.query import Query
from logs.query.conditions import Between, Condition, Like, conjuncts
from logs.query.sql import select
from logs.search.texts import TextClause, text_clause
from logs.search.visible import Visible

GRAVE = 40
"""The level from which rows have an index of their own."""
SPELLINGS_MAX = 20
"""More systems than this are not gone through one by one."""


@dataclass(frozen=True, slots=True)
class Clause:
    """A piece of SQL about logs_log, and its parameters."""

    sql: str
    params: tuple[Any, ...] = ()

    def __and__(self, other: Clause) -> Clause:
        return Clause(" AND ".join(filter(None, [self.sql, other.sql])), self.params + other.params)


ALL = Clause("")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a statement takes its rows from: the index by which it goes, and what makes it go by that.

    With `sorts` the index is in another order than the ids, so that the engine has to sort the rows it finds; what keeps
    it from walking the ids instead is that it cannot see them in the statement.
    """

    tables: str
    where: Clause = ALL
    number: str = "logs_log.id"
    sorts: bool = False

    def select(self, columns: Sequence[str], where: Clause, *, descending: bool) -> Clause:
        """Return the statement that brings rows of a range of ids in order; what it lacks is (low, high, limit)."""
        chosen = ", ".join(f"logs_log.{column}" for column in columns)
        number = f"{self.number} + 0" if self.sorts else self.number
        asked = self.where & where & Clause(f"{number} >= %s AND {number} <= %s")
        order = f"{number} {'DESC' if descending else 'ASC'}"
        return Clause(f"SELECT {chosen} FROM {self.tables} WHERE {asked.sql} ORDER BY {order} LIMIT %s", asked.params)


@dataclass(frozen=True)
class Route:
    """How the rows of one query are found.

    `sources` together have every wanted row, and none twice. `where` is asked of each. `is_straight` tells that nearly
    every row of the sources is wanted. `by_text` is the condition for the text index where the route goes by it.
    `plain` goes through all rows by number.
    `systems` has the sources that go by the systems, where the query names few; `moments` the bounds of `created`.
    """

    sources: tuple[Source, ...]
    where: Clause
    plain: Source
    is_straight: bool = False
    by_text: TextClause | None = None
    systems: tuple[Source, ...] = ()
    moments: tuple[datetime | None, datetime | None] = (None, None)
    ids: tuple[int | None, int | None] = (None, None)
    alias: str = field(default_factory=lambda: router.db_for_read(Log))

    @property
    def has_nothing(self) -> bool:
        """Whether it is known already that there are no rows."""
        return not self.sources

    @property
    def is_server(self) -> bool:
        """Whether the engine is PostgreSQL."""
        return connections[self.alias].vendor == "postgresql"

    def by_moment(self, during: Clause) -> Source:
        """Return the source that goes by the sender's time."""
        tables = "logs_log" if self.is_server else "logs_log INDEXED BY logs_log_created"
        return Source(tables, during, sorts=True)


def route(query: Query, visible: Visible) -> Route:
    """Choose by which index to search for `query`."""
    alias = router.db_for_read(Log)
    is_server = connections[alias].vendor == "postgresql"
    where = _where(query.condition, visible, alias)
    spelled = _spellings(query)
    if where is None or spelled is None:
        return Route((), ALL, _by_id(is_server))
    needs = query.needs
    systems = _by_system(spelled.get("system_id", []), needs.level, is_server)
    text = text_clause(needs.texts, alias) if needs.texts else None
    for column, values in spelled.items():
        if text or column != "system_id" or not systems:
            where = _among(column, values) & where
    low, high = needs.ranges.get("created", (None, None))
    first, last = needs.ranges.get("id", (None, None))
    return Route(
        sources=(_by_text(text, is_server),) if text else systems or (_by_id(is_server),),
        where=where,
        plain=_by_id(is_server),
        is_straight=_is_straight(query, by_text=text is not None, by_system=bool(systems)),
        by_text=text,
        systems=systems,
        moments=(_moment(low), _moment(high)),
        ids=(_whole(first), _whole(last)),
        alias=alias,
    )


def _moment(value: object) -> datetime | None:
    return value if isinstance(value, datetime) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and abs(value) < 2**63 else None


@lru_cache(maxsize=256)
def _where(condition: Condition, visible: Visible, alias: str) -> Clause | None:
    """Return a condition, and what may be seen, as SQL; None where nothing can be selected.

    A page asks for its rows, their number, their facets and their histogram: all by the same condition.
    """
    selected = visible.rows().filter(select(condition)).query
    try:
        sql, params = selected.get_compiler(alias).compile(selected.where)
    except FullResultSet:
        return ALL
    except EmptyResultSet:
        return None
    return Clause(f"({sql})", tuple(params))


def _spellings(query: Query) -> dict[str, list[str]] | None:
    """Return for each column that must have one of some values how these are really spelled.

    None where a column has never had any of them: then there is nothing to look for.
    """
    found: dict[str, list[str]] = {}
    for column, folded in query.needs.equal.items():
        spelled = [] if not folded else seen.spellings(column, folded)
        if spelled is None:
            continue
        if not spelled:
            return None
        found[column] = spelled
    return found


def _among(column: str, values: Sequence[str]) -> Clause:
    return Clause(f"logs_log.{column} IN ({', '.join(['%s'] * len(values))})", tuple(values))


# SQLite keeps no statistics here, so it is told which index to take; PostgreSQL has them, and no way to be told.
def _by_id(is_server: bool) -> Source:
    return Source("logs_log" if is_server else "logs_log NOT INDEXED")


def _by_system(names: Sequence[str], level: int, is_server: bool) -> tuple[Source, ...]:
    if not names or len(names) > SPELLINGS_MAX:
        return ()
    is_grave = level >= GRAVE
    index = "logs_log_system_error" if is_grave else "logs_log_system"
    tables = "logs_log" if is_server else f"logs_log INDEXED BY {index}"
    # Literally what the partial index says: an engine does not reckon that 50 is more than 40.
    grave = Clause(f"logs_log.levelno >= {GRAVE}") if is_grave else ALL
    return tuple(Source(tables, Clause("logs_log.system_id = %s", (name,)) & grave) for name in names)


def _by_text(text: TextClause, is_server: bool) -> Source:
    where = Clause(text.sql, text.params)
    if is_server:
        return Source("logs_log", where)
    # CROSS JOIN is how SQLite is told to go through the text index, and to take each row by its number.
    tables = "logs_log_text CROSS JOIN logs_log ON logs_log.id = logs_log_text.rowid"
    return Source(tables, where, "logs_log_text.rowid")


def _is_straight(query: Query, *, by_text: bool, by_system: bool) -> bool:
    """Whether the index of the route says nearly all there is to say."""
    parts = conjuncts(query.condition)
    if by_text:
        return len(parts) == 1
    return by_system and all(_is_system(part) or _is_grave(part) for part in parts)


def _is_system(part: object) -> bool:
    return isinstance(part, Like) and part.field.columns == ("system_id",) and part.literal is not None


def _is_grave(part: object) -> bool:
    if not isinstance(part, Between) or part.field.columns != ("levelno",) or part.high is not None:
        return False
    return part.low is not None and part.low.inclusive and part.low.value == GRAVE
