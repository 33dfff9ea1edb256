"""INTEGRATION: as PRODUCTION, but it makes its own secret and may be reached without TLS."""

from __future__ import annotations

from heraldsite.settings.base import *  # noqa: F403
