"""What people decide about a pattern: that it is resolved, to be ignored, or open after all."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from logs.models import ID_MAX, Pattern
from logs.patterns.doings import say


def resolve(number: int, *, by: str, now: datetime, version: str = "") -> bool:
    """Take a pattern for mended; return whether there is such a pattern.

    A row that comes after `now` brings it back as regressed, unless its version is surely older than `version`, the one
    with the mend. Without a version, any row does.
    """
    mended = version.strip()[:ID_MAX]
    told = f"resolved in version {mended}" if mended else "resolved"
    return _decide(number, told, by, now, state=Pattern.State.RESOLVED, resolved_in=mended)


def ignore(number: int, *, by: str, now: datetime) -> bool:
    """Leave a pattern out of the list of open ones, whatever comes; it goes on counting."""
    return _decide(number, "ignored", by, now, state=Pattern.State.IGNORED, resolved_in="")


def reopen(number: int, *, by: str, now: datetime) -> bool:
    """Put a pattern back among the open ones."""
    return _decide(number, "reopened", by, now, state=Pattern.State.OPEN, resolved_in="")


def _decide(number: int, told: str, by: str, now: datetime, **changes: Any) -> bool:
    with transaction.atomic():
        # One UPDATE: the reader holds the row while it folds new ones into it, and writes every field back.
        changed = Pattern.objects.filter(pk=number).update(
            decided_at=now, decided_by=by[:150], regressed=False, regressed_at=None, regressed_in="", **changes
        )
        pattern = Pattern.objects.filter(pk=number).first()
        if not changed or pattern is None:
            return False
        say(f"an error of {pattern.system_id or 'an unknown system'} was {told} by {by}: {pattern.template}", at=now)
    return True
