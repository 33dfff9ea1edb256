"""Who may ask without a browser: tokens, each of which stands for the person it belongs to."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models

from logs.access import Scope

DAYS = 365
DAYS_MAX = 730
NAME = RegexValidator(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}\Z", "Use letters, digits, - . and _, 80 characters at most.")


class Token(models.Model):
    """A secret that opens the doors of `heraldsite.tokens.DOORS` as its owner. Only a hash of it is kept."""

    SCOPES = [(Scope.READ.value, "read"), (Scope.WRITE.value, "read and write")]

    name = models.CharField(max_length=80, unique=True, validators=[NAME])
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="tokens")
    scope = models.CharField(max_length=10, choices=SCOPES, default=Scope.READ.value)
    hash = models.CharField(max_length=64, unique=True, editable=False)
    prefix = models.CharField(max_length=20, editable=False, help_text="How it begins, to know it again by.")
    created = models.DateTimeField(editable=False)
    expires = models.DateTimeField()
    revoked = models.DateTimeField(null=True, editable=False)
    last_used = models.DateTimeField(null=True, editable=False)
    last_peer = models.CharField("last used from", max_length=200, default="", editable=False)

    class Meta:
        verbose_name = "token"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(expires__gt=models.F("created")), name="heraldsite_token_expires_after_it_was_made"
            ),
            models.CheckConstraint(
                condition=models.Q(scope__in=[Scope.READ.value, Scope.WRITE.value]), name="heraldsite_token_scope"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse a life that is over before it begins, or longer than DAYS_MAX."""
        if self.expires is None or self.created is None:
            return
        if not self.created < self.expires <= self.created + timedelta(days=DAYS_MAX):
            raise ValidationError({"expires": f"A token lives at most {DAYS_MAX} days, and ends after it begins."})

    def state(self, now: datetime) -> str:
        """Return what is to be said of it: valid, expired, revoked, or whose account is closed."""
        if self.revoked is not None:
            return "revoked"
        if self.expires <= now:
            return "expired"
        return "valid" if self.owner.is_active else "its owner's account is closed"
