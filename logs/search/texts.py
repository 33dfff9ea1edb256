"""How each engine's text index is asked for the pieces of text that every wanted row has.

The index proposes: what it is asked for is never narrower than the pieces, whatever an engine thinks of Ü, İ or ß.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

from django.db import connections

from logs.query.folding import CASED

TOKENS_MAX = 16
PIECES_MAX = 4

# Up to here (Latin, Greek, Cyrillic) all engines fold the pairs as we do; later scripts differ by their version.
SAME_EVERYWHERE = 0x4FF
_TOO_YOUNG = frozenset("\u037f\u03f3")  # Yot became a pair with Unicode 7, which SQLite's tables do not know.


@dataclass(frozen=True, slots=True)
class TextClause:
    """A condition that the text index answers, with its parameters."""

    sql: str
    params: tuple[str, ...]


def text_clause(pieces: Collection[str], alias: str) -> TextClause | None:
    """Return what finds the rows that have all `pieces` (folded) by the index; None where it cannot help."""
    chosen = sorted(pieces, key=lambda piece: (-len(piece), piece))[:PIECES_MAX]
    return _trigrams(chosen, alias) if connections[alias].vendor == "postgresql" else _match(chosen)


def _indexable(character: str) -> bool:
    """Whether every engine folds this character as `fold` does, so that its index may be asked for it."""
    common = ord(character) <= SAME_EVERYWHERE and character not in _TOO_YOUNG
    return common or ord(character) not in CASED


def _match(pieces: Collection[str]) -> TextClause | None:
    """FTS5 with detail=none knows only single tokens of three characters: all of them must occur somewhere in the row."""
    found = list(dict.fromkeys(token for piece in pieces for token in _tokens(piece)))
    if not found:
        return None
    step = max(1, -(-len(found) // TOKENS_MAX))
    match = " AND ".join('"{}"'.format(token.replace('"', '""')) for token in found[::step])
    return TextClause("logs_log_text MATCH %s", (match,))


def _tokens(piece: str) -> list[str]:
    tokens = (piece[at : at + 3] for at in range(len(piece) - 2))
    return [token for token in tokens if all(map(_indexable, token))]


def _trigrams(pieces: Collection[str], alias: str) -> TextClause | None:
    """ILIKE over the trigram index; a character whose case the database treats otherwise becomes a wildcard."""
    plain, beyond = _folds(alias)
    patterns = ["".join(_literal(c) if _safe(c, plain, beyond) else "_" for c in piece) for piece in pieces]
    usable = [f"%{pattern}%" for pattern in patterns if re.search(r"[^\W_]{3}", pattern)]
    if not usable:
        return None
    either = "(logs_log.message ILIKE %s OR logs_log.exc_text ILIKE %s)"
    return TextClause(" AND ".join([either] * len(usable)), tuple(text for text in usable for _ in range(2)))


def _safe(character: str, plain: bool, beyond: bool) -> bool:
    return plain and (character.isascii() or (beyond and _indexable(character)))


def _literal(character: str) -> str:
    """Return a character as it stands for itself in a pattern of LIKE."""
    return "\\" + character if character in "\\%_" else character


@cache
def _folds(alias: str) -> tuple[bool, bool]:
    """Return whether this PostgreSQL database folds ASCII, and the letters beyond it, as `fold` does.

    A database of locale C folds ASCII alone and its trigrams drop all else; a Turkish one has another lower I.
    """
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT lower('AIZ') = 'aiz', lower('ÜЖ') = 'üж'")
        plain, beyond = cursor.fetchone()
    return plain, beyond
