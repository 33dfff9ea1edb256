"""The admin of this installation: its name tells the stage."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.admin import AdminSite
from django.http import HttpRequest


class HeraldAdminSite(AdminSite):
    """Django's admin under herald's name and stage."""

    site_header = f"herald {settings.STAGE.name}"
    site_title = f"herald {settings.STAGE.name}"
    index_title = "Administration"

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        return super().each_context(request) | {"stage": settings.STAGE}

