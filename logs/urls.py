"""The addresses of the log: pages, and the WebSocket of the live view."""

from __future__ import annotations

from django.urls import path

from logs import prune_page, views
from logs.live import LogSocket

app_name = "logs"
urlpatterns = [
    path("", views.index, name="index"),
    path("logs/<int:number>", views.show, name="row"),
    path("prune", prune_page.prune, name="prune"),
    path("logs/<int:number>.json", views.show_json, name="row_json"),
]
websocket_urlpatterns = [path("ws/logs", LogSocket.as_asgi())]
