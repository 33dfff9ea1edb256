"""Who may come in: people who have logged in, except at the doors named here."""

from __future__ import annotations

from django.contrib.auth.middleware import LoginRequiredMiddleware

# Each entry is a door without a lock. A new one needs a test of the credential it asks for itself.
PUBLIC_PATHS = ("/login", "/healthz", "/static/")


def is_public(path: str) -> bool:
    """Whether an anonymous visitor may see `path`; an entry that ends in a slash covers what lies below it."""
    return any(path.startswith(entry) if entry.endswith("/") else path == entry for entry in PUBLIC_PATHS)


class LoginRequired(LoginRequiredMiddleware):
    """Sends every anonymous visitor of a path outside PUBLIC_PATHS to the login page, whatever the view says."""
