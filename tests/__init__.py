"""Tests, benchmarks and fuzzers run in the stage TESTING, however they are started."""

from __future__ import annotations

import os

from heraldsite.stage import TESTING

os.environ.setdefault("DJANGO_SETTINGS_MODULE", TESTING.settings_module)
