"""Coming in by a token: how one is made, what is accepted, and at which doors.

A token is sent as `Authorization: Bearer herald_…`. It opens the DOORS and nothing else, as its owner, within its
scope. Browsers do not send this header by themselves, so that a request with a token needs no protection against
forged forms; a session's cookie still does.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import DatabaseError
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.deprecation import MiddlewareMixin

from heraldsite.models import DAYS, Token
from logs.access import Scope

logger = logging.getLogger(__name__)

# Each entry is opened by a token. A new one needs a test of what it lets a token do.
DOORS = frozenset({"/graph_ql", "/angular/list", "/angular/options", "/hello", "/hello_to_ps_basic_logger"})

MARK = "herald_"
"""What every token begins with: people and scanners for lost secrets know it by that."""
PREFIX = len(MARK) + 6
TOKEN_MAX = 200
SEEN_EVERY = timedelta(minutes=1)
REFUSED = "This token is not valid: it is unknown, expired or revoked."

WRONG_MAX = 20
WRONG_WITHIN = 60.0
"""So many wrong tokens from one address within so many seconds are looked up; what comes then is told to wait."""
ADDRESSES_MAX = 10_000
GOOD_MAX = 10_000


# --- Making one --------------------------------------------------------------------------------------------------


def hash_of(secret: str) -> str:
    """Return the form in which a secret is kept. It is random and long: no slow hash is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_secret() -> str:
    """Return a secret that nobody guesses (256 bits)."""
    return MARK + secrets.token_urlsafe(32)


def make(name: str, owner: User, *, now: datetime, scope: Scope = Scope.READ, days: int = DAYS) -> tuple[Token, str]:
    """Store a new token and return it with its secret, which is never known again.

    Raises django.core.exceptions.ValidationError for a name that is taken or odd, and for a life that is too long.
    """
    secret = new_secret()
    token = Token(name=name, owner=owner, scope=scope.value, created=now, expires=now + timedelta(days=days))
    give(token, secret)
    token.full_clean()
    token.save()
    return token, secret


def give(token: Token, secret: str) -> None:
    """Make `secret` the token's."""
    token.hash = hash_of(secret)
    token.prefix = secret[:PREFIX]


def revoke(name: str, now: datetime) -> bool:
    """Accept a token no longer; return whether there is one of that name."""
    Token.objects.filter(name=name, revoked=None).update(revoked=now)
    return Token.objects.filter(name=name).exists()


# --- Coming in by one --------------------------------------------------------------------------------------------


def find(secret: str, now: datetime) -> Token | None:
    """Return the token with this secret if it is good for something at `now`."""
    digest = hash_of(secret)
    token = Token.objects.select_related("owner").filter(hash=digest).first()
    if token is None or not hmac.compare_digest(token.hash, digest) or token.state(now) != "valid":
        return None
    return token


def note_use(token: Token, peer: str, now: datetime) -> None:
    """Remember when and from where a token was used, once a minute at most, whatever the number of processes."""
    before = now - SEEN_EVERY
    if token.last_used is not None and token.last_used > before:
        return
    unseen = Q(last_used=None) | Q(last_used__lte=before)
    try:
        Token.objects.filter(unseen, pk=token.pk).update(last_used=now, last_peer=peer[:200])
    except DatabaseError:
        # Whoever asks shall have their answer all the same.
        logger.warning("The use of token %s could not be noted", token.name, exc_info=True)


class Wrong:
    """How many wrong tokens came from which address lately. Bounded; one for each process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._good: OrderedDict[str, None] = OrderedDict()

    def too_many(self, address: str, secret: str) -> bool:
        """Whether a token from here is to wait without being looked up; those found good lately never wait."""
        with self._lock:
            return self._count(address) >= WRONG_MAX and hash_of(secret) not in self._good

    def was_wrong(self, address: str) -> int:
        """Count one, and return how many there have been."""
        with self._lock:
            since = self._counts.get(address, (self._clock(), 0))[0]
            count = self._count(address) + 1
            self._counts[address] = (since if count > 1 else self._clock(), count)
            self._counts.move_to_end(address)
            if len(self._counts) > ADDRESSES_MAX:
                self._counts.popitem(last=False)
            return count

    def was_good(self, secret: str) -> None:
        """Remember a token that was good."""
        with self._lock:
            self._good[hash_of(secret)] = None
            self._good.move_to_end(hash_of(secret))
            if len(self._good) > GOOD_MAX:
                self._good.popitem(last=False)

    def _count(self, address: str) -> int:
        since, count = self._counts.get(address, (0.0, 0))
        return count if self._clock() - since < WRONG_WITHIN else 0


class TokenLogin(MiddlewareMixin):
    """Lets a request with a token in at the DOORS, as the token's owner; everywhere else a token is nothing."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        super().__init__(get_response)
        self.wrong = Wrong()

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        secret = _shown(request)
        if secret is None or request.path_info not in DOORS:
            return None
        address = request.META.get("REMOTE_ADDR", "")
        if self.wrong.too_many(address, secret):
            return _told("Too many wrong tokens came from your address: wait a minute.", 429, {"Retry-After": "60"})
        now = timezone.now()
        token = find(secret, now) if _is_formed(secret) else None
        if token is None:
            self._say_wrong(address, request.path_info)
            return _told(REFUSED, 401, {"WWW-Authenticate": 'Bearer realm="herald", error="invalid_token"'})
        self.wrong.was_good(secret)
        note_use(token, address, now)
        request.user = token.owner
        request.scope_of_token = Scope(token.scope)  # type: ignore[attr-defined]
        # The header proves what a form's token would: no page of another site can send it.
        request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]
        return None

    def _say_wrong(self, address: str, path: str) -> None:
        count = self.wrong.was_wrong(address)
        if count == 1:
            logger.warning("A token that is not valid came from %s, at %s", address, path)
        elif count == WRONG_MAX:
            logger.warning(
                "%d tokens that are not valid came from %s within a minute: more have to wait", count, address
            )


def _shown(request: HttpRequest) -> str | None:
    """Return the token a request shows, None where it shows none."""
    kind, _, secret = request.headers.get("Authorization", "").partition(" ")
    return secret.strip() if kind.lower() == "bearer" else None


def _is_formed(secret: str) -> bool:
    return secret.startswith(MARK) and len(secret) <= TOKEN_MAX and secret.isascii()


def _told(sentence: str, status: int, headers: dict[str, str]) -> HttpResponse:
    answer = HttpResponse(sentence + "\n", status=status, content_type="text/plain; charset=utf-8")
    for name, value in ({"Cache-Control": "no-store"} | headers).items():
        answer[name] = value
    # Django would log each one; they are logged here, a few of each address.
    answer._has_been_logged = True  # type: ignore[attr-defined]
    return answer
