"""herald's query language: one text, read once, that selects rows in SQL and in Python alike.

`parse` is for what is stored, `parse_or_text` for what a person types. The language is described in docs/query.md.
"""

from __future__ import annotations

from logs.query.errors import QueryError
from logs.query.fields import FIELDS, Field
from logs.query.folding import fold
from logs.query.language import Predicate, Query, parse, parse_or_text, term, validate_query
from logs.query.lexer import quoted
from logs.query.needs import Needs

__all__ = [
    "FIELDS",
    "Field",
    "Needs",
    "Predicate",
    "Query",
    "QueryError",
    "fold",
    "parse",
    "parse_or_text",
    "quoted",
    "term",
    "validate_query",
]
