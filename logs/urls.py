"""The addresses of the log: pages, and the WebSocket of the live view."""

from __future__ import annotations

from django.urls import path

from logs import old_addresses, prune_page, systems_page, views
from logs.live import LogSocket
from logs.patterns import views as errors

app_name = "logs"
urlpatterns = [
    path("", views.index, name="index"),
    path("systems", systems_page.systems, name="systems"),
    path("prune", prune_page.prune, name="prune"),
    path("log/<int:number>", views.show, name="row"),
    path("log/<int:number>.json", views.show_json, name="row_json"),
    path("logs/<int:number>", views.show),
    path("logs/<int:number>.json", views.show_json),
    path("searches", views.save_search, name="save_search"),
    path("searches/<int:number>/delete", views.delete_search, name="delete_search"),
    path("complete", views.complete, name="complete"),
    path("export.<str:form>", views.export_rows, name="export"),
    path("angular/list", old_addresses.list_rows, name="old_list"),
    path("angular/options", old_addresses.list_options, name="old_options"),
    path("hello", old_addresses.hello, name="hello"),
    path("hello_to_ps_basic_logger", old_addresses.hello_to_the_log, name="hello_to_the_log"),
    path("errors", errors.index, name="errors"),
    path("errors/<int:number>", errors.show, name="error"),
]
websocket_urlpatterns = [path("ws/logs", LogSocket.as_asgi())]
