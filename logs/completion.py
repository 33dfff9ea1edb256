"""What a query may go on with: the names of the fields, and the values that a field has had."""

from __future__ import annotations

from logs import search
from logs.models import ID_MAX
from logs.query import FIELDS
from logs.query.fields import EXISTS
from logs.rows import short
from logs.search import Person

VALUES_MAX = 20
SHOWN_MAX = 100
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def fields() -> list[dict[str, str]]:
    """Return every field by the name that pages use for it, with a sentence for people."""
    told = [{"name": field.name, "help": field.help} for field in FIELDS]
    return [*told, {"name": EXISTS, "help": "rows that have the field named behind it"}]


def values(person: Person, field: str, prefix: str) -> list[dict[str, str]]:
    """Return values of a field that begin with `prefix`, whatever its case, each with how it is shown."""
    if field == "level":
        found = [name for name in LEVELS if name.startswith(prefix.upper())]
    elif field == EXISTS:
        found = [each.name for each in FIELDS if each.name.startswith(prefix.lower())]
    else:
        found = search.seen_values(person, field, prefix[:ID_MAX], VALUES_MAX)
    return [{"value": value, "shown": short(value, SHOWN_MAX)} for value in found]
