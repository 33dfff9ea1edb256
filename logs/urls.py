"""The addresses of the log: pages, and the WebSocket of the live view."""

from __future__ import annotations

from django.urls import path

from logs import prune_page, systems_page, views
from logs.live import LogSocket

app_name = "logs"
urlpatterns = [
    path("", views.index, name="index"),
    path("logs/<int:number>", views.show, name="row"),
    path("systems", systems_page.systems, name="systems"),
    path("prune", prune_page.prune, name="prune"),
    path("logs/<int:number>.json", views.show_json, name="row_json"),
]
websocket_urlpatterns = [path("ws/logs", LogSocket.as_asgi())]
