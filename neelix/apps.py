from __future__ import annotations

from django.apps import AppConfig


class NeelixConfig(AppConfig):
    name = "neelix"
    verbose_name = "neelix"
