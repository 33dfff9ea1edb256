"""The long tests run against the same kind of installation as the end-to-end tests."""

from __future__ import annotations

from tests.end_to_end.conftest import _template, shared_site, site, sites

__all__ = ["_template", "shared_site", "site", "sites"]
