"""DEVELOPMENT: on one's own machine. Errors show their traceback; static files are read where they are written."""

from __future__ import annotations

from heraldsite.settings.base import *  # noqa: F403
from heraldsite.settings.base import STORAGES, env

DEBUG = env.bool("HERALD_DEBUG", default=True)
# A page to try GraphQL queries on.
GRAPH_QL_PAGE = True
WHITENOISE_USE_FINDERS = True
STORAGES = STORAGES | {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
