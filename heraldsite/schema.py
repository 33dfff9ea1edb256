"""The site's GraphQL schema, put together from the apps'. `python -m heraldsite.schema` writes it out as text."""

from __future__ import annotations

import sys

import django
import graphene

if __name__ == "__main__":
    django.setup()  # what has models may be imported only then

from logs import schema as logs


class Query(logs.Query):
    """Everything that may be asked."""


class Mutation(logs.Mutation):
    """Everything that may be changed."""


schema = graphene.Schema(query=Query, mutation=Mutation, types=logs.TYPES)


def as_text() -> str:
    """Return the schema in GraphQL's own language, as it is kept in `schema.graphql`."""
    return f"{schema}\n"


if __name__ == "__main__":
    sys.stdout.write(as_text())
