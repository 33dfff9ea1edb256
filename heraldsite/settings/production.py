"""PRODUCTION: nothing is guessed. What must be said by the operator is asked for by name."""

from __future__ import annotations

import os

from django.core.exceptions import ImproperlyConfigured

REQUIRED = {
    "HERALD_SECRET_KEY": "signs sessions and links; at least 50 random characters, the same on every web process",
    "HERALD_ALLOWED_HOSTS": "the host names under which people reach the site, separated by commas",
}


def refuse_to_guess() -> None:
    """Raise ImproperlyConfigured with every missing variable and what it is for."""
    missing = [f"  {name}: {purpose}" for name, purpose in REQUIRED.items() if not os.environ.get(name)]
    if missing:
        lines = "\n".join(["PRODUCTION does not start without these variables (see deploy/env.example):", *missing])
        raise ImproperlyConfigured(lines)


refuse_to_guess()

from heraldsite.settings.base import *  # noqa: E402, F403
from heraldsite.settings.base import env  # noqa: E402

# The site stands behind a proxy that speaks TLS. HERALD_BEHIND_TLS=off is for a trial on loopback alone.
BEHIND_TLS = env.bool("HERALD_BEHIND_TLS", default=True)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS else None
SECURE_SSL_REDIRECT = BEHIND_TLS
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
SECURE_HSTS_SECONDS = 31_536_000 if BEHIND_TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = BEHIND_TLS
SECURE_HSTS_PRELOAD = BEHIND_TLS
SESSION_COOKIE_SECURE = BEHIND_TLS
CSRF_COOKIE_SECURE = BEHIND_TLS
