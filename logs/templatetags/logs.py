"""What the log's templates need beyond Django's own."""

from __future__ import annotations

from datetime import datetime, timedelta

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from logs.rows import CODE, in_words, iso

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
def grouped(number: int) -> str:
    """Return a number with separators."""
    return f"{number:,}"
