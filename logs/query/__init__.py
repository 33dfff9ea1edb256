"""herald's query language. Its first part: when two texts count as equal."""

from __future__ import annotations

from logs.query.folding import fold

__all__ = ["fold"]
