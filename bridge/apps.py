from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register

from bridge.checks import check_bridge


class BridgeConfig(AppConfig):
    name = "bridge"
    verbose_name = "Bridge"

    def ready(self) -> None:
        register(check_bridge)
