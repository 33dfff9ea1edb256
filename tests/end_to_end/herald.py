"""A running herald with an account, and somebody at a real browser who looks at it."""

from __future__ import annotations

import logging
import logging.handlers
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.browser import Visitor, visitor
from tests.end_to_end.conftest import Running, Site

NAME, PASSWORD = "admin", "correct horse battery"
MAKE_ACCOUNT = f"""
from django.contrib.auth import get_user_model
get_user_model().objects.create_superuser({NAME!r}, password={PASSWORD!r})
"""


class Herald:
    """A running herald, and a way to send it records as an application does."""

    def __init__(self, site: Site, **env: str) -> None:
        self.site = site
        site.env |= env
        done = site.manage("shell", "-v0", "-c", MAKE_ACCOUNT)
        assert done.returncode == 0, done.stderr
        self.web = site.start_web()
        self.bridge: Running = site.start_bridge()
        self.login: Any = None

    def restart_web(self) -> None:
        self.web.stop()
        self.web = self.site.start_web()

    def send(self, *messages: str, system: str, level: int = logging.INFO) -> None:
        handler = logging.handlers.SocketHandler("127.0.0.1", self.site.bridge_port)
        for message in messages:
            record = logging.makeLogRecord(
                {"msg": message, "levelno": level, "levelname": logging.getLevelName(level), "name": "test"}
            )
            record.SYSTEM_ID = system
            handler.emit(record)
        handler.close()

    @contextmanager
    def visit(self, path: str, **options: object) -> Iterator[Visitor]:
        """Open a page as somebody who has logged in; at the end the browser must have had nothing to complain about."""
        with visitor(self.site.web, storage_state=self.login, **options) as found:
            if self.login is None:
                found.log_in(NAME, PASSWORD, path)
                self.login = found.context.storage_state()
            else:
                found.open(path)
            yield found
            assert found.complaints == []
