"""Which rows are kept for how long: the first policy whose query a row fits decides, the default for all others.

Pure but for `Plan.load`: what is to go at a given moment follows from the rules alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import Case, IntegerField, Value, When

from logs.models import RetentionPolicy
from logs.query import Query, QueryError, parse

DEFAULT = "all other rows"
DAY = timedelta(days=1)


class UnusablePolicy(Exception):
    """A stored policy cannot be read. Nothing is deleted before it is mended: it may be what keeps rows."""


def validate_policy(text: str) -> None:
    """Refuse, as a validator, a query by which rows cannot be kept: one that does not parse, or that names `now`."""
    try:
        query = parse(text)
    except QueryError as error:
        raise ValidationError(str(error), code="invalid_query") from error
    if query.is_relative:
        raise ValidationError("A policy has its age; its query cannot name now.", code="relative_query")


@dataclass(frozen=True, slots=True)
class Rule:
    """Rows that `query` selects are kept for `age`; without a query, every row is."""

    name: str
    query: Query | None
    age: timedelta

    @property
    def is_exact(self) -> bool:
        """Whether SQL alone can tell which rows these are."""
        return self.query is None or self.query.residual() is None

    def matches(self, row: Mapping[str, Any]) -> bool:
        return self.query is None or self.query.to_predicate()(row)


@dataclass(frozen=True)
class Plan:
    """The rules in their order; the last one is the default and has no query."""

    rules: tuple[Rule, ...]

    @classmethod
    def of(cls, default: timedelta, *rules: Rule) -> Self:
        return cls((*rules, Rule(DEFAULT, None, default)))

    @classmethod
    def load(cls, default: timedelta | None = None) -> Self:
        """Return the enabled policies, and `default` (HERALD_RETENTION_DAYS) for what none of them names.

        Raises UnusablePolicy rather than leave one out.
        """
        rules: list[Rule] = []
        for policy in RetentionPolicy.objects.filter(enabled=True):
            try:
                rules.append(Rule(policy.name, parse(policy.query), policy.age))
            except QueryError as error:
                raise UnusablePolicy(f"the retention policy {policy.name!r} cannot be read: {error}") from error
        return cls.of(settings.RETENTION if default is None else default, *rules)

    @cached_property
    def ages(self) -> tuple[timedelta, ...]:
        """Every age there is, the longest first."""
        return tuple(sorted({rule.age for rule in self.rules}, reverse=True))

    @property
    def longest(self) -> timedelta:
        return self.ages[0]

    @property
    def shortest(self) -> timedelta:
        return self.ages[-1]

    def rule_of(self, row: Mapping[str, Any], first: int = 0) -> int:
        """Return the number of the rule that decides about `row`, a mapping of Log's columns, from `first` on."""
        for number in range(first, len(self.rules) - 1):
            if self.rules[number].matches(row):
                return number
        return len(self.rules) - 1

    def candidate(self) -> Case:
        """Return SQL for the number of the first rule that may decide: none before it does.

        Where that rule `is_exact`, it is the one.
        """
        whens: list[When] = []
        for number, rule in enumerate(self.rules[:-1]):
            condition = rule.query.to_q() if rule.query is not None else None
            if not condition:
                return Case(*whens, default=Value(number), output_field=IntegerField())
            whens.append(When(condition, then=Value(number)))
        return Case(*whens, default=Value(len(self.rules) - 1), output_field=IntegerField())


def cutoff(age: timedelta, now: datetime) -> datetime:
    """Return the moment before which a row must have been received to be older than `age`.

    On PostgreSQL rows lie in one table a day, which is best dropped whole: ages of a day or more are counted from
    the end of the day (UTC), so that all of its rows come of age together.
    """
    moment = now - age
    if connection.vendor == "postgresql" and age >= DAY:
        return moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return moment
