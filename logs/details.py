"""Everything of one row, as it is shown when it is opened: each value with the ways to ask for it and to leave it out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import orjson

from logs.address import Asked
from logs.choices import address
from logs.narrowing import has, narrowed, opposite
from logs.query import QueryError, parse
from logs.query.fields import EXTRA, NAMES, Kind, find
from logs.rows import folded, inert, iso, lateness, short
from logs.tracebacks import Piece, pieces

DETAIL_MAX = 16_000
PHRASE_MAX = 500
"""A longer message is not asked for as a whole."""
ENTRIES_MAX = 500
DEPTH_MAX = 12
LIMIT = 10**9


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of `extra` and its value, or the entries within it; the addresses are as in Detail."""

    key: str
    text: str = ""
    include: str = ""
    exclude: str = ""
    entries: tuple[Entry, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        told: dict[str, Any] = {name: getattr(self, name) for name in ("key", "text", "include", "exclude")}
        return told | {"entries": [each.as_dict() for each in self.entries]}


@dataclass(frozen=True, slots=True)
class Detail:
    """One value of a row: its column, the word for it, and its text.

    `include` and `exclude` are the addresses of what was asked for, narrowed to rows that have this value or that have it not; ""
    where that cannot be said. A traceback has its last line in `gist` and itself in `pieces`; `extra` has `entries`.
    """

    name: str
    label: str
    text: str
    block: bool = False
    cut: bool = False
    include: str = ""
    exclude: str = ""
    gist: str = ""
    pieces: tuple[Piece, ...] = ()
    entries: tuple[Entry, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        told = {name: getattr(self, name) for name in self.__slots__ if name not in ("pieces", "entries")}
        told["pieces"] = [{"text": piece.text, "kind": piece.kind} for piece in self.pieces]
        return told | {"entries": [each.as_dict() for each in self.entries]}


# The ids by which a record says whose it is.
_IDS = {
    "system_id": "System",
    "sub_system_id": "Host",
    "sub_sub_system_id": "Part",
    "produkt_id": "Product",
    "user_spec_1": "User 1",
    "user_spec_2": "User 2",
}
LABELS = _IDS | {
    "message": "Message",
    "exc_text": "Traceback",
    "stack_info": "Stack",
    "levelname": "Level",
    "created": "Sender's time",
    "received": "Received",
    "package_version": "Version",
    "api_version": "API version",
    "name": "Logger",
    "funcname": "Function",
    "lineno": "Line",
    "pathname": "Path",
    "filename": "File",
    "module": "Module",
    "processname": "Process name",
    "process": "Process",
    "threadname": "Thread name",
    "thread": "Thread",
    "taskname": "Task",
    "args": "Arguments",
    "exc_info": "Exception info",
    "asctime": "asctime",
    "summary": "Summary",
    "msecs": "msecs",
    "relativecreated": "Since start (ms)",
    "extra": "Extra",
    "peer": "From address",
    "flags": "Changed by herald",
    "id": "Number",
}
_ORDER = ("message", "exc_text", "stack_info", "extra", "created", "received", "levelname", *_IDS)
_BLOCKS = frozenset({"message", "exc_text", "stack_info", "extra", "args", "exc_info"})
_TRACEBACKS = frozenset({"exc_text", "stack_info"})


def details(row: Mapping[str, Any], limit: int | None = DETAIL_MAX, asked: Asked | None = None) -> list[Detail]:
    """Return every column of `row` that holds something, the long texts first, each cut to `limit` characters.

    But for `origin`, which `logs.path` tells in words. `asked` is what the reader has asked for, which the addresses narrow.
    """
    teller = _Teller(row, asked or Asked(), LIMIT if limit is None else limit)
    names = [*_ORDER, *(name for name in LABELS if name not in _ORDER)]
    texts = ((name, _text(name, row)) for name in names)
    return [teller.detail(name, text) for name, text in texts if text]


class _Teller:
    """Tells the details of one row to somebody who has asked for something."""

    def __init__(self, row: Mapping[str, Any], asked: Asked, limit: int) -> None:
        self.row = row
        self.asked = asked
        self.limit = limit

    def detail(self, name: str, text: str) -> Detail:
        include, exclude = self._addresses(*self._condition(name))
        is_traceback = name in _TRACEBACKS
        return Detail(
            name,
            LABELS[name],
            short(text, self.limit) if self.limit < LIMIT else inert(text),
            block=name in _BLOCKS,
            cut=len(text) > self.limit,
            include=include,
            exclude=exclude,
            gist=folded(text) if is_traceback else "",
            pieces=tuple(pieces(inert(text[: self.limit]))) if is_traceback else (),
            entries=self._entries() if name == "extra" else (),
        )

    def _condition(self, name: str) -> tuple[str, Any]:
        """Return the field by which rows with the same value can be asked for, and that value."""
        if name == "levelname":
            return "level", self.row["levelno"]
        if name == "message":
            return name, self.row[name] if len(self.row[name]) <= PHRASE_MAX else ""
        if name in _BLOCKS or name == "id" or NAMES[name].kind not in (Kind.TEXT, Kind.WHOLE):
            return name, ""
        return NAMES[name].name, self.row[name]

    def _addresses(self, field: str, value: Any) -> tuple[str, str]:
        """Return what narrows to this value and what leaves it out; nothing that this very row would contradict."""
        if value in ("", None):
            return "", ""
        condition = has(field, value)
        try:
            if not parse(condition).to_predicate()(self.row):
                return "", ""
        except QueryError:
            return "", ""
        texts = narrowed(self.asked.text, condition), narrowed(self.asked.text, opposite(condition))
        include, exclude = (address(self.asked, text) if text else "" for text in texts)
        return include, exclude

    def _entries(self) -> tuple[Entry, ...]:
        extra = self.row["extra"]
        if not isinstance(extra, dict):
            return ()
        left = iter(range(ENTRIES_MAX))
        return tuple(
            self._entry(key, value, (key,), lambda: next(left, None) is not None) for key, value in _items(extra)
        )

    def _entry(self, key: str, value: Any, way: tuple[str, ...], has_room: Callable[[], bool]) -> Entry:
        if isinstance(value, dict | list) and value and len(way) < DEPTH_MAX and has_room():
            within = tuple(self._entry(name, each, (*way, name), has_room) for name, each in _items(value))
            return Entry(short(key, self.limit), entries=within)
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
        name = f"{EXTRA.name}.{'.'.join(way)}"
        is_plain = (
            not isinstance(value, dict | list) and len(text) <= PHRASE_MAX and find(name) is not None and has_room()
        )
        include, exclude = self._addresses(name, text) if is_plain else ("", "")
        return Entry(short(key, self.limit), short(text, self.limit), include, exclude)


def _items(value: dict[str, Any] | list[Any]) -> Iterator[tuple[str, Any]]:
    pairs = sorted(value.items()) if isinstance(value, dict) else [(str(at), each) for at, each in enumerate(value)]
    yield from islice(pairs, ENTRIES_MAX)
    if len(pairs) > ENTRIES_MAX:
        yield "…", f"{len(pairs) - ENTRIES_MAX:,} more"


def _text(name: str, row: Mapping[str, Any]) -> str:
    value = row[name]
    if name == "levelname":
        return f"{value} ({row['levelno']})" if value else str(row["levelno"])
    if isinstance(value, datetime):
        late = (
            f" ({lateness(value, row['received'])})" if name == "created" and lateness(value, row["received"]) else ""
        )
        return iso(value) + late
    if isinstance(value, dict | list):
        return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode() if value else ""
    return "" if value is None else str(value)
