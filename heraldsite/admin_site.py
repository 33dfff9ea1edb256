"""The admin of this installation: its name tells the stage."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url


class HeraldAdminSite(AdminSite):
    """Django's admin under herald's name and stage, behind herald's own login page."""

    site_header = f"herald {settings.STAGE.name}"
    site_title = f"herald {settings.STAGE.name}"
    index_title = "Administration"

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        return super().each_context(request) | {"stage": settings.STAGE}

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """There is one login page. Who is in, and yet comes here, lacks the right: say so rather than ask again."""
        if request.user.is_authenticated and not self.has_permission(request):
            raise PermissionDenied("The administration is for accounts with staff status.")
        target = request.GET.get("next") or resolve_url("admin:index")
        return redirect_to_login(target, settings.LOGIN_URL)
