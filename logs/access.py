"""What somebody who asks may do to the log beyond reading what `logs.search.visible_to` shows them."""

from __future__ import annotations

from enum import StrEnum

from django.http import HttpRequest


class Scope(StrEnum):
    """What a token is good for. The site puts `scope_of_token` on the request of whoever comes with a token."""

    READ = "read"
    WRITE = "write"


ADD_LOG = "logs.add_log"
"""The permission to add rows, for people who have logged in."""


def scope_of(request: HttpRequest) -> Scope | None:
    """Return the scope of the token by which this request came in; None for a person who has logged in."""
    scope: Scope | None = getattr(request, "scope_of_token", None)
    return scope


def may_write(request: HttpRequest) -> bool:
    """Whether who asks may add rows: a token by its scope, a person by the permission."""
    scope = scope_of(request)
    return request.user.has_perm(ADD_LOG) if scope is None else scope is Scope.WRITE
