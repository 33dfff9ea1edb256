"""What the address of a log page asks for: a query, a time, and which page of the rows.

Addresses from before there was a query, with a parameter for each field, still mean what they meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from urllib.parse import urlencode

from logs.models import ID_MAX, Level
from logs.query import Query, QueryError, parse_or_text, quoted, term
from logs.query.fields import NAMES
from logs.search import PAGE_ROWS, PAGE_ROWS_MAX

TEXT_MAX = 1_000
ROW_MAX = 2**63 - 1
RANGES = {
    "15m": ("Last 15 min", timedelta(minutes=15)),
    "1h": ("Last 1 h", timedelta(hours=1)),
    "6h": ("Last 6 h", timedelta(hours=6)),
    "24h": ("Last 24 h", timedelta(hours=24)),
    "7d": ("Last 7 days", timedelta(days=7)),
}
IDS = ("system_id", "sub_system_id", "sub_sub_system_id", "produkt_id", "user_spec_1", "user_spec_2")
"""Columns that had a parameter of their own, as the level and the text had."""
SORTS = ("time",)
CURSORS = frozenset({"before", "after", "limit", "sort"})
"""Parameters that say which page of the rows is wanted."""


class AddressError(ValueError):
    """An address that cannot be understood; `errors` says for each parameter what is wrong and what is allowed."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__(" ".join(errors.values()))
        self.errors = dict(errors)


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants to see: a query as it was typed, and a time.

    `since` and `until` bound `created` (from, and up to but not including); `last` is the name of a quick range that ends
    now, and excludes both.
    """

    text: str = ""
    last: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @classmethod
    def parse(cls, data: Mapping[str, str]) -> Self:
        """Return what the parameters of an address ask for; raise AddressError with every fault at once."""
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
        text = "" if errors else _one_text(values)
        try:
            parse_or_text(text)
        except QueryError as error:
            errors["q"] = error.advice
        if errors:
            raise AddressError(errors)
        times = {name: values.pop(name) for name in ("last", "since", "until") if name in values}
        return cls(text, **times)

    def query(self, now: datetime) -> Query:
        """Return the query that selects what is asked for, at the time `now`."""
        query = parse_or_text(self.text, now=now)
        if self.last:
            return query.within(now - RANGES[self.last][1], said=f"now-{self.last}")
        return query.within(self.since, self.until)

    def parameters(self) -> dict[str, str]:
        """Return what `parse` reads back into this."""
        given = {"q": self.text, "last": self.last}
        given |= {name: value.isoformat() for name in ("since", "until") if (value := getattr(self, name))}
        return {name: value for name, value in given.items() if value}

    def to_querystring(self, **more: object) -> str:
        """Return this as the query of an address, without the question mark, with what is not None of `more`."""
        added = {name: str(value) for name, value in more.items() if value is not None}
        return urlencode(self.parameters() | added)


def _one_text(values: Mapping[str, str]) -> str:
    """Return one query that asks for all that the parameters ask for; what was written as a query stays as it is."""
    former = [value for name, value in values.items() if name == "text" or name == "level" or name in IDS]
    text = values.get("q", "")
    if not former or not text:
        return " ".join(former) or text
    query = parse_or_text(text)
    whole = quoted(text) if query.misread else f"({text})" if " " in text else text
    return " ".join([*former, whole])


def _read(name: str, text: str) -> Any:
    """Return one parameter's value, those of single fields as queries; raise ValueError with a sentence for people."""
    if name == "q":
        return _read_query(text)
    if "\0" in text:
        raise ValueError(f"{name}: a NUL character cannot be searched for; herald stores none.")
    if name == "text":
        return _read_text(text)
    if name == "level":
        return f"level:>={_read_level(text)}"
    if name in IDS:
        return _read_id(name, text)
    if name in ("since", "until"):
        return _read_time(text)
    if name == "last":
        if text not in RANGES:
            raise ValueError(f"The range {text!r} is not known; choose one of {', '.join(RANGES)}.")
        return text
    known = ", ".join(["q", "last", "since", "until", "text", "level", *IDS])
    raise ValueError(f"There is no filter {name[:50]!r}; there are {known}.")


def _read_query(text: str) -> str:
    try:
        parse_or_text(text)
    except QueryError as error:
        raise ValueError(error.advice) from None
    return text.strip()


def _read_text(text: str) -> str:
    text = text.strip()
    if len(text) > TEXT_MAX:
        raise ValueError(f"The text is {len(text):,} characters long; at most {TEXT_MAX:,} can be searched for.")
    return _checked(quoted(text))


def _read_id(name: str, text: str) -> str:
    if len(text) > ID_MAX:
        raise ValueError(f"{NAMES[name].name}: at most {ID_MAX} characters.")
    return _checked(term(NAMES[name].name, text))


def _checked(query: str) -> str:
    """Return a query that was made of somebody's text; half a surrogate pair in it cannot be searched for."""
    return _read_query(query)


def _read_level(text: str) -> str:
    name = text.strip().upper()
    if name in Level.names or (name.isascii() and name.isdigit() and len(name) <= 4):
        return name
    raise ValueError(f"The level {text[:50]!r} is not known; choose one of {', '.join(Level.names)} or a number.")


def _read_time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text[:50]!r} is not a date and time such as 2026-11-22T14:03 or 2026-11-22T14:03Z."
        ) from None


@dataclass(frozen=True, slots=True)
class Cursor:
    """Which page of the rows is wanted: the newest one, that before or after a row, or the newest sorted by time."""

    before: int | None = None
    after: int | None = None
    limit: int = PAGE_ROWS
    sort: str = ""

    @classmethod
    def parse(cls, data: Mapping[str, str]) -> Self:
        """Return what the address says; raise AddressError with a sentence for each fault."""
        values: dict[str, Any] = {}
        errors: dict[str, str] = {}
        for name, most in (("before", ROW_MAX), ("after", ROW_MAX), ("limit", PAGE_ROWS_MAX)):
            text = data.get(name) or ""
            if not text:
                continue
            if text.isascii() and text.isdigit() and len(text) < 20 and 0 < int(text) <= most:
                values[name] = int(text)
            else:
                errors[name] = f"{name} must be a number from 1 to {most:,}."
        if "before" in values and "after" in values:
            errors["before"] = "Give either before or after, not both."
        values["sort"] = data.get("sort") or ""
        if values["sort"] not in ("", *SORTS):
            errors["sort"] = f"Rows are sorted by {', '.join(SORTS)} or, without that, by arrival."
        if errors:
            raise AddressError(errors)
        return cls(**values)
