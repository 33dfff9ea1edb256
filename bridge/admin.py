"""Bridges in the admin: what they last wrote about themselves, to look at and, once they are gone, to delete."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from bridge.models import BridgeStatus


@admin.register(BridgeStatus)
class BridgeStatusAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "address", "pid", "started", "updated", "stopped")
    readonly_fields = ("name", "host", "address", "pid", "started", "updated", "stopped", "figures")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: BridgeStatus | None = None) -> bool:
        return False
