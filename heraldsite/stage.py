"""Which stage this process belongs to, and the ports that clients in the field have built in for it.

This module is read before Django's settings are, so it needs only the standard library.
"""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stage:
    """One of the four stages; the ports and the suffix are those of the clients that already exist."""

    name: str
    suffix: str
    bridge_port: int
    web_port: int
    forward_port: int

    @property
    def settings_module(self) -> str:
        return f"heraldsite.settings.{self.name.lower()}"


TESTING = Stage("TESTING", "_t", 9010, 9011, 9011)
DEVELOPMENT = Stage("DEVELOPMENT", "_d", 9020, 9021, 9019)
INTEGRATION = Stage("INTEGRATION", "_i", 9022, 9023, 9018)
PRODUCTION = Stage("PRODUCTION", "", 9024, 9025, 9017)

STAGES = {stage.name: stage for stage in (TESTING, DEVELOPMENT, INTEGRATION, PRODUCTION)}


def choose_settings() -> None:
    """Set DJANGO_SETTINGS_MODULE where nobody has: by DEV_STAGE, else DEVELOPMENT.

    Exits with a sentence when DEV_STAGE names no stage: guessing could write to the wrong database.
    """
    if os.environ.get("DJANGO_SETTINGS_MODULE"):
        return
    name = os.environ.get("DEV_STAGE", "").strip().upper() or DEVELOPMENT.name
    if name not in STAGES:
        raise SystemExit(f"DEV_STAGE is {name!r}; it must be one of {', '.join(STAGES)} (or unset: DEVELOPMENT)")
    os.environ["DJANGO_SETTINGS_MODULE"] = STAGES[name].settings_module
