from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import Tags, register


class LogsConfig(AppConfig):
    name = "logs"
    verbose_name = "Logs"

    def ready(self) -> None:
        # They ask for the models, which are not there before.
        from logs.checks import check_locale  # noqa: PLC0415
        from logs.patterns import keeping  # noqa: F401, PLC0415 (registers a reader)

        register(check_locale, Tags.database)
