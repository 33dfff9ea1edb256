"""Figures as people read them."""

from __future__ import annotations

from django import template

register = template.Library()


@register.filter
def number(value: int | None) -> str:
    """Return a whole number with its thousands separated."""
    return f"{value or 0:,}"
