"""The page about the query language, written from the tables that the parser and the tests go by.

`make generated` keeps it as docs/query.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from logs.query.cases import NOW, ORDINARY, REFUSALS, SECTIONS, Section
from logs.query.fields import FIELDS, NAMES
from logs.query.language import parse_or_text
from logs.query.lexer import LENGTH_MAX, NESTING_MAX, WILDCARDS_MAX
from logs.query.parsing import CONDITIONS_MAX
from logs.query.regexes import STEPS_MAX

SHOWN_MAX = 60
"""Examples longer than this are for the tests alone."""

HEAD = """\
# The query language

<!-- Made by `make generated` from logs/query: change it there. -->

One language selects log records everywhere in herald. It is Lucene's syntax, as Graylog and Kibana have it.

```
level:>=ERROR system:billing "card declined"
```

asks for three things at once, and herald reads it back: *level ≥ ERROR and system = billing and text contains "card
declined"*. Upper and lower case are the same in every text, letter by letter: Ü is ü, but ß is not ss.

What is stored must be a query. On a page, a text that is none, such as a pasted log line or a URL, is searched for as it
stands, and the page says why.
"""


def page() -> str:
    """Return the whole page as Markdown."""
    sections = (line for section in SECTIONS for line in _section(section))
    return "\n".join([HEAD, *_fields(), *sections, *_refusals(), *_bounds()]) + "\n"


def _fields() -> Iterator[str]:
    yield "## Names of fields\n"
    rows = ((", ".join(map(_code, field.names)), field.kind.value, field.help) for field in FIELDS)
    yield from _table(("name", "holds", "which is"), rows)


def _section(section: Section) -> Iterator[str]:
    yield f"## {section.title}\n\n{section.explains}\n"
    rows = (
        (_code(example.query), _code(example.reads), _first(example.finds), _first(example.misses))
        for example in section.examples
        if example.query.strip() and len(example.query) <= SHOWN_MAX
    )
    yield from _table(("query", "is read as", "finds", "does not find"), rows)


def _first(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the first row as a reader sees it: what differs from an ordinary one, under the fields' names."""
    if not rows:
        return ""
    told = {column: value for column, value in rows[0].items() if value != ORDINARY[column]}
    return (
        ", ".join(f"{NAMES[column].name} {_code(_plain(value))}" for column, value in told.items()) or "an ordinary row"
    )


def _plain(value: Any) -> str:
    return value if isinstance(value, str) and value.isprintable() and value else orjson.dumps(value).decode()


def _refusals() -> Iterator[str]:
    yield "## What is no query\n"
    yield "Each of these is refused where it would be stored, and searched for as text on a page.\n"
    shown = [refused.text for refused in REFUSALS if len(refused.text) <= SHOWN_MAX and refused.text.isprintable()]
    errors = ((text, parse_or_text(text, now=NOW).misread) for text in shown)
    yield from _table(("text", "what herald says"), ((_code(text), str(error)) for text, error in errors))


def _bounds() -> Iterator[str]:
    yield "## Bounds\n"
    yield f"* A query has at most {LENGTH_MAX:,} characters and {CONDITIONS_MAX} words and values."
    yield f"* It is nested at most {NESTING_MAX} deep; a word has at most {WILDCARDS_MAX} wildcards."
    yield f"* A regular expression compiles to at most {STEPS_MAX:,} steps."


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(map(_cell, row))} |"
    yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _code(text: str) -> str:
    """Return `text` as Markdown's code, whatever is in it."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


if __name__ == "__main__":
    sys.stdout.write(page())
