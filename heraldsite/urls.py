"""Every address of the site."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.urls import include, path

from bridge.views import departures, status
from heraldsite.graph_ql import GraphQL
from heraldsite.views import ChangePassword, Login, healthz

handler500 = "heraldsite.views.failed"

bridges = [
    path("status", status, name="status"),
    path("departures", departures, name="departures"),
]

urlpatterns = [
    path("", include("logs.urls")),
    path("", include((bridges, "bridge"))),
    path("login", Login.as_view(), name="login"),
    path("logout", LogoutView.as_view(), name="logout"),
    path("password", ChangePassword.as_view(), name="password"),
    path("graph_ql", GraphQL.as_view(), name="graph_ql"),
    path("healthz", healthz, name="healthz"),
    path("admin/", admin.site.urls),
]
