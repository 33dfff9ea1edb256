"""TESTING: for applications under test, and for herald's own tests. A stage like the others, with its own ports."""

from __future__ import annotations

from heraldsite.settings.base import *  # noqa: F403
from heraldsite.settings.base import STORAGES

WHITENOISE_USE_FINDERS = True
STORAGES = STORAGES | {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
