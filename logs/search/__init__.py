"""Searching the log: the rows a person asked for, how many there are, when they came and what they have in common.

A search takes a `logs.query.Query`, chooses the index to go by (`routes`), and goes through the rows in the order of their
arrival, in slices under a deadline (`walk`). Whatever it could not look at in time, it says. Nothing here counts
without a bound, and nothing skips by OFFSET.
"""

from __future__ import annotations

from logs.search.histograms import Histogram, histogram
from logs.search.numbers import COUNT_MAX, FACETS, Count, Facet, count, facet, facets, seen_values
from logs.search.pages import (
    PAGE_ROWS,
    PAGE_ROWS_MAX,
    SORTED_ROWS,
    Neighbours,
    Page,
    Scanned,
    by_time,
    neighbours,
    page,
    row,
)
from logs.search.visible import Person, Visible, visible_to
from logs.search.walk import COLUMNS
from logs.tail import Row

__all__ = [
    "COLUMNS",
    "COUNT_MAX",
    "FACETS",
    "PAGE_ROWS",
    "PAGE_ROWS_MAX",
    "SORTED_ROWS",
    "Count",
    "Facet",
    "Histogram",
    "Neighbours",
    "Page",
    "Person",
    "Row",
    "Scanned",
    "Visible",
    "by_time",
    "count",
    "facet",
    "facets",
    "histogram",
    "neighbours",
    "page",
    "row",
    "seen_values",
    "visible_to",
]
