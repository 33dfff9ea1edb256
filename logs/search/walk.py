"""One search through the ids, in slices small enough that a deadline is kept.

A slice that was answered quickly makes the next one larger, a slow one makes it smaller; so gaps in the ids and rows that an
index skips cost next to nothing, and a scan stays interruptible. Before it scans, a search looks whether some index has so
few rows that all of them can be looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
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
# Of a text that one row in so many has, PostgreSQL finds a page sooner by number than by its index.
PROBE = OFTEN = 500
# Even a text whose pieces are frequent and together nowhere takes SQLite less than 0.2 s for a million rows.
FIRST_SLICE_OF_TEXT = 10_000_000
WHOLE = 2**62
CHUNK = 400
NARROW = 5_000
BOUNDED_MAX = 1_000_000
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
            # Nearly always the page is full after this; what else there is would be in vain.
            yield from self._begin(slices)
        if self._is_over():
            return
        few = () if self.route.is_straight else self._few()
        if few:
            yield from self._at_once(few, size)
            return
        self._bound()
        if self._by_bitmaps:
            yield from self._bitmaps(size)
        yield from slices

    @property
    def _by_bitmaps(self) -> bool:
        return self.route.by_text is not None and self.route.is_server

    def _begin(self, slices: Iterator[list[Values]]) -> Iterator[list[Values]]:
        """Look at the newest rows, and without the text index as long as that finds enough of them."""
        while True:
            before = self._high - self._low
            found = next(slices, [])
            yield found
            looked_at = before - (self._high - self._low)
            if not self._by_bitmaps or self._is_over() or len(found) * OFTEN < looked_at:
                return

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
        # PostgreSQL reads all of a text's index for each slice of it: slices are for texts that are frequent, and go without.
        statements = self._statements([self.route.plain] if self._by_bitmaps else self.route.sources)
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
        if self._by_bitmaps:
            return PROBE
        if not self.route.is_straight:
            return FIRST_SLICE
        return FIRST_SLICE_OF_TEXT if self.route.by_text else WHOLE

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

    def _few(self) -> tuple[Source, ...]:
        """Return sources that have only few rows, and all that are wanted; empty where no index has."""
        during = self._during()
        by_moment = (self.route.by_moment(during),) if during is not None else ()
        by_system = self.route.systems if self.route.by_text else ()
        return next((sources for sources in (by_moment, by_system) if sources and self._has_few(sources)), ())

    def _has_few(self, sources: Iterable[Source]) -> bool:
        here = Clause("logs_log.id >= %s AND logs_log.id <= %s", (self._low, self._high))
        rows = 0
        for source in sources:
            where = source.where if source.sorts else source.where & here
            numbers = f"SELECT logs_log.id FROM {source.tables} WHERE {where.sql} LIMIT {NARROW + 1}"
            ((found,),) = self._run(Clause(f"SELECT sum(1) FROM ({numbers}) AS few", where.params))
            rows += found or 0
        return rows <= NARROW

    def _at_once(self, sources: Iterable[Source], size: int) -> Iterator[list[Values]]:
        """Look at everything that a few rows' sources have."""
        statements = self._statements(sources)
        while not self._is_over():
            low, high = self._low, self._high
            found = self._in_order([self._run(statement, low, high, size) for statement in statements])[:size]
            self._go_on(found, size, low, high)
            yield found

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
        if during is None or not self._is_part():
            return
        # The index on (created, id) has all of it: reading it is much quicker than reading rows.
        numbers = f"SELECT id FROM logs_log WHERE {during.sql} LIMIT {BOUNDED_MAX + 1}"
        sql = f"SELECT min(id), max(id), sum(1) FROM ({numbers}) AS during"
        ((first, last, rows),) = self._run(Clause(sql, during.params))
        if first is None:
            self._low, self._high = 1, 0
        elif rows <= BOUNDED_MAX:
            self._low, self._high = max(self._low, first), min(self._high, last)

    def _is_part(self) -> bool:
        """Whether there are rows outside of the time asked for."""
        since, until = self.route.moments
        adapt = self._connection.ops.adapt_datetimefield_value
        return any(
            self._run(Clause(f"SELECT 1 FROM logs_log WHERE created {beyond} %s LIMIT 1", (adapt(moment),)))
            for beyond, moment in (("<", since), (">", until))
            if moment is not None
        )

    # --- PostgreSQL's text index ---

    def _bitmaps(self, size: int) -> Iterator[list[Values]]:
        """Let PostgreSQL find the rows of a text by nothing but its index, as long as half of the time lasts.

        A planner that believes a text to be frequent walks the primary key instead, for seconds where the text is
        rare after all. Where the index has too many rows to be sorted in time, the slices go on.
        """
        (source,) = self.route.sources
        (statement,) = self._statements([replace(source, sorts=True)])
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
        alone = {"statement_timeout": max(1, int(seconds * 1_000)), "enable_seqscan": "off", "enable_indexscan": "off"}
        settings = "".join(f"SET LOCAL {name} = {value}; " for name, value in alone.items())
        # Statements sent as one are a transaction of their own, which saves the way there and back of each.
        is_inner = self._connection.in_atomic_block
        own = transaction.atomic(using=self.route.alias) if is_inner else nullcontext()
        try:
            with own, self._connection.cursor() as cursor:
                cursor.execute(settings + statement.sql, [*statement.params, *params])
                while cursor.nextset():
                    pass
                found: list[Values] = cursor.fetchall()
                if is_inner:
                    # Within a transaction of somebody else's, what is local would outlive this block.
                    cursor.execute("; ".join(f"SET LOCAL {name} TO DEFAULT" for name in alone))
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
