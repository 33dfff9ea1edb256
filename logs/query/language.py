"""A query from its text to what can be done with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Q

from logs.query import needs, parsing, predicates, sentences, sql
from logs.query.conditions import Between, Bound, Condition, Everything, Like, both, conjuncts
from logs.query.errors import QueryError
from logs.query.fields import NAMES, TEXT
from logs.query.lexer import check_bounds, quoted

Predicate = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True)
class Query:
    """What somebody asks of the log. `str` says how it was understood.

    `text` is the query as it was written, `condition` what it means; queries of equal conditions select the same
    rows. `is_relative` tells that it names `now`: then parse it again before it is used later. `misread` is set
    where the text is no query and was taken as plain text instead, and says why.
    """

    text: str
    condition: Condition
    is_relative: bool = False
    misread: QueryError | None = None

    def within(self, since: datetime | None, until: datetime | None = None, *, said: str = "") -> Query:
        """Return this query of the rows created from `since` up to but not including `until`.

        `said` is how a person put `since` where that names the present moment, such as now-1h.
        """
        if since is None and until is None:
            return self
        low = Bound(since, inclusive=True, said=said) if since is not None else None
        high = Bound(until, inclusive=False) if until is not None else None
        limited = self.limited(Between(NAMES["created"], low, high))
        return replace(limited, is_relative=self.is_relative or bool(said))

    def limited(self, *conditions: Condition) -> Query:
        """Return this query of the rows for which all of `conditions` hold too."""
        parts = tuple(part for part in (self.condition, *conditions) if not isinstance(part, Everything))
        return replace(self, condition=both(parts) if parts else self.condition)

    def to_q(self) -> Q:
        """Return the Q that selects from Log every row of this query, and perhaps some more: see `residual`."""
        return sql.select(self.condition)

    def residual(self) -> Predicate | None:
        """Return what rows selected by `to_q` must still be asked; None when SQL has said it all."""
        inexact = tuple(part for part in conjuncts(self.condition) if not sql.is_exact(part))
        return predicates.predicate(both(inexact)) if inexact else None

    def to_predicate(self) -> Predicate:
        """Return the whole query as a function of a row: a mapping of Log's column names, as `read_after` yields.

        Moments are aware, `extra` is a dict and `origin` a list. The function is made once; keep it for many rows.
        """
        return self._predicate

    @cached_property
    def _predicate(self) -> Predicate:
        return predicates.predicate(self.condition)

    @cached_property
    def needs(self) -> needs.Needs:
        """What every selected row has, for choosing the index to search by."""
        return needs.needs(self.condition)

    def __str__(self) -> str:
        return sentences.sentence(self.condition)


def parse(text: str, *, now: datetime | None = None) -> Query:
    """Return the query that `text` writes; blank text selects everything.

    `now` (aware; default: the clock) is what the word now means. Raises QueryError, which says where the text
    goes wrong and what would be right.
    """
    condition, is_relative = parsing.read(text, now or datetime.now(UTC))
    return Query(text, condition, is_relative)


def parse_or_text(text: str, *, now: datetime | None = None) -> Query:
    """Return the query that `text` writes, or else one that searches for `text` as it stands, with `misread` set.

    For a page where a person sees what became of their words; whatever is stored must pass `parse`. Raises
    QueryError only for what cannot be searched for at all: too long a text, NUL, half a surrogate pair.
    """
    try:
        return parse(text, now=now)
    except QueryError as error:
        check_bounds(text)
        return Query(text, Like(TEXT, (text.strip(),), anywhere=True), misread=error)


def term(name: str, value: object) -> str:
    """Return the query that asks whether the field called `name` has exactly this value."""
    return f"{name}:{quoted(str(value))}"


def validate_query(text: str) -> None:
    """Refuse, as a validator of Django's forms and models, a text that is no query."""
    try:
        parse(text)
    except QueryError as error:
        raise ValidationError(str(error), code="invalid_query") from error
