#!/usr/bin/env python3
"""herald's commands: `manage.py help` lists them."""

from __future__ import annotations

import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from heraldsite.stage import choose_settings

if __name__ == "__main__":
    choose_settings()
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        # The operator's to mend, by the words alone.
        raise SystemExit(f"herald is not configured rightly. {error}") from None
