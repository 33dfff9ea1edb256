"""The log in GraphQL: what the old herald answered (`seeds`), and beside it herald's own language (`entries`).

The site puts the parts together: its query inherits Query, its mutation Mutation, and TYPES are what nothing else
leads to. Resolvers find an `asking.Asking` in `info.context`.
"""

from __future__ import annotations

from logs.schema.entries import EntryQuery
from logs.schema.seeds import GHeartBeat, SeedMutation, SeedQuery

__all__ = ["TYPES", "Mutation", "Query"]

TYPES = [GHeartBeat]


class Query(EntryQuery, SeedQuery):
    """What may be asked of the log."""


class Mutation(SeedMutation):
    """What may be done to the log."""
