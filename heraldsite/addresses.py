"""The addresses herald listens on: what to show of them, and whether they are free."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass

WILDCARDS = ("", "0.0.0.0", "::")  # noqa: S104 (recognised here, not bound to)


@dataclass(frozen=True, slots=True)
class Address:
    """Where one program listens, and the setting by which that is changed."""

    purpose: str
    host: str
    port: int
    setting: str

    def __str__(self) -> str:
        host = socket.gethostname() if self.host in WILDCARDS else self.host
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


def reachable(host: str) -> str:
    """Where this machine finds what listens on `host`: what listens everywhere is found on loopback."""
    if host not in WILDCARDS:
        return host
    return "::1" if host == "::" else "127.0.0.1"


def obstacle(address: Address) -> str | None:
    """Return in a sentence why nothing could listen on `address` now; None when something could."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        return f"{address.host!r} is no address of this machine ({error.strerror}): set {address.setting}_HOST"
    with socket.socket(family, kind, protocol) as probe:
        # As the programs do it: connections that have just ended do not keep a port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(where)
        except OSError as error:
            return sentence(address, error)
    return None


def sentence(address: Address, error: OSError) -> str:
    place = f"port {address.port} of {address.host or 'this machine'}, meant for {address.purpose},"
    if error.errno == errno.EADDRINUSE:
        return f"{place} is taken by another program: stop that one, or set {address.setting}_PORT to a free port"
    if error.errno == errno.EACCES:
        return f"{place} is not for ordinary users: set {address.setting}_PORT to one above 1023"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{address.host} is no address of this machine: set {address.setting}_HOST"
    return f"{place} cannot be listened on: {os.strerror(error.errno or 0)}"
