"""How the text of a query falls into tokens, each with its place; whatever cannot be part of a query is refused here.

A grammar for Lucene would read a URL as a field and a path as a regular expression, and stumbles over `line:>-5` and
times with a zone. So values are cut out here, where a field, an operator and a value may stand is checked here, and
the grammar sees nothing but their order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import NoReturn

from logs.query import fields
from logs.query.conditions import Pattern, Wild
from logs.query.errors import QueryError, shown
from logs.query.fields import EXISTS, Field

LENGTH_MAX = 4_096
NESTING_MAX = 50
WILDCARDS_MAX = 20


class Mark(Enum):
    """What a token is."""

    OPEN = "("
    CLOSE = ")"
    AND = "AND"
    OR = "OR"
    NOT = "NOT"
    FIELD = "field"
    WORD = "word"
    PHRASE = "phrase"
    REGEX = "regex"
    COMPARE = "compare"
    FROM = "from"
    TO = "TO"
    UNTIL = "until"


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a query: query[start:end]. `text` is an operator, a field's name or a regular expression."""

    mark: Mark
    start: int
    end: int
    text: str = ""
    pattern: Pattern = ()
    field: Field | None = None


@dataclass(frozen=True, slots=True)
class _Group:
    """An open parenthesis: where, how deep, and the field whose values it holds."""

    start: int
    depth: int
    field: str = ""


def tokens(query: str) -> list[Token]:
    """Return the tokens of `query`, with AND between conditions that stand side by side; raises QueryError."""
    check_bounds(query)
    return _Lexer(query).read()


def check_bounds(query: str) -> None:
    """Raise QueryError for a text that cannot even be searched for: too long, or of characters that herald never keeps."""
    if len(query) > LENGTH_MAX:
        problem = f"The query has {len(query):,} characters; at most {LENGTH_MAX:,} are allowed."
        raise QueryError(query, LENGTH_MAX, LENGTH_MAX, problem)
    if "\0" in query:
        at = query.index("\0")
        raise QueryError(query, at, at, "A NUL character cannot be searched for: herald shows it as ␀ and stores that.")
    try:
        query.encode()
    except UnicodeEncodeError as error:
        raise QueryError(
            query, error.start, error.start, "Half of a surrogate pair cannot be searched for: herald stores none."
        ) from None


_OPERATORS = {"AND": Mark.AND, "&&": Mark.AND, "OR": Mark.OR, "||": Mark.OR, "NOT": Mark.NOT, "!": Mark.NOT}
_OPERATOR = re.compile(r'(?:AND|OR|NOT)(?=[\s()"]|\Z)|&&|\|\||!(?!=)')
_TO = re.compile(r"TO(?=\s)")
_REGEX = re.compile(r"/(?:[^\\/]|\\.)+/(?=[\s)]|\Z)", re.DOTALL)
# What other languages write where Lucene has a colon.
_COMPARISON = re.compile(r"([A-Za-z_][A-Za-z0-9_.]*)(==?|!=|[<>]=?)(.*)", re.DOTALL)
_RANKING = re.compile(r".+(?:~[0-9.]*|\^[0-9.]+)", re.DOTALL)


class _Lexer:
    """Goes through a query once; `wants` tells whether a condition must come next."""

    def __init__(self, query: str) -> None:
        self.query = query
        self.at = 0
        self.found: list[Token] = []
        self.groups: list[_Group] = []
        self.wants = True
        self.prefixes = 0

    def read(self) -> list[Token]:
        self._skip_space()
        while self.at < len(self.query):
            self._one()
            self._skip_space()
        if self.groups:
            self._fail(self.groups[-1].start, self.groups[-1].start + 1, "This parenthesis is never closed.")
        if self.wants and self.found:
            self._nothing_behind()
        return self.found

    def _one(self) -> None:
        """Read what begins here: an operator, a parenthesis or a condition."""
        character = self._peek()
        if character == ")":
            self._close()
        elif character == "(":
            self._open(self.at)
        elif operator := _OPERATOR.match(self.query, self.at):
            self._operator(operator[0])
        elif character in "+-":
            self._sign(character)
        elif self._field_of_group():
            self._begin()
            self._value(self.at)
        else:
            self._begin()
            self._condition()

    # --- Operators and parentheses ---

    def _operator(self, text: str) -> None:
        start = self.at
        mark = _OPERATORS[text]
        self.at += len(text)
        if mark is Mark.NOT:
            self._prefix(start)
            return
        if self.wants:
            self._fail(start, self.at, f"There is nothing before {text}.", f'To search for it, write "{text}".')
        self._add(mark, start, text)
        self.wants = True

    def _prefix(self, start: int) -> None:
        self._begin()
        self._add(Mark.NOT, start, self.query[start : self.at])
        self.wants = True
        self.prefixes += 1
        self._check_depth(start)

    def _sign(self, sign: str) -> None:
        following = self.query[self.at + 1 : self.at + 2]
        if not following or following.isspace() or following in "+-)":
            purpose = "excludes" if sign == "-" else "asks for"
            self._fail_word(self.at, f"“{sign}” must stand directly before what it {purpose}.")
        start = self.at
        self.at += 1
        if sign == "-":
            self._prefix(start)
        else:
            self._begin()

    def _begin(self) -> None:
        """Put AND before a condition that follows another."""
        if not self.wants:
            self._add(Mark.AND, self.at, "")
            self.wants = True

    def _open(self, start: int, field: str = "") -> None:
        self._begin()
        self.groups.append(_Group(start, self._depth() + self.prefixes + 1, field or self._field_of_group()))
        self.prefixes = 0
        self._check_depth(start)
        self.at += 1
        self._add(Mark.OPEN, self.at - 1, "(")

    def _close(self) -> None:
        start = self.at
        if not self.groups:
            self._fail(start, start + 1, "This parenthesis closes none.", 'To search for it, write ")".')
        if self.wants:
            self._nothing_behind()
        self.at += 1
        self._add(Mark.CLOSE, start, ")")
        self._condition_ends(self.groups.pop().start)

    def _nothing_behind(self) -> NoReturn:
        last = self.found[-1]
        if last.mark is Mark.OPEN:
            self._fail(last.start, self.at + 1, "There is nothing between these parentheses.")
        text = self.query[last.start : last.end]
        self._fail(last.start, last.end, f"There is nothing behind {text}.", f'To search for it, write "{text}".')

    def _depth(self) -> int:
        return self.groups[-1].depth if self.groups else 0

    def _check_depth(self, start: int) -> None:
        if self._depth() + self.prefixes > NESTING_MAX:
            self._fail(start, start + 1, f"The query is nested more than {NESTING_MAX} deep.")

    def _field_of_group(self) -> str:
        return self.groups[-1].field if self.groups else ""

    # --- Conditions ---

    def _condition(self) -> None:
        """Read a word, phrase or regular expression; a word may turn out to be a field's name."""
        start = self.at
        self._check_begins_condition()
        if self._phrase_or_regex():
            self._condition_ends(start)
            return
        pattern = self._pattern('()"', ends_at_colon=True)
        if self._peek() == ":":
            self._field(start, pattern)
        else:
            self._check_word(start, self.query[start : self.at])
            self._add(Mark.WORD, start, pattern=pattern)
            self._condition_ends(start)

    def _field(self, start: int, pattern: Pattern) -> None:
        """Read a field's name and its value; `at` is the colon between them."""
        name = "".join(piece if isinstance(piece, str) else piece.value for piece in pattern)
        field = fields.find(name)
        if field is None and name != EXISTS:
            self._fail_field(start, name)
        self._add(Mark.FIELD, start, name, field=field)
        self.at += 1
        behind = self.at
        self._skip_space()
        if self.at > behind and _OPERATOR.match(self.query, self.at):
            self._fail_value(start, behind)
        if self._peek() == "(":
            self._open(self.at, name)
        else:
            self._value(start)

    def _value(self, start: int) -> None:
        """Read one value of a field; `start` is where its condition began."""
        character = self._peek()
        if character in ("[", "{"):
            self._range()
        elif character in ("<", ">"):
            self._comparison(start)
        elif not self._phrase_or_regex():
            self._plain_value(start)
        self._condition_ends(start)

    def _plain_value(self, start: int) -> None:
        at = self.at
        pattern = self._pattern('()"')
        if not pattern:
            self._fail_value(start, max(at, start + 1))
        text = self.query[at : self.at]
        if at == start:
            self._check_belongs(at, text)
        self._check_ranking(at, text)
        self._add(Mark.WORD, at, pattern=pattern)

    def _comparison(self, condition: int) -> None:
        start = self.at
        self.at += 2 if self.query[start + 1 : start + 2] == "=" else 1
        self._add(Mark.COMPARE, start, self.query[start : self.at])
        self._skip_space()
        if self._peek() == '"':
            self._phrase()
            return
        at = self.at
        pattern = self._pattern('()"')
        if not pattern:
            self._fail_value(condition, at)
        self._add(Mark.WORD, at, pattern=pattern)

    def _range(self) -> None:
        start = self.at
        self.at += 1
        self._add(Mark.FROM, start, self.query[start])
        self._bound(start)
        at = self.at
        if not _TO.match(self.query, at):
            self._fail_range(start)
        self.at += 2
        self._add(Mark.TO, at, "TO")
        self._bound(start)
        if self._peek() not in ("]", "}"):
            self._fail_range(start)
        self.at += 1
        self._add(Mark.UNTIL, self.at - 1, self.query[self.at - 1])

    def _bound(self, start: int) -> None:
        self._skip_space()
        at = self.at
        if self._peek() == '"':
            self._phrase()
        else:
            pattern = self._pattern(']}"')
            if not pattern:
                self._fail_range(start)
            self._add(Mark.WORD, at, pattern=pattern)
        self._skip_space()

    def _fail_range(self, start: int) -> NoReturn:
        remedy = "Write [from TO to]; { and } leave the ends out, * leaves an end open."
        self._fail(start, max(self.at, start + 1), "This range is not complete.", remedy)

    def _phrase_or_regex(self) -> bool:
        """Read a phrase or a regular expression; False where there is neither: a slash may only begin a path."""
        if self._peek() == '"':
            self._phrase()
            return True
        end = self._regex_end()
        if end:
            start = self.at
            self.at = end
            self._add(Mark.REGEX, start, self.query[start + 1 : end - 1].replace("\\/", "/"))
        return bool(end)

    def _phrase(self) -> None:
        start = self.at
        text = []
        self.at += 1
        while self._peek() != '"':
            if not self._peek():
                self._fail(start, len(self.query), "These quotes are never closed.", 'Write \\" for one inside.')
            if self._peek(2) in ('\\"', "\\\\"):
                self.at += 1
            text.append(self._peek())
            self.at += 1
        self.at += 1
        if not text:
            remedy = f"NOT {EXISTS}:field finds rows where a field is empty."
            self._fail(start, self.at, "There is nothing between these quotes.", remedy)
        self._add(Mark.PHRASE, start, pattern=("".join(text),))

    def _regex_end(self) -> int:
        """Return where the regular expression that may begin here has ended; 0 when there is none."""
        found = _REGEX.match(self.query, self.at)
        return found.end() if found else 0

    def _pattern(self, stops: str, *, ends_at_colon: bool = False) -> Pattern:
        """Read a word up to white space or one of `stops`; a backslash takes the meaning from punctuation and space."""
        pieces: list[str | Wild] = []
        literal = ""
        start = self.at
        while character := self._peek():
            if character.isspace() or character in stops or (ends_at_colon and character == ":" and self.at > start):
                break
            self.at += 1
            following = self._peek()
            if character == "\\" and following and not following.isalnum():
                literal += following
                self.at += 1
            elif character in "*?":
                pieces += [literal, Wild(character)]
                literal = ""
            else:
                literal += character
        pattern = _tidy((*pieces, literal))
        if sum(isinstance(piece, Wild) for piece in pattern) > WILDCARDS_MAX:
            self._fail_word(start, f"A word has at most {WILDCARDS_MAX} wildcards.", "Use a /regular expression/.")
        return pattern

    # --- What is refused ---

    def _check_begins_condition(self) -> None:
        character = self._peek()
        if character == ":":
            self._fail_word(self.at, "A colon stands directly behind the name of a field.")
        if character in "[{":
            self._fail_word(self.at, "A range needs a field before it.", "Write line:[1 TO 10].")
        if character in "<>":
            self._fail_word(self.at, "A comparison needs a field before it.", "Write line:>10.")
        if self._peek(2) == "!=":
            self._fail_word(self.at, "“!=” is no operator here.", "Write NOT field:value.")

    def _check_belongs(self, start: int, text: str) -> None:
        """Refuse another field among the values of one."""
        name, colon, _ = text.partition(":")
        if colon and fields.find(name):
            self._fail_word(
                start,
                f"These are values of {self._field_of_group()}; {name} cannot stand among them.",
                "Close the parenthesis first.",
            )

    def _check_word(self, start: int, text: str) -> None:
        self._check_ranking(start, text)
        found = _COMPARISON.fullmatch(text)
        if found and fields.find(found[1]):
            name, sign, value = found[1], found[2], found[3] or "value"
            equal = f"{name}:{value}"
            meant = {"=": equal, "==": equal, "!=": f"NOT {equal}"}.get(sign, f"{name}:{sign}{value}")
            self._fail_word(start, "A field is asked for with a colon.", f"Write {shown(meant)}.")

    def _check_ranking(self, start: int, text: str) -> None:
        if _RANKING.fullmatch(text) and "\\" not in text:
            self._fail_ranking(start)

    def _fail_ranking(self, start: int) -> NoReturn:
        self._fail_word(
            start, "herald neither ranks what it finds (^) nor finds what is merely similar (~).", "Leave it out."
        )

    def _fail_field(self, start: int, name: str) -> NoReturn:
        meant = fields.closest(name)
        remedy = f"Did you mean {meant}:?" if meant else ""
        if name.startswith(f"{fields.EXTRA.name}."):
            remedy = f"Write extra.key:value; up to {fields.PATH_MAX} keys may lead to it."
        self._fail_word(start, f"There is no field “{shown(name)}”.", remedy, end=self.at)

    def _fail_value(self, start: int, end: int) -> NoReturn:
        text = self.query[start:end].strip()
        remedy = f"{EXISTS}:{text[:-1]} finds the rows that have one." if text.endswith(":") else ""
        self._fail_word(start, f"There is no value behind “{shown(text)}”.", remedy, end=end)

    def _fail_word(self, start: int, problem: str, remedy: str = "", *, end: int = 0) -> NoReturn:
        """Refuse the word that begins at `start`, and say how it is searched for as text."""
        word = self.query[start:].split(maxsplit=1)[0]
        quote = f"To search for it as text, put it in quotes: {quoted(shown(word))}"
        self._fail(start, end or start + len(word), problem, f"{remedy} {quote}".strip())

    def _condition_ends(self, start: int) -> None:
        """Refuse a condition to which something sticks."""
        self.wants = False
        self.prefixes = 0
        following = self._peek()
        if not following or following.isspace() or following == ")":
            return
        if following in "~^":
            self._fail_ranking(start)
        problem = f"“{following}” sticks to what stands before it."
        self._fail_word(start, problem, "Put a space between them.", end=self.at + 1)

    def _fail(self, start: int, end: int, problem: str, remedy: str = "") -> NoReturn:
        raise QueryError(self.query, start, end, problem, remedy)

    # --- Where we are ---

    def _add(self, mark: Mark, start: int, text: str = "", pattern: Pattern = (), field: Field | None = None) -> None:
        self.found.append(Token(mark, start, self.at, text, pattern, field))

    def _peek(self, length: int = 1) -> str:
        return self.query[self.at : self.at + length]

    def _skip_space(self) -> None:
        while self._peek().isspace():
            self.at += 1


def _tidy(pieces: Pattern) -> Pattern:
    """Return a pattern without empty literals, and with one `*` where there were several."""
    kept: list[str | Wild] = []
    for piece in pieces:
        if piece and not (piece is Wild.RUN and kept and kept[-1] is Wild.RUN):
            kept.append(piece)
    return tuple(kept)


def quoted(text: str) -> str:
    """Return the phrase that stands for exactly this text."""
    return '"{}"'.format(text.replace("\\", "\\\\").replace('"', '\\"'))
