"""What a query that cannot be understood has to say."""

from __future__ import annotations

EXCERPT_MAX = 60


class QueryError(ValueError):
    """A query that cannot be understood: where, what is wrong, and what would be right.

    `start` and `end` bound the faulty part of `query`, in characters from 0; `problem` and `remedy` are sentences
    for the person who wrote it (the remedy may be empty).
    """

    def __init__(self, query: str, start: int, end: int, problem: str, remedy: str = "") -> None:
        super().__init__(query, start, end, problem, remedy)
        self.query = query
        self.start = start
        self.end = end
        self.problem = problem
        self.remedy = remedy

    @property
    def excerpt(self) -> str:
        """The faulty part as it was written, cut where it is long."""
        return shown(self.query[self.start : self.end])

    @property
    def advice(self) -> str:
        """Problem and remedy in one text."""
        return f"{self.problem} {self.remedy}".strip()

    def __str__(self) -> str:
        near = f" (“{self.excerpt}”)" if self.excerpt else ""
        return f"At character {self.start + 1}{near}: {self.advice}"


def shown(text: str) -> str:
    """Return a piece of a query for a message: on one line, and short."""
    line = " ".join(text.split())
    return line if len(line) <= EXCERPT_MAX else line[: EXCERPT_MAX - 1] + "…"
