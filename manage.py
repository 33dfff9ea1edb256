#!/usr/bin/env python3
"""herald's commands: `manage.py help` lists them."""

from __future__ import annotations

import sys

from django.core.management import execute_from_command_line

from heraldsite.stage import choose_settings

if __name__ == "__main__":
    choose_settings()
    execute_from_command_line(sys.argv)
