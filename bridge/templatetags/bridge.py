"""Figures and moments as people read them."""

from __future__ import annotations

from datetime import datetime

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from logs.rows import in_words, iso

register = template.Library()


@register.filter
def number(value: int | None) -> str:
    """Return a whole number with its thousands separated."""
    return f"{value or 0:,}"


@register.simple_tag
def moment(at: datetime | None, now: datetime, never: str = "never") -> SafeString | str:
    """Return how long ago a moment was; the moment itself is the title."""
    if at is None:
        return never
    return format_html('<time datetime="{}" title="{}">{} ago</time>', iso(at), iso(at), in_words(now - at))
