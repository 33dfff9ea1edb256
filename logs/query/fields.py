"""Which fields a query may name: the one table that the parser, the pages' help and the reference are made from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import Enum

EXISTS = "_exists_"
"""Asks for the presence of the field named behind it."""
PATH_MAX = 20
NAME_MAX = 200


class Kind(Enum):
    """What a field holds, and so what may be asked of it; the value says it to a reader."""

    ANYWHERE = "text, found anywhere in it"
    TEXT = "text, compared as a whole"
    LEVEL = "level, by name or number"
    WHOLE = "whole number"
    REAL = "number"
    TIME = "moment"
    JSON = "any value"

    @property
    def is_text(self) -> bool:
        """Whether wildcards and regular expressions make sense."""
        return self in (Kind.ANYWHERE, Kind.TEXT, Kind.JSON)


@dataclass(frozen=True, slots=True)
class Field:
    """One field: the name that pages use for it, Log's columns behind it, and inside JSON the keys that lead to it."""

    name: str
    kind: Kind
    columns: tuple[str, ...]
    help: str
    path: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that means this field, the one used by pages first."""
        return self.name, *(column for column in self.columns if len(self.columns) == 1 and column != self.name)


def _field(name: str, kind: Kind, help: str, *columns: str) -> Field:
    return Field(name, kind, columns or (name,), help)


TEXT = _field("text", Kind.ANYWHERE, "message or traceback; what words without a field search", "message", "exc_text")
LEVEL = _field("level", Kind.LEVEL, "how grave: DEBUG, INFO, WARNING, ERROR, CRITICAL or any number", "levelno")
EXTRA = _field("extra", Kind.JSON, "what the record carried beside the columns: extra.key, extra.key.inner")

FIELDS: tuple[Field, ...] = (
    TEXT,
    _field("message", Kind.ANYWHERE, "the message alone"),
    _field("exc_text", Kind.ANYWHERE, "the traceback alone"),
    LEVEL,
    _field("levelname", Kind.TEXT, "the level's name as the sender wrote it"),
    _field("system", Kind.TEXT, "the application", "system_id"),
    _field("host", Kind.TEXT, "the machine it runs on", "sub_system_id"),
    _field("sub", Kind.TEXT, "the part of the application", "sub_sub_system_id"),
    _field("product", Kind.TEXT, "the product", "produkt_id"),
    _field("user1", Kind.TEXT, "the application's first own field", "user_spec_1"),
    _field("user2", Kind.TEXT, "the application's second own field", "user_spec_2"),
    _field("version", Kind.TEXT, "the application's version", "package_version"),
    _field("api_version", Kind.TEXT, "the version of the application's interface"),
    _field("time", Kind.TIME, "when the record was written, by the sender's clock", "created"),
    _field("received", Kind.TIME, "when it arrived, by herald's clock"),
    _field("logger", Kind.TEXT, "the logger's name", "name"),
    _field("module", Kind.TEXT, "the module that logged"),
    _field("func", Kind.TEXT, "the function that logged", "funcname"),
    _field("file", Kind.TEXT, "the source file's name", "filename"),
    _field("pathname", Kind.TEXT, "the source file with its path"),
    _field("line", Kind.WHOLE, "the line in that file", "lineno"),
    _field("process", Kind.WHOLE, "the process's number"),
    _field("processname", Kind.TEXT, "the process's name"),
    _field("thread", Kind.WHOLE, "the thread's number"),
    _field("threadname", Kind.TEXT, "the thread's name"),
    _field("taskname", Kind.TEXT, "the asyncio task's name"),
    _field("args", Kind.TEXT, "arguments that could not be merged into the message"),
    _field("exc_info", Kind.TEXT, "the exception, where it came without a traceback"),
    _field("stack_info", Kind.TEXT, "the stack at the call"),
    _field("asctime", Kind.TEXT, "the time as the sender wrote it"),
    _field("summary", Kind.TEXT, "a summary the sender made"),
    _field("msecs", Kind.REAL, "the milliseconds of the sender's time"),
    _field("relativecreated", Kind.REAL, "milliseconds since the sender's logging was loaded"),
    EXTRA,
    _field("peer", Kind.TEXT, "the address the record came from"),
    _field("origin", Kind.JSON, "the bridges it came through"),
    _field("flags", Kind.TEXT, "what herald had to mend, as words: created, cut, odd (ask for flags:*cut*)"),
    _field("id", Kind.WHOLE, "the row's number, in the order of arrival"),
)
NAMES = {name: field for field in FIELDS for name in field.names}


def find(name: str) -> Field | None:
    """Return the field that `name` means, also `extra.` and the keys behind it; None for an unknown name."""
    head, dot, keys = name.partition(".")
    if head != EXTRA.name or not dot:
        return NAMES.get(name)
    path = tuple(keys.split("."))
    return replace(EXTRA, name=name, path=path) if keys and len(path) <= PATH_MAX and len(name) <= NAME_MAX else None


def closest(name: str) -> str | None:
    """Return the name of a field that `name` was probably meant to be."""
    if len(name) > 40:
        return None
    found = get_close_matches(name.lower(), [*NAMES, EXISTS], n=1, cutoff=0.7)
    return found[0] if found else None
