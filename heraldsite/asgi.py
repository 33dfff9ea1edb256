"""The web process: pages over HTTP, live rows over WebSockets."""

from __future__ import annotations

from django.core.asgi import get_asgi_application

from heraldsite.stage import choose_settings

choose_settings()
pages = get_asgi_application()

# What imports models may do so only now that the apps are loaded.
from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from django.urls import re_path  # noqa: E402

from heraldsite.access import SocketLoginRequired, no_such_socket  # noqa: E402
from logs.urls import websocket_urlpatterns  # noqa: E402

sockets = URLRouter([*websocket_urlpatterns, re_path(r"", no_such_socket)])  # type: ignore[arg-type]

application = ProtocolTypeRouter(
    {
        "http": pages,
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(SocketLoginRequired(sockets))),
    }
)
