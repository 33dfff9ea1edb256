"""Which patterns a person asked for: the choice in the address, and pages of what fits it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from urllib.parse import urlencode

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Q, QuerySet

from logs.models import ID_MAX, Pattern
from logs.query.folding import fold

PAGE = 50
TEXT_MAX = 200
STATES = {"open": "Open", "regressed": "Regressed", "resolved": "Resolved", "ignored": "Ignored", "all": "All"}
ORDERS = {"last": "Last seen", "first": "First seen", "count": "Count"}
_COLUMNS = {"last": "last_seen", "first": "first_seen", "count": "count"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Person = AbstractBaseUser | AnonymousUser


class ChoiceError(ValueError):
    """A choice that cannot be understood; the text is for the person who made it."""


@dataclass(frozen=True, slots=True)
class Place:
    """The last pattern of a page, from which the next one goes on: what the order compares."""

    regressed: bool
    value: int
    id: int

    def __str__(self) -> str:
        return f"{int(self.regressed)}.{self.value}.{self.id}"

    @classmethod
    def parse(cls, text: str) -> Place:
        parts = text.split(".")
        if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 20 for part in parts):
            raise ChoiceError("The place to go on from is not one that herald gave.")
        regressed, value, number = map(int, parts)
        if max(value, number) >= 2**63:
            raise ChoiceError("The place to go on from is not one that herald gave.")
        return cls(bool(regressed), value, number)


@dataclass(frozen=True, slots=True)
class Choice:
    """What somebody wants to see: a state, words that must all occur, one system; in which order, from where on."""

    state: str = "open"
    text: str = ""
    system: str = ""
    order: str = "last"
    after: Place | None = field(default=None, compare=False)

    @classmethod
    def parse(cls, data: Mapping[str, str]) -> Self:
        """Return what an address says; raises ChoiceError with a sentence."""
        state, order = data.get("state") or "open", data.get("order") or "last"
        text, system = (data.get("text") or "").strip(), data.get("system") or ""
        if state not in STATES:
            raise ChoiceError(f"There is no state {state[:50]!r}; there are {', '.join(STATES)}.")
        if order not in ORDERS:
            raise ChoiceError(f"There is no order {order[:50]!r}; there are {', '.join(ORDERS)}.")
        if len(text) > TEXT_MAX or len(system) > ID_MAX:
            raise ChoiceError(f"At most {TEXT_MAX} characters can be searched for.")
        if "\0" in text + system:
            raise ChoiceError("A NUL character cannot be searched for; herald stores none.")
        return cls(state, text, system, order, Place.parse(data["after"]) if data.get("after") else None)

    @property
    def is_narrow(self) -> bool:
        return bool(self.text or self.system)

    def querystring(self, **changes: Any) -> str:
        """Return the query of the address that makes this choice, with `changes`, at the first page unless told."""
        wanted = replace(self, **({"after": None} | changes))
        values = {name: getattr(wanted, name) for name in ("state", "text", "system", "order", "after")}
        standard = Choice()
        return urlencode({name: str(value) for name, value in values.items() if value != getattr(standard, name)})


@dataclass(frozen=True, slots=True)
class Page:
    """Some patterns, and from where the next ones go on; None where there are no more."""

    patterns: list[Pattern]
    after: Place | None


def visible_patterns(person: Person) -> QuerySet[Pattern]:
    """Return what `person` may see; every door takes its patterns from here. Today: all of them."""
    return Pattern.objects.all()


def find(person: Person, wanted: Choice, limit: int = PAGE) -> Page:
    """Return a page of patterns. Among open ones those that came back are first. Never counts, never skips."""
    patterns = _chosen(visible_patterns(person), wanted)
    column = _COLUMNS[wanted.order]
    if wanted.after is not None:
        patterns = patterns.filter(_behind(wanted, column, wanted.after))
    regressed = ["-regressed"] if _regressed_first(wanted) else []
    patterns = patterns.defer("samples", "versions", "words")
    found = list(patterns.order_by(*regressed, f"-{column}", "-id")[: limit + 1])
    more = len(found) > limit
    found = found[:limit]
    return Page(found, _place(found[-1], column) if more else None)


def _chosen(patterns: QuerySet[Pattern], wanted: Choice) -> QuerySet[Pattern]:
    if wanted.state == "regressed":
        patterns = patterns.filter(regressed=True)
    elif wanted.state != "all":
        patterns = patterns.filter(state=wanted.state)
    if wanted.system:
        patterns = patterns.filter(system_id=wanted.system)
    for word in fold(wanted.text).split():
        patterns = patterns.filter(words__contains=word)
    return patterns


def _regressed_first(wanted: Choice) -> bool:
    return wanted.state in ("open", "all")


def _behind(wanted: Choice, column: str, place: Place) -> Q:
    value: Any = place.value if column == "count" else _moment(place.value)
    behind = Q(**{f"{column}__lt": value}) | Q(**{column: value, "id__lt": place.id})
    if not _regressed_first(wanted):
        return behind
    return Q(regressed=False) | behind & Q(regressed=True) if place.regressed else Q(regressed=False) & behind


def _place(pattern: Pattern, column: str) -> Place:
    value = getattr(pattern, column)
    number = value if isinstance(value, int) else (value - _EPOCH) // _MICROSECOND
    return Place(pattern.regressed, number, pattern.id)


def _moment(number: int) -> datetime:
    try:
        return _EPOCH + number * _MICROSECOND
    except OverflowError:
        raise ChoiceError("The place to go on from is not one that herald gave.") from None
