"""Judges what a bridge has stored by what senders were told: nothing lost, nothing doubled, nothing out of order."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import psycopg

from tests.end_to_end.conftest import SERVER, Site
from tests.end_to_end.pushing import digest

READING_ORDER = "tx, id" if SERVER else "id"
"""The order in which readers of the log see rows."""


@dataclass(frozen=True)
class Findings:
    """What one sender was told, and what became of it, by number.

    Lost: acknowledged, and not there. Altered: acknowledged, and there with another text. Swapped: after a greater one.
    """

    acknowledged: int
    stored: int
    lost: list[int] = field(default_factory=list)
    altered: list[int] = field(default_factory=list)
    doubled: list[int] = field(default_factory=list)
    swapped: list[int] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.altered or self.doubled or self.swapped)


def judge(acknowledged: Mapping[int, str], messages: Iterable[str]) -> Findings:
    """Compare what was acknowledged (number → digest of the message) with messages as they are stored, in order."""
    seen: set[int] = set()
    highest = stored = 0
    altered, doubled, swapped = [], [], []
    for message in messages:
        stored += 1
        number = int(message.partition(" ")[0])
        if number in seen:
            doubled.append(number)
        elif number < highest:
            swapped.append(number)
        if acknowledged.get(number, "") not in ("", digest(message)):
            altered.append(number)
        seen.add(number)
        highest = max(highest, number)
    lost = sorted(acknowledged.keys() - seen)
    return Findings(len(acknowledged), stored, lost, altered, doubled, swapped)


def read_oracle(path: Path) -> dict[int, str]:
    """Return what a sender wrote down: number → digest."""
    with path.open() as lines:
        return {int(number): told for number, told in (line.split() for line in lines)}


def judge_site(site: Site, oracles: Mapping[str, Path], order: str = READING_ORDER) -> dict[str, Findings]:
    """Return the findings for each sender, by its system id."""
    statement = f"SELECT message FROM logs_log WHERE system_id = %s ORDER BY {order}"
    return {
        system: judge(read_oracle(oracle), (row[0] for row in stream(site, statement, system)))
        for system, oracle in oracles.items()
    }


def first_difference(near: Site, far: Site, columns: str, where: str) -> tuple[Any, Any] | None:
    """Return the first two rows in which two sites differ, in reading order; None when they have the same."""
    statement = f"SELECT {columns} FROM logs_log WHERE {where} ORDER BY {READING_ORDER}"
    for one, other in zip_longest(stream(near, statement), stream(far, statement)):
        if one != other:
            return one, other
    return None


def stream(site: Site, statement: str, *parameters: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a statement without holding them all."""
    if SERVER:
        with psycopg.connect(site.database_url) as server, server.cursor(name="judge") as cursor:
            cursor.itersize = 10_000
            yield from cursor.execute(statement, parameters)
        return
    path = site.database_url.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(path, timeout=20)) as connection:
        yield from connection.execute(statement.replace("%s", "?"), parameters)
