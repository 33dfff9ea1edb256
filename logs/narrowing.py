"""How a query is narrowed by one more condition, and widened by taking that one away again."""

from __future__ import annotations

from logs.models import Level
from logs.query import QueryError, parse_or_text, quoted, term
from logs.query.conditions import Or
from logs.query.fields import EXISTS
from logs.query.lexer import LENGTH_MAX


def has(field: str, value: object) -> str:
    """Return the query of the rows whose `field` has this value; "" stands for a missing one."""
    if value == "":
        return f"-{EXISTS}:{field}"
    if field == "level" and isinstance(value, int):
        return term(field, Level(value).name if value in Level.values else value)
    return term(field, value)


def opposite(condition: str) -> str:
    """Return the query of all rows that `condition`, one of `has`, does not select."""
    return condition.removeprefix("-") if condition.startswith("-") else f"-{condition}"


def narrowed(text: str, condition: str) -> str:
    """Return a query that asks for what `text` asks for and for `condition` too; what has no room is "".

    A condition that says the opposite is taken out, and one that is there already is not said twice.
    """
    text = without(text, opposite(condition))
    if contains(text, condition):
        return text
    found = " ".join(filter(None, (_as_part(text), condition)))
    return found if len(found) <= LENGTH_MAX else ""


def contains(text: str, condition: str) -> bool:
    """Whether `text` is narrowed by `condition`, word for word and not inside something else."""
    return _place(text, condition) >= 0


def without(text: str, condition: str) -> str:
    """Return `text` without `condition`, where it contains it."""
    at = _place(text, condition)
    return " ".join(filter(None, (text[:at].strip(), text[at + len(condition) :].strip()))) if at >= 0 else text


def _place(text: str, condition: str) -> int:
    """Return where in `text` the condition stands by itself, else -1."""
    at = f" {text} ".find(f" {condition} ")
    if at < 0 or _is_alternative(text) or text[:at].count("(") != text[:at].count(")"):
        return -1
    return -1 if text[:at].rstrip().endswith(("NOT", "!", "AND", "&&")) else at


def _as_part(text: str) -> str:
    """Return `text` so that a condition behind it narrows all of it."""
    if not text:
        return ""
    try:
        query = parse_or_text(text)
    except QueryError:
        return ""
    if query.misread:
        return quoted(text)
    return f"({text})" if isinstance(query.condition, Or) else text


def _is_alternative(text: str) -> bool:
    try:
        query = parse_or_text(text)
    except QueryError:
        return True
    return query.misread is not None or isinstance(query.condition, Or)
