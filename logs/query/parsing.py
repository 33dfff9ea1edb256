"""From tokens to conditions: luqum's grammar says what belongs together, the table of fields what it means."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NoReturn

from luqum import thread, tree

from logs.query import regexes, values
from logs.query.conditions import (
    Between,
    Bound,
    Condition,
    Everything,
    Exists,
    Like,
    Matches,
    Not,
    Pattern,
    Wild,
    both,
    either,
)
from logs.query.errors import QueryError
from logs.query.fields import EXISTS, EXTRA, TEXT, Field, Kind, closest, find
from logs.query.lexer import Mark, Token, tokens

CONDITIONS_MAX = 200
"""SQLite refuses expressions nested 1,000 deep, and joins conditions by nesting."""

_CONDITIONS = frozenset({Mark.WORD, Mark.PHRASE, Mark.REGEX})
_RUN_ALONE: Pattern = (Wild.RUN,)


def read(query: str, now: datetime) -> tuple[Condition, bool]:
    """Return what `query` asks for, and whether that depends on `now`; raises QueryError."""
    found = tokens(query)
    if not found:
        return Everything(), False
    conditions = [token for token in found if token.mark in _CONDITIONS]
    if len(conditions) > CONDITIONS_MAX:
        beyond = conditions[CONDITIONS_MAX]
        raise QueryError(query, beyond.start, beyond.end, f"A query has at most {CONDITIONS_MAX} words and values.")
    reading = _Reading(query, found, now)
    # luqum's plain parser keeps state that threads would share.
    return reading.condition(thread.parse(_for_grammar(found)), None), reading.is_relative


def _for_grammar(found: Sequence[Token]) -> str:
    """Return the tokens as the grammar is to see them: each value as its number, so that nothing in it is read."""
    return " ".join(_spelled(number, token) for number, token in enumerate(found))


def _spelled(number: int, token: Token) -> str:
    if token.mark is Mark.FIELD:
        return f"v{number}:"
    if token.mark in _CONDITIONS:
        return f"v{number}"
    return token.text if token.mark in (Mark.COMPARE, Mark.FROM, Mark.UNTIL) else token.mark.value


class _Reading:
    """One query while its tree is turned into conditions."""

    def __init__(self, query: str, found: Sequence[Token], now: datetime) -> None:
        self.query = query
        self.found = found
        self.now = now
        self.is_relative = False

    def condition(self, node: tree.Item, name: Token | None) -> Condition:
        """Return what `node` asks; `name` is the field whose value it is, if any."""
        match node:
            case tree.AndOperation():
                return both(tuple(self.condition(part, name) for part in node.operands))
            case tree.OrOperation():
                return either(tuple(self.condition(part, name) for part in node.operands))
            case tree.Not():
                return Not(self.condition(node.a, name))
            case tree.BaseGroup():
                return self.condition(node.expr, name)
            case tree.SearchField():
                return self.condition(node.expr, self._token(node.name))
            case tree.Word():
                return self._value(self._token(node.value), name)
            case tree.Range():
                return self._range(node, name)
            case tree.OpenRange():
                return self._comparison(node, name)
            case _:
                raise AssertionError(f"the grammar was given no {type(node).__name__}")

    def _token(self, spelled: str) -> Token:
        return self.found[int(spelled[1:])]

    def _field_of(self, token: Token, name: Token | None, *, whole: bool = False) -> Field:
        """Return the field that a value is asked of; `whole` where it may be `extra` itself."""
        field = TEXT if name is None or name.field is None else name.field
        if field == EXTRA and not whole:
            self._fail(token, f"{field.name} holds many values.", f"Name one: {field.name}.key:value.")
        return field

    # --- Single values ---

    def _value(self, token: Token, name: Token | None) -> Condition:
        if name is not None and name.text == EXISTS:
            return self._exists(token)
        if token.pattern == _RUN_ALONE:
            return Everything() if name is None else Exists(self._field_of(token, name, whole=True))
        field = self._field_of(token, name)
        if token.mark is Mark.REGEX:
            return self._regex(token, field)
        if field.kind is Kind.ANYWHERE:
            return _found_anywhere(field, token.pattern, is_bare=name is None)
        if field.kind.is_text:
            return Like(field, token.pattern)
        return self._equal(token, field)

    def _exists(self, token: Token) -> Condition:
        name = _plain(token)
        field = find(name)
        if field is None:
            meant = closest(name)
            self._fail(token, f"There is no field “{name[:50]}”.", f"Did you mean {EXISTS}:{meant}?" if meant else "")
        return Exists(field)

    def _regex(self, token: Token, field: Field) -> Condition:
        if not field.kind.is_text:
            self._fail(token, f"{field.name} holds this: {field.kind.value}.", "Regular expressions are for texts.")
        try:
            regexes.searcher(token.text)
        except regexes.RegexError as error:
            self._fail(token, str(error), 'To search for it as text, put it in quotes: "/…/".')
        return Matches(field, token.text)

    def _equal(self, token: Token, field: Field) -> Condition:
        if field.kind is not Kind.TIME:
            bound = self._number(token, field, inclusive=True)
            return Between(field, bound, bound)
        moment = self._moment(token)
        return Between(field, self._from(moment, inclusive=True), self._until(moment, inclusive=True))

    # --- Ranges ---

    def _comparison(self, node: tree.OpenRange, name: Token | None) -> Condition:
        token = self._token(node.a.value)
        field = self._field_of(token, name)
        if isinstance(node, tree.From):
            return Between(field, self._low(token, field, inclusive=node.include), None)
        return Between(field, None, self._high(token, field, inclusive=node.include))

    def _range(self, node: tree.Range, name: Token | None) -> Condition:
        low_token, high_token = self._token(node.low.value), self._token(node.high.value)
        field = self._field_of(low_token, name)
        low = None if low_token.pattern == _RUN_ALONE else self._low(low_token, field, inclusive=node.include_low)
        high = None if high_token.pattern == _RUN_ALONE else self._high(high_token, field, inclusive=node.include_high)
        if low is None and high is None:
            return Exists(field)
        if low is not None and high is not None and _is_empty(low, high):
            remedy = "Its lower end comes first; { and } leave the ends out."
            raise QueryError(self.query, low_token.start, high_token.end, "The range holds nothing.", remedy)
        return Between(field, low, high)

    def _low(self, token: Token, field: Field, *, inclusive: bool) -> Bound:
        if field.kind is Kind.TIME:
            return self._from(self._moment(token), inclusive=inclusive)
        return self._number(token, field, inclusive=inclusive)

    def _high(self, token: Token, field: Field, *, inclusive: bool) -> Bound:
        if field.kind is Kind.TIME:
            return self._until(self._moment(token), inclusive=inclusive)
        return self._number(token, field, inclusive=inclusive)

    def _from(self, moment: values.Moment, *, inclusive: bool) -> Bound:
        if moment.is_instant or inclusive:
            return Bound(moment.start, inclusive, moment.relative)
        return Bound(moment.end, True)

    def _until(self, moment: values.Moment, *, inclusive: bool) -> Bound:
        if moment.is_instant or not inclusive:
            return Bound(moment.start, inclusive, moment.relative)
        return Bound(moment.end, False)

    def _number(self, token: Token, field: Field, *, inclusive: bool) -> Bound:
        if field.path == () and field.kind.is_text:
            self._fail(token, f"{field.name} is a text, which has no order here.", "Compare levels, numbers and times.")
        text = self._one_value(token, field)
        read = {Kind.LEVEL: values.level, Kind.WHOLE: values.whole_number}.get(field.kind, values.number)
        try:
            return Bound(read(text), inclusive)
        except values.ValueProblem as problem:
            self._fail(token, f"{field.name}: {problem.problem}", problem.remedy)

    def _moment(self, token: Token) -> values.Moment:
        text = self._one_value(token, None)
        try:
            moment = values.moment(text, self.now)
        except values.ValueProblem as problem:
            self._fail(token, problem.problem, problem.remedy)
        self.is_relative |= bool(moment.relative)
        return moment

    def _one_value(self, token: Token, field: Field | None) -> str:
        if token.mark is Mark.REGEX or any(isinstance(piece, Wild) for piece in token.pattern):
            what = "A moment" if field is None else f"A value of {field.name}"
            self._fail(token, f"{what} has no wildcards here.", "They are for texts; compare with >= or [a TO b].")
        return _plain(token)

    def _fail(self, token: Token, problem: str, remedy: str = "") -> NoReturn:
        raise QueryError(self.query, token.start, token.end, problem, remedy)


def _is_empty(low: Bound, high: Bound) -> bool:
    """Whether nothing lies between two bounds of one field."""
    least: Any = low.value
    return bool(least > high.value or (least == high.value and not (low.inclusive and high.inclusive)))


def _plain(token: Token) -> str:
    return "".join(piece if isinstance(piece, str) else piece.value for piece in token.pattern)


def _found_anywhere(field: Field, pattern: Pattern, *, is_bare: bool) -> Condition:
    """A word alone is a piece of text, also with wildcards; behind a field's name these are for the whole value."""
    if not any(isinstance(piece, Wild) for piece in pattern):
        return Like(field, pattern, anywhere=True)
    if not is_bare:
        return Like(field, pattern)
    start = 1 if pattern[0] is Wild.RUN else 0
    end = len(pattern) - 1 if pattern[-1] is Wild.RUN else len(pattern)
    return Like(field, pattern[start:end], anywhere=True)
