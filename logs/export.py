"""The rows of a query as a file, CSV or NDJSON: made while it is sent, a page of rows in memory at a time.

Under ASGI Django would collect a synchronous iterator in memory, so this one is asynchronous. When whoever asked for it
goes away, the server stops asking for more.
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from channels.db import database_sync_to_async

from logs import search
from logs.query import Query
from logs.search import COLUMNS, Person, Row

ROWS_MAX = 1_000_000
"""Whoever needs more asks for one time after the other."""
BYTES_MAX = 200_000_000
"""A second bound: Daphne takes what is sent at once, and keeps what a slow reader has not fetched yet."""
PAGE_ROWS = 250
"""How many rows are in memory at a time; each may hold a mebibyte."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes a cell for a formula by. OWASP, "CSV Injection"."""


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file: how it begins, how rows are written, and how it says that it was cut."""

    name: str
    content_type: str
    head: bytes
    body: Callable[[Sequence[Row]], bytes]
    said: Callable[[str], bytes]


async def export(person: Person, query: Query, form: Format, most: int = ROWS_MAX) -> AsyncIterator[bytes]:
    """Yield the file of the `most` newest rows of `query` that `person` may see; where there are more, its last line says so."""
    read = database_sync_to_async(search.page)
    yield form.head
    before: int | None = None
    rows = size = 0
    while True:
        page = await read(person, query, before=before, limit=min(most - rows, PAGE_ROWS))
        part = form.body(page.rows)
        rows, size = rows + len(page.rows), size + len(part)
        yield part
        if page.older is None:
            return
        if rows >= most or size >= BYTES_MAX:
            yield form.said(
                f"Cut after {rows:,} rows, the newest ones: there are more. Export an earlier time to have them."
            )
            return
        before = page.older


# --- CSV ---------------------------------------------------------------------------------------------------------------


def cell(value: Any) -> Any:
    """Return a value as a cell that no spreadsheet takes for a formula."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict | list):
        value = orjson.dumps(value).decode() if value else ""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _csv(lines: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    # A sender's half surrogate pairs were mended when the row was stored.
    return text.getvalue().encode()


CSV = Format(
    "csv",
    "text/csv; charset=utf-8",
    head=_csv([COLUMNS]),
    body=lambda rows: _csv([[cell(row[column]) for column in COLUMNS] for row in rows]),
    said=lambda sentence: _csv([[f"# {sentence}"]]),
)

# --- NDJSON --------------------------------------------------------------------------------------------------------------


def _line(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


NDJSON = Format(
    "ndjson",
    "application/x-ndjson",
    head=b"",
    body=lambda rows: b"".join(_line({column: row[column] for column in COLUMNS}) for row in rows),
    said=lambda sentence: _line({"herald": sentence}),
)
FORMATS = {form.name: form for form in (CSV, NDJSON)}
