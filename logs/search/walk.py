"""One search through the ids, in slices small enough that a deadline is kept.

A slice that was answered quickly makes the next one larger, a slow one makes it smaller; so gaps in the ids and rows that an
index skips cost next to nothing, and a scan stays interruptible. Before it scans, a search looks whether some index has so
few rows that all of them can be looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain
from operator import itemgetter
from typing import Any

from django.db import OperationalError, connections, transaction

from logs.query import Query
from logs.search.routes import Clause, Source, route
from logs.search.visible import Visible
from logs.tail import NAMES, Row, row_maker

COLUMNS = NAMES
Clock = Callable[[], float]
Values = Sequence[Any]

FIRST_SLICE = 20_000
FIRST_SLICE_OF_TEXT = 500_000
WHOLE = 2**62
CHUNK = 400
NARROW = 5_000
BOUNDING_CHUNK = 200_000
QUICK, SLOW = 0.05, 0.3


class Walk:
    """The rows of one query, in the order of their ids, as far as the time goes.

    After `rows`, `edge` is the last id looked at (None before the first one), and `is_complete` tells whether nothing was
    left out for want of time.
    """

    def __init__(
        self,
        visible: Visible,
        query: Query,
        *,
        within: timedelta,
        descending: bool = True,
        columns: Sequence[str] = COLUMNS,
        clock: Clock = time.monotonic,
    ) -> None:
        self.route = route(query, visible)
        self.descending = descending
        self.clock = clock
        self.started = clock()
        self.ends_at = self.started + within.total_seconds()
        self.edge: int | None = None
        self.is_complete = True
        self._low, self._high = 1, 0
        self._residual = query.residual()
        self._columns = columns if self._residual is None else COLUMNS
        self._row_of = row_maker(self._columns)
        self._connection = connections[self.route.alias]

    def rows(self, low: int, high: int, limit: int) -> list[Row]:
        """Return up to `limit` wanted rows with low <= id <= high, with at least the columns asked for."""
        if self.route.has_nothing:
            return []
        least, most = self.route.ids
        self._low = low if least is None else max(low, least)
        self._high = high if most is None else min(high, most)
        found: list[Row] = []
        for proposed in self._proposed(limit):
            found += self._wanted(proposed)
            if len(found) >= limit:
                return found[:limit]
        return found

    def ends(self) -> tuple[int, int]:
        """Return the ids of the oldest and of the newest row; (1, 0) when there is none."""
        ((oldest, newest),) = self._run(Clause("SELECT (SELECT min(id) FROM logs_log), (SELECT max(id) FROM logs_log)"))
        return (1, 0) if newest is None else (oldest, newest)

    def arrival(self, number: int) -> datetime | None:
        """Return when the first row at or after `number` arrived."""
        found = self._run(Clause("SELECT received FROM logs_log WHERE id >= %s ORDER BY id LIMIT 1", (number,)))
        moment: datetime | None = row_maker(("received",))(found[0])["received"] if found else None
        return moment

    def _wanted(self, proposed: Iterable[Values]) -> list[Row]:
        rows = list(map(self._row_of, proposed))
        return rows if self._residual is None else [row for row in rows if self._residual(row)]

    # --- One attempt after the other ---

    def _proposed(self, limit: int) -> Iterator[list[Values]]:
        size = limit if self._residual is None else max(CHUNK, min(limit, NARROW))
        slices = self._slices(size)
        if self.route.moments[1] is None:
            # Nearly always the page is full after the first one; what else there is would be in vain.
            yield next(slices, [])
        if self._is_over():
            return
        few = None if self.route.is_straight else self._few()
        if few is not None:
            yield from self._by_numbers(few)
            return
        self._bound()
        if self.route.by_text and self.route.is_server:
            yield from self._by_bitmaps(size)
        yield from slices

    def _is_over(self) -> bool:
        return self._low > self._high

    def _is_late(self) -> bool:
        return self.edge is not None and self.clock() > self.ends_at

    def _go_on(self, found: Sequence[Values], size: int, low: int, high: int) -> None:
        """Take note that the rows from `low` to `high` were looked at, or as far as a full statement came."""
        if len(found) >= size:
            low = high = found[-1][0]
        self.edge = low if self.descending else high
        if self.descending:
            self._high = self.edge - 1
        else:
            self._low = self.edge + 1

    # --- Slices ---

    def _slices(self, size: int) -> Iterator[list[Values]]:
        statements = self._statements(self.route.sources)
        span = self._first_span()
        while not self._is_over():
            if self._is_late():
                self.is_complete = False
                return
            began = self.clock()
            low, high = self._low, self._high
            if self.descending:
                low = max(low, high - span + 1)
            else:
                high = min(high, low + span - 1)
            found = self._in_order([self._run(statement, low, high, size) for statement in statements])[:size]
            self._go_on(found, size, low, high)
            span = _next_span(span, self.clock() - began)
            yield found

    def _first_span(self) -> int:
        if not self.route.is_straight:
            return FIRST_SLICE
        if self.route.by_text is None:
            return WHOLE
        return FIRST_SLICE if self.route.is_server else FIRST_SLICE_OF_TEXT

    def _statements(self, sources: Iterable[Source]) -> list[Clause]:
        return [source.select(self._columns, self.route.where, descending=self.descending) for source in sources]

    def _in_order(self, found: list[list[Values]]) -> list[Values]:
        if len(found) == 1:
            return found[0]
        return sorted(chain.from_iterable(found), key=itemgetter(0), reverse=self.descending)

    def sample(self, low: int, high: int, *, strata: int, window: int) -> list[tuple[Row, float]]:
        """Return wanted rows from `strata` windows spread evenly over the ids, each with how many it stands for.

        A window is of ids, not of rows, so that gaps count as what they are.
        """
        if self.route.has_nothing:
            return []
        self._low, self._high = low, high
        self._bound()
        (statement,) = self._statements([self.route.plain])
        step = max(window, -(-(self._high - self._low + 1) // strata))
        found: list[tuple[Row, float]] = []
        # The newest first: if the time runs out, the oldest are missing.
        for end in range(self._high, self._low - 1, -step):
            if self._is_late():
                self.is_complete = False
                break
            begin = max(self._low, end - step + 1)
            self.edge = max(begin, end - window + 1)
            rows = self._wanted(self._run(statement, self.edge, end, window))
            found += [(row, (end - begin + 1) / (end - self.edge + 1)) for row in rows]
        return found

    # --- Few rows, by whichever index has them ---

    def _few(self) -> list[int] | None:
        """Return the numbers of few rows among which are all that are wanted; None where no index has only a few."""
        for statements in (self._by_moment(), self._by_system()):
            if statements:
                numbers = [row[0] for statement in statements for row in self._run(statement, NARROW + 1)]
                if len(numbers) <= NARROW:
                    within = (number for number in numbers if self._low <= number <= self._high)
                    return sorted(within, reverse=self.descending)
        return None

    def _by_moment(self) -> list[Clause]:
        during = self._during()
        if during is None:
            return []
        sql = f"SELECT id FROM logs_log WHERE {during.sql} ORDER BY created, id LIMIT %s"
        return [Clause(sql, during.params)]

    def _by_system(self) -> list[Clause]:
        if self.route.by_text is None:
            return []
        here = Clause("logs_log.id >= %s AND logs_log.id <= %s", (self._low, self._high))
        wheres = [(source.tables, source.where & here) for source in self.route.systems]
        return [
            Clause(f"SELECT logs_log.id FROM {tables} WHERE {where.sql} LIMIT %s", where.params)
            for tables, where in wheres
        ]

    def _by_numbers(self, numbers: list[int]) -> Iterator[list[Values]]:
        for at in range(0, len(numbers), CHUNK):
            chosen = numbers[at : at + CHUNK]
            where = Clause(f"logs_log.id IN ({', '.join(['%s'] * len(chosen))})", tuple(chosen)) & self.route.where
            columns = ", ".join(self._columns)
            order = "DESC" if self.descending else "ASC"
            sql = f"SELECT {columns} FROM {self.route.plain.tables} WHERE {where.sql} ORDER BY logs_log.id {order}"
            self.edge = chosen[-1]
            yield self._run(Clause(sql, where.params))

    # --- The range of ids in which a time lies ---

    def _during(self) -> Clause | None:
        """Return the bounds of `created`, if there are any."""
        since, until = self.route.moments
        adapt = self._connection.ops.adapt_datetimefield_value
        clauses = [
            Clause(f"created {comparison} %s", (adapt(moment),))
            for comparison, moment in ((">=", since), ("<=", until))
            if moment is not None
        ]
        return None if not clauses else clauses[0] if len(clauses) == 1 else clauses[0] & clauses[1]

    def _bound(self) -> None:
        """Leave out the ids before the first and behind the last row of the time asked for, if that is soon known."""
        during = self._during()
        if during is None:
            return
        half = (self.clock() + self.ends_at) / 2
        ends: list[int] = []
        begin = Clause("")
        while True:
            where = during & begin
            # The index on (created, id) has all of it.
            inner = f"SELECT id, created FROM logs_log WHERE {where.sql} ORDER BY created, id LIMIT {BOUNDING_CHUNK}"
            sql = f"SELECT min(id), max(id), sum(1), max(created) FROM ({inner}) AS during"
            ((first, last, rows, newest),) = self._run(Clause(sql, where.params))
            ends += [first, last] if rows else []
            if not rows or rows < BOUNDING_CHUNK:
                break
            if begin.params == (newest,) or self.clock() > half:
                return
            begin = Clause("created >= %s", (newest,))
        self._low, self._high = (max(self._low, min(ends)), min(self._high, max(ends))) if ends else (1, 0)

    # --- PostgreSQL's text index ---

    def _by_bitmaps(self, size: int) -> Iterator[list[Values]]:
        """Let PostgreSQL find the rows of a text by nothing but its index, as long as half of the time lasts.

        A planner that believes a text to be frequent walks the primary key instead, for seconds where the text is
        rare after all. Where there are too many rows for the index, the slices go on.
        """
        (source,) = self.route.sources
        statement = source.select(self._columns, self.route.where, descending=self.descending, sorts=True)
        while not self._is_over():
            found = self._run_bounded(statement, (self.ends_at - self.clock()) / 2, self._low, self._high, size)
            if found is None:
                return
            self._go_on(found, size, self._low, self._high)
            yield found

    def _run_bounded(self, statement: Clause, seconds: float, *params: Any) -> list[Values] | None:
        """Return the rows that bitmaps lead to; None where that takes longer than `seconds`."""
        if seconds <= 0:
            return None
        try:
            with transaction.atomic(using=self.route.alias), self._connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL statement_timeout = {max(1, int(seconds * 1_000))}")
                cursor.execute("SET LOCAL enable_seqscan = off")
                cursor.execute("SET LOCAL enable_indexscan = off")
                cursor.execute(statement.sql, [*statement.params, *params])
                found: list[Values] = cursor.fetchall()
                # Within a transaction of somebody else's, what is local would outlive this block.
                for name in ("statement_timeout", "enable_seqscan", "enable_indexscan"):
                    cursor.execute(f"SET LOCAL {name} TO DEFAULT")
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", "") != "57014":
                raise
            return None
        return found

    def _run(self, statement: Clause, *params: Any) -> list[Values]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement.sql, [*statement.params, *params])
            found: list[Values] = cursor.fetchall()
            return found


def _next_span(span: int, seconds: float) -> int:
    if seconds < QUICK:
        return min(WHOLE, span * 8)
    return max(1_000, span // 4) if seconds > SLOW else span
