"""Which database a model lives in."""

from __future__ import annotations

from typing import Any

from django.db.models import Model


class QueueRouter:
    """The task queue's tables live in the database `queue`, all others in `default`."""

    app = "django_q"

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        return "queue" if model._meta.app_label == self.app else None

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return (db == "queue") == (app_label == self.app)
