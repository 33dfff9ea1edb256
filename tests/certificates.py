"""Certificates for tests: a CA of their own, what it signed, and what has ended."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bridge.authority import CA_LASTS, LEAF_LASTS, Authority, Entry
from bridge.tls import Files, server_context
from logs.client.tls import client_context

NAME = "herald.test"


@dataclass(frozen=True)
class Papers:
    """The certificates of one CA: a herald's, a client's, and one of each that has ended."""

    authority: Authority
    server: Entry
    client: Entry
    ended_server: Entry
    ended_client: Entry

    @property
    def ca(self) -> str:
        return str(self.authority.path)

    def files(self, *, mutual: bool = False, server: Entry | None = None) -> Files:
        server = server or self.server
        return Files(str(server.path), str(server.key), self.ca if mutual else "")

    def server_context(self, *, mutual: bool = False, server: Entry | None = None) -> ssl.SSLContext:
        return server_context(self.files(mutual=mutual, server=server))

    def client_context(self, shown: Entry | None = None) -> ssl.SSLContext:
        """A client's that knows this CA and shows a certificate, if any."""
        return client_context(self.ca, *((str(shown.path), str(shown.key)) if shown else ()))


def make_papers(directory: Path) -> Papers:
    now = datetime.now(UTC)
    long_ago = now - timedelta(days=100)
    authority = Authority(directory)
    authority.make_ca("the test's CA", CA_LASTS, long_ago)
    return Papers(
        authority=authority,
        server=authority.sign_server([NAME, "127.0.0.1"], LEAF_LASTS, now),
        client=authority.sign_client("shop", LEAF_LASTS, now),
        ended_server=authority.sign_server(["ended.test", NAME, "127.0.0.1"], timedelta(days=90), long_ago),
        ended_client=authority.sign_client("ended", timedelta(days=90), long_ago),
    )
