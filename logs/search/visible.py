"""Who may see which rows: every door to the log goes through here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import QuerySet

from logs.models import Log, LogCount

Person = AbstractBaseUser | AnonymousUser


@dataclass(frozen=True, slots=True)
class Visible:
    """The rows one person may see, as a query and as a question about one row, which agree. Today: all of them."""

    def rows(self) -> QuerySet[Log]:
        """Return what may be seen, by conditions on Log's own columns."""
        return Log.objects.all()

    def counts(self) -> QuerySet[LogCount] | None:
        """Return the minute counts of what may be seen; None where there are none of just that."""
        return LogCount.objects.all()

    def allows(self, row: Mapping[str, Any]) -> bool:
        """Whether this row may be seen."""
        return True


def visible_to(person: Person) -> Visible:
    """Return what `person` may see."""
    return Visible()
