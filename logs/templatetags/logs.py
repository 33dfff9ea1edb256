"""What the log's templates need beyond Django's own."""

from __future__ import annotations

from datetime import datetime, timedelta

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from logs import rows
from logs.models import Level
from logs.rows import CODE, in_words, iso
from logs.store import level_of

register = template.Library()


@register.filter
def codes(text: object) -> SafeString:
    """Return text, escaped, with the codes that stand for invisible characters set apart."""
    shown = str(text)
    marks = [format_html('<span class="code">{}</span>', code) for code in CODE.findall(shown)]
    return format_html_join("", "{}{}", zip(CODE.split(shown), [*marks, ""], strict=True))


@register.filter
def utc(moment: datetime) -> str:
    """Return a moment as a `datetime` attribute holds it."""
    return iso(moment)


@register.filter
def words(duration: timedelta) -> str:
    """Return a duration as people say it."""
    return in_words(duration)


@register.filter
def inert(text: object) -> str:
    """Return text from outside with every character that hides or reorders as a code, for `codes` to set apart."""
    return rows.inert(str(text))


@register.filter
def counted(number: int) -> str:
    """Return a number of rows as people say it: `1 row`, `1,204 rows`."""
    return f"{number:,} row{'s' if number != 1 else ''}"


@register.filter
def thousands(value: int) -> str:
    """Return a whole number with its thousands separated."""
    return f"{value:,}"


@register.filter
def level_name(levelno: int) -> str:
    """Return the name of a level, `WARNING`; of a number between two, that of the lower one with a plus sign."""
    name = Level(level_of(levelno)).name
    return name if levelno in Level.values else f"{name}+"
