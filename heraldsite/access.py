"""Who may come in: people who have logged in, except at the doors named here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from channels.db import database_sync_to_async
from channels.security.websocket import WebsocketDenier
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.utils.deprecation import MiddlewareMixin

from heraldsite.accounts import MUST_CHANGE_PASSWORD

# Each entry is a door without a lock. A new one needs a test of the credential it asks for itself.
PUBLIC_PATHS = ("/login", "/healthz", "/static/")

# What somebody may still open who must choose another password first.
PASSWORD_PATHS = ("/password", "/logout")

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def is_public(path: str) -> bool:
    """Whether an anonymous visitor may see `path`; an entry that ends in a slash covers what lies below it."""
    return any(path.startswith(entry) if entry.endswith("/") else path == entry for entry in PUBLIC_PATHS)


def must_change_password(person: AbstractBaseUser | AnonymousUser) -> bool:
    """Whether `person` has a password that somebody else chose and must replace it first."""
    groups = getattr(person, "groups", None)
    return bool(groups is not None and groups.filter(name=MUST_CHANGE_PASSWORD).exists())


class LoginRequired(MiddlewareMixin):
    """Stops every anonymous visitor outside PUBLIC_PATHS, whether the path exists or not.

    A browser that opens a page is sent to the login and back; anything else gets 403 and one sentence, because a
    script can do nothing with a login page. Who must change their password is sent to do that.
    """

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        if is_public(request.path_info):
            return None
        if not request.user.is_authenticated:
            return _to_login(request) if _opens_a_page(request) else _refused("Log in first: this needs an account.")
        if request.path_info not in PASSWORD_PATHS and must_change_password(request.user):
            if _opens_a_page(request):
                return HttpResponseRedirect(resolve_url("password"))
            return _refused("Choose a password of your own first.")
        return None


def _opens_a_page(request: HttpRequest) -> bool:
    mode = request.headers.get("Sec-Fetch-Mode")
    return mode == "navigate" if mode else "text/html" in request.headers.get("Accept", "")


def _to_login(request: HttpRequest) -> HttpResponse:
    target = resolve_url(settings.LOGIN_URL)
    if request.method in ("GET", "HEAD"):
        target += "?" + urlencode({"next": request.get_full_path()})
    return HttpResponseRedirect(target)


def _refused(sentence: str) -> HttpResponse:
    return HttpResponse(sentence + "\n", status=403, content_type="text/plain; charset=utf-8")


class SocketLoginRequired:
    """The same for WebSockets: the handshake of an anonymous visitor is answered with 403."""

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_public(scope["path"]) or await may_listen(scope["user"]):
            await self.application(scope, receive, send)
        else:
            await WebsocketDenier()(scope, receive, send)


async def may_listen(person: AbstractBaseUser | AnonymousUser) -> bool:
    """Whether `person` may open a WebSocket."""
    if not person.is_authenticated:
        return False
    return not await database_sync_to_async(must_change_password)(person)


async def no_such_socket(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer the handshake for a WebSocket address that does not exist."""
    await WebsocketDenier()(scope, receive, send)
