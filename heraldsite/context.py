"""What every page may show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.http import HttpRequest
from django.urls import reverse


@dataclass(frozen=True, slots=True)
class Entry:
    """One page in the navigation; `here` when it is the one that is open."""

    label: str
    url: str
    here: bool


def site(request: HttpRequest) -> dict[str, Any]:
    """Return the stage, which is to be seen on every page, and the navigation."""
    return {"stage": settings.STAGE, "navigation": navigation(request)}


def navigation(request: HttpRequest) -> list[Entry]:
    """Return the pages this visitor may go to. A page that herald does not have yet joins here."""
    person = getattr(request, "user", None)
    pages = [
        ("Logs", reverse("logs:index")),
        ("Errors", reverse("logs:errors")),
        ("Systems", reverse("logs:systems")),
        ("Bridges", reverse("bridge:status")),
    ]
    if isinstance(person, AbstractUser) and person.is_staff:
        pages.append(("Admin", reverse("admin:index")))
    return [Entry(label, url, _leads_to(url, request.path)) for label, url in pages]


def _leads_to(url: str, path: str) -> bool:
    return path == url or (url != "/" and path.startswith(f"{url.rstrip('/')}/"))
