"""One GraphQL request while it is answered: who asks, how long herald looks, and what it must say beside the answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.http import HttpRequest
from graphql import GraphQLError

from logs.search import Person

PAGE_MAX = 1_000
"""The most rows of one list."""
ROWS_MAX = 5_000
"""The most rows of one request, whatever lists it asks for: each costs time to write out, too."""

TEXT_MAX = 33_554_432
"""The most characters of one answer: a row may hold half a million, and a document name them again and again."""


class Refused(GraphQLError):
    """Something asked for that cannot be answered; the sentence is for who asked."""


class Deadline:
    """A moment until which work may go on."""

    def __init__(self, within: timedelta, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.ends_at = clock() + within.total_seconds()

    @property
    def is_over(self) -> bool:
        return self.clock() >= self.ends_at

    @property
    def left(self) -> timedelta:
        return timedelta(seconds=max(0.0, self.ends_at - self.clock()))


@dataclass
class Asking:
    """What resolvers know of the request they work for. All of its fields share one deadline and one number of rows."""

    request: HttpRequest
    deadline: Deadline
    rows_left: int = field(default_factory=lambda: ROWS_MAX)
    text_left: int = field(default_factory=lambda: TEXT_MAX)
    remarks: list[GraphQLError] = field(default_factory=list)

    @property
    def person(self) -> Person:
        return self.request.user

    def begin(self) -> None:
        """Refuse to begin with one more field when the time is over."""
        if self.deadline.is_over:
            raise Refused("The time for this request was over before this field's turn came: ask for less at once.")

    def rows(self, name: str, asked: int | None, otherwise: int) -> int:
        """Return how many rows a list may have of which `asked` were asked for; Refused when that is no good number."""
        number = otherwise if asked is None else asked
        if not 1 <= number <= PAGE_MAX:
            raise Refused(f"{name} is {number}; it must be from 1 to {PAGE_MAX:,}.")
        if number > self.rows_left:
            raise Refused(f"One request may ask for {ROWS_MAX:,} rows at most, all lists together.")
        return number

    def answered(self, rows: int) -> None:
        """Count rows that were returned."""
        self.rows_left -= rows

    def wrote(self, text: str) -> None:
        """Count a text of the answer; Refused when it has become too long."""
        self.text_left -= len(text)
        if self.text_left < 0:
            raise Refused(f"The answer is longer than {TEXT_MAX:,} characters: ask for fewer rows or fields.")

    def remark(self, info: Any, sentence: str) -> None:
        """Say something of a field whose answer is not all there is; it stands among the errors, with its path."""
        self.remarks.append(GraphQLError(sentence, path=info.path.as_list()))

    def remark_time(self, info: Any) -> None:
        """Say that time ran out, and that the answer holds what was found until then."""
        self.remark(info, "The time for this request ran out: this is what was found until then, there may be more.")


def column(name: str, default: Any, row: Mapping[str, Any], info: Any, **arguments: Any) -> Any:
    """Return a column of a row, for graphene; its texts are counted."""
    value = row.get(name, default)
    if isinstance(value, str):
        info.context.wrote(value)
    return value
