"""A condition as a function of one row, put together once and then called for every row that passes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from typing import Any

from logs.query import regexes, values, wildcards
from logs.query.conditions import (
    And,
    Between,
    Bound,
    Condition,
    Everything,
    Exists,
    Like,
    Matches,
    Not,
    Or,
    Wild,
)
from logs.query.fields import Field, Kind
from logs.query.folding import fold

Row = Mapping[str, Any]
Predicate = Callable[[Row], bool]
_OfText = Callable[[str], bool]


def predicate(condition: Condition) -> Predicate:
    """Return the function that tells whether `condition` holds for a row: a mapping with Log's column names."""
    match condition:
        case Everything():
            return lambda row: True
        case And(parts):
            return _all([predicate(part) for part in sorted(parts, key=_cost)])
        case Or(parts):
            return _any([predicate(part) for part in sorted(parts, key=_cost)])
        case Not(part):
            return _not(predicate(part))
        case Like():
            return _like(condition)
        case Matches(field, regex):
            return _of_text(field, regexes.searcher(regex))
        case Between():
            return _between(condition)
        case Exists(field):
            return _exists(field)


def _cost(condition: Condition) -> int:
    """Return about how long a condition takes, so that the quick ones are asked first."""
    match condition:
        case And(parts) | Or(parts):
            return sum(map(_cost, parts))
        case Not(part):
            return _cost(part)
        case Matches():
            return 50
        case Like(anywhere=True):
            return 20 * len(condition.field.columns)
        case Everything():
            return 0
        case _:
            return 30 if condition.field.kind is Kind.JSON else 1 + isinstance(condition, Like)


# --- And, or, not ----------------------------------------------------------------------------------------------------


def _all(parts: list[Predicate]) -> Predicate:
    """Return the predicate that all parts hold: nested pairs, which are quicker than a loop over the parts."""
    return reduce(_and, parts[-2::-1], parts[-1])


def _any(parts: list[Predicate]) -> Predicate:
    return reduce(_or, parts[-2::-1], parts[-1])


def _and(second: Predicate, first: Predicate) -> Predicate:
    return lambda row: first(row) and second(row)


def _or(second: Predicate, first: Predicate) -> Predicate:
    return lambda row: first(row) or second(row)


def _not(part: Predicate) -> Predicate:
    return lambda row: not part(row)


# --- Texts -----------------------------------------------------------------------------------------------------------


def _of_text(field: Field, test: _OfText) -> Predicate:
    """Ask `test` about the field's text, or each of its texts; an empty one counts as missing."""
    if field.kind is Kind.JSON:
        return _of_json(field, lambda value: value != "" and test(_json_text(value)))
    if len(field.columns) == 2:
        first, second = (_of_column(column, test) for column in field.columns)
        return lambda row: first(row) or second(row)
    return _of_column(field.columns[0], test)


def _of_column(column: str, test: _OfText) -> Predicate:
    def holds(row: Row) -> bool:
        text = row[column]
        return bool(text) and test(text)

    return holds


def _like(like: Like) -> Predicate:
    literal = like.literal
    if literal is None:
        return _of_text(like.field, _wild(like))
    if like.anywhere:
        return _of_text(like.field, _contains(fold(literal)))
    if like.field.kind is Kind.JSON:
        return _of_json(like.field, _equals_json(literal))
    return _equals(like.field.columns[0], literal)


def _contains(wanted: str) -> _OfText:
    if not wanted.isascii():
        return lambda text: wanted in fold(text)
    # str.lower keeps every match of an ASCII text. It may add some, of the Kelvin sign and the dotted I alone.
    return lambda text: wanted in text.lower() and (text.isascii() or wanted in fold(text))


def _equals(column: str, wanted: str) -> Predicate:
    folded, length = fold(wanted), len(wanted)

    def equals(row: Row) -> bool:
        text = row[column]
        return text == wanted or (text is not None and len(text) == length and fold(text) == folded)

    return equals


def _wild(like: Like) -> _OfText:
    test = wildcards.fits(tuple(piece if isinstance(piece, Wild) else fold(piece) for piece in like.whole))
    return lambda text: test(fold(text))


# --- Numbers and moments ---------------------------------------------------------------------------------------------


def _between(between: Between) -> Predicate:
    within = _within(between.low, between.high)
    if between.field.kind is Kind.JSON:
        return _of_json(between.field, lambda value: _is_number(value) and within(value))
    (column,) = between.field.columns
    low, high = between.low, between.high
    if high is None and low is not None and low.inclusive and column in _NEVER_NULL:
        least: Any = low.value
        return lambda row: bool(row[column] >= least)

    def holds(row: Row) -> bool:
        value = row[column]
        return value is not None and within(value)

    return holds


_NEVER_NULL = frozenset({"id", "levelno", "created", "received"})


def _within(low: Bound | None, high: Bound | None) -> Callable[[Any], bool]:
    tests = [_compare(_ABOVE, low)] if low else []
    tests += [_compare(_BELOW, high)] if high else []
    if len(tests) == 1:
        return tests[0]
    above, below = tests
    return lambda value: above(value) and below(value)


_ABOVE: dict[bool, Callable[[Any, Any], bool]] = {True: operator.ge, False: operator.gt}
_BELOW: dict[bool, Callable[[Any, Any], bool]] = {True: operator.le, False: operator.lt}


def _compare(by: Mapping[bool, Callable[[Any, Any], bool]], bound: Bound) -> Callable[[Any], bool]:
    compare, limit = by[bound.inclusive], bound.value
    return lambda value: compare(value, limit)


# --- Presence --------------------------------------------------------------------------------------------------------


def _exists(field: Field) -> Predicate:
    if field.kind is Kind.JSON:
        return lambda row: any(value not in _EMPTY for value in _values(row, field))
    if len(field.columns) == 2:
        first, second = field.columns
        return lambda row: bool(row[first] or row[second])
    (column,) = field.columns

    def exists(row: Row) -> bool:
        value = row[column]
        return value is not None and value != ""

    return exists


# --- JSON ------------------------------------------------------------------------------------------------------------

_EMPTY: tuple[Any, ...] = (None, "", [], {})


def _of_json(field: Field, test: Callable[[Any], bool]) -> Predicate:
    return lambda row: any(test(value) for value in _scalars(row, field))


def _values(row: Row, field: Field) -> Iterator[Any]:
    """Yield what stands at the field's path; a key may itself have dots in it, as OpenTelemetry's have."""
    return _at(row[field.columns[0]], field.path)


def _at(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    if isinstance(value, list) and path:
        for item in value:
            yield from _at(item, path)
    elif not path:
        yield value
    elif isinstance(value, dict):
        for length in range(1, len(path) + 1):
            key = ".".join(path[:length])
            if key in value:
                yield from _at(value[key], path[length:])


def _scalars(row: Row, field: Field) -> Iterator[Any]:
    """Yield the texts, numbers and truth values at the field's path; a list stands for each of its items."""
    for value in _values(row, field):
        yield from _flat(value)


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _flat(item)
    elif value is not None and not isinstance(value, dict):
        yield value


def _json_text(value: Any) -> str:
    """Return a scalar as JSON writes it, a text without its quotes."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _equals_json(wanted: str) -> Callable[[Any], bool]:
    """Numbers are equal by value, everything else by its text."""
    folded = fold(wanted)
    try:
        number = values.number(wanted)
    except values.ValueProblem:
        return lambda value: fold(_json_text(value)) == folded
    return lambda value: value == number if _is_number(value) else fold(_json_text(value)) == folded


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
