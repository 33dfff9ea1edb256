"""A condition as Django's Q for Log. What SQL selects is never narrower than the condition.

Texts are compared in ways that no engine's locale touches: ASCII by LIKE on SQLite and by ILIKE under the collation "C"
on PostgreSQL, the letters beyond it by their two spellings. So only regular expressions and values inside JSON are left to
the predicate.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Lookup, Q
from django.db.models.sql.compiler import SQLCompiler

from logs.query import regexes
from logs.query.conditions import (
    And,
    Between,
    Condition,
    Everything,
    Exists,
    Leaf,
    Like,
    Matches,
    Not,
    Or,
    Pattern,
    Wild,
    leaves,
    straight,
)
from logs.query.fields import Field, Kind
from logs.query.folding import CASED, LOWER, fold

DEPTH_MAX = 12
"""How deep SQL nests `and` and `or`; SQLite's parser gives up at about twice that."""

_UPPER = {small: chr(big) for big, small in LOWER.items()}
_NOTHING = Q(pk__in=())
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def select(condition: Condition) -> Q:
    """Return a Q that holds for every row `condition` holds for, and for no other where `is_exact`."""
    return _superset(straight(condition), DEPTH_MAX) or Q()


def is_exact(condition: Condition) -> bool:
    """Whether `select` says exactly the same as the condition, also where this is one part of an `and`."""
    return _depth(straight(condition)) < DEPTH_MAX and all(map(_is_exact, leaves(condition)))


def _depth(condition: Condition) -> int:
    return 1 + max(map(_depth, condition.parts)) if isinstance(condition, And | Or) else 0


def _superset(condition: Condition, room: int) -> Q | None:
    """Return what every wanted row fulfils, nested no deeper than `room`; None when that is nothing."""
    match condition:
        case And(parts) | Or(parts) if room:
            return _of_parts(condition, [_superset(part, room - 1) for part in parts])
        case And() | Or():
            return None
        case Not(part):
            return _complement(part)
        case _:
            return _leaf(condition)


def _of_parts(condition: And | Or, parts: list[Q | None]) -> Q | None:
    known = [part for part in parts if part is not None]
    if isinstance(condition, And):
        return _joined(Q.AND, known) if known else None
    return _joined(Q.OR, known) if len(known) == len(parts) else None


def _complement(condition: Condition) -> Q | None:
    """Return the rows for which a leaf does not hold: all of them, where SQL cannot say for which it does."""
    if not is_exact(condition):
        return None
    holds = _superset(condition, 0)
    return _NOTHING if holds is None else ~holds


def _joined(connector: str, parts: list[Q]) -> Q:
    return Q(*parts, _connector=connector)


# --- Leaves ----------------------------------------------------------------------------------------------------------


def _is_exact(leaf: Leaf) -> bool:
    return isinstance(leaf, Everything) or not (isinstance(leaf, Matches) or leaf.field.kind is Kind.JSON)


def _leaf(leaf: Leaf) -> Q | None:
    if isinstance(leaf, Everything):
        return None
    if leaf.field.kind is Kind.JSON:
        return _has_key(leaf.field)
    match leaf:
        case Like(field):
            return _like(field, leaf.whole)
        case Matches(field, regex):
            literals = [Like(field, (text,), anywhere=True) for text in regexes.required(regex)]
            return _joined(Q.AND, [_exists(field), *(_like(field, literal.whole) for literal in literals)])
        case Between(field):
            return _between(leaf)
        case Exists(field):
            return _exists(field)


def _like(field: Field, pattern: Pattern) -> Q:
    return _joined(Q.OR, [Q(FoldedLike(F(column), pattern)) for column in field.columns])


def _exists(field: Field) -> Q:
    if field.kind.is_text:
        return _joined(Q.OR, [~Q(**{column: ""}) for column in field.columns])
    return Q(**{f"{field.columns[0]}__isnull": False})


def _between(between: Between) -> Q:
    (column,) = between.field.columns
    asked: dict[str, Any] = {}
    if between.low is not None:
        asked[f"{column}__{'gte' if between.low.inclusive else 'gt'}"] = between.low.value
    if between.high is not None:
        asked[f"{column}__{'lte' if between.high.inclusive else 'lt'}"] = between.high.value
    # Beyond what a column can hold Django leaves the comparison out, and a missing value must still not pass.
    return _joined(Q.AND, [_exists(between.field), Q(**asked)])


def _has_key(field: Field) -> Q | None:
    """Return the rows whose JSON has the first key of the path, which may have dots in it."""
    keys = [".".join(field.path[:length]) for length in range(1, len(field.path) + 1)]
    # Django's SQL for odd keys differs between engines: those are left to the predicate.
    return Q(extra__has_any_keys=keys) if keys and all(map(_PLAIN_KEY.fullmatch, keys)) else None


# --- Texts -----------------------------------------------------------------------------------------------------------


def _letters(pattern: Pattern) -> str:
    """Return the small letters beyond ASCII in a folded `pattern` that have a capital, each once."""
    text = "".join(piece for piece in pattern if isinstance(piece, str))
    return "".join(sorted({letter for letter in text if not letter.isascii() and ord(letter) in CASED}))


def _spelled(pattern: Pattern, wild: Mapping[Wild, str], letter: Callable[[str], str]) -> str:
    """Return a pattern in the spelling of one of SQL's operators."""
    return "".join(wild[piece] if isinstance(piece, Wild) else "".join(map(letter, piece)) for piece in pattern)


_LIKE = {Wild.RUN: "%", Wild.ONE: "_"}
_GLOB = {Wild.RUN: "*", Wild.ONE: "?"}


def _plain_in_like(letter: str) -> str:
    return "\\" + letter if letter in "\\%_" else letter


def _ascii_in_like(letter: str) -> str:
    """A letter whose case LIKE does not know becomes a wildcard."""
    return "_" if not letter.isascii() and letter in _UPPER else _plain_in_like(letter)


def _in_glob(letter: str) -> str:
    """GLOB minds the case: a letter becomes the choice of its two spellings."""
    if letter in "*?[":
        return f"[{letter}]"
    return f"[{_UPPER[letter]}{letter}]" if letter in _UPPER else letter


class FoldedLike(Lookup[bool]):
    """The column's text fits a pattern, both folded as `fold` does it and in no other way."""

    prepare_rhs = False

    def __init__(self, column: F, pattern: Pattern) -> None:
        super().__init__(column, tuple(piece if isinstance(piece, Wild) else fold(piece) for piece in pattern))

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:
        """LIKE knows the case of ASCII alone, and is quick; GLOB settles the rest."""
        column, params = self.process_lhs(compiler, connection)
        sql = f"{column} LIKE %s ESCAPE '\\'"
        like = _spelled(self.rhs, _LIKE, _ascii_in_like)
        if not _letters(self.rhs):
            return sql, [*params, like]
        return f"({sql} AND {column} GLOB %s)", [*params, like, *params, _spelled(self.rhs, _GLOB, _in_glob)]

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:
        """Under the collation "C" ILIKE knows the case of ASCII alone; the other letters are lowered for it."""
        sql, params = self.process_lhs(compiler, connection)
        lowered: list[str] = []
        if letters := _letters(self.rhs):
            sql = f"TRANSLATE({sql}, %s, %s)"
            lowered = ["".join(map(_UPPER.__getitem__, letters)), letters]
        return f'{sql} COLLATE "C" ILIKE %s', [*params, *lowered, _spelled(self.rhs, _LIKE, _plain_in_like)]
