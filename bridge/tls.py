"""TLS for the record port: its files, what is wrong with them, and until when they last."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from django.conf import settings

from logs.client.tls import TLSTrouble, load_authority, load_pair

__all__ = ["Files", "TLSTrouble", "certificates_of", "common_name", "configured", "endings", "server_context"]

CERTIFICATE = "HERALD_BRIDGE_TLS_CERTIFICATE"
KEY = "HERALD_BRIDGE_TLS_KEY"
CLIENT_CA = "HERALD_BRIDGE_TLS_CLIENT_CA"
ENDS_SOON = timedelta(days=30)


@dataclass(frozen=True)
class Files:
    """The PEM files of the encrypted port. With `client_ca`, clients must show a certificate of that CA."""

    certificate: str
    key: str
    client_ca: str = ""


def configured() -> Files | None:
    """Return the files the settings name; None where there is no encrypted port. Raises TLSTrouble."""
    if not settings.BRIDGE_TLS_PORT:
        return None
    if settings.BRIDGE_TLS_PORT == settings.BRIDGE_PORT:
        raise TLSTrouble(
            f"HERALD_BRIDGE_TLS_PORT and HERALD_BRIDGE_PORT are both {settings.BRIDGE_PORT}: TLS needs a port of its own"
        )
    for name, value in ((CERTIFICATE, settings.BRIDGE_TLS_CERTIFICATE), (KEY, settings.BRIDGE_TLS_KEY)):
        if not value:
            raise TLSTrouble(
                f"HERALD_BRIDGE_TLS_PORT is {settings.BRIDGE_TLS_PORT}, but {name} names no file "
                "(`manage.py certificates` can make one)"
            )
    return Files(settings.BRIDGE_TLS_CERTIFICATE, settings.BRIDGE_TLS_KEY, settings.BRIDGE_TLS_CLIENT_CA)


def server_context(files: Files) -> ssl.SSLContext:
    """Return what the encrypted port speaks: TLS 1.2 or newer; raises TLSTrouble."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A client that only ever writes leaves a ticket unread. When it then closes, its system throws away what is still
    # to be sent and resets the connection. So nothing is sent that a client does not read within the handshake.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    load_pair(context, files.certificate, files.key, CERTIFICATE, KEY)
    if files.client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        load_authority(context, files.client_ca, CLIENT_CA)
    return context


@dataclass(frozen=True)
class Certificate:
    """One that is in use, read from a file which may by now hold another."""

    where: str
    begins: datetime
    ends: datetime


def certificates_of(files: Files) -> list[Certificate]:
    """Return all certificates of the encrypted port; raises TLSTrouble."""
    return [
        Certificate(
            where=f"{name}: the certificate of {found.subject.rfc4514_string()} in {path}",
            begins=found.not_valid_before_utc,
            ends=found.not_valid_after_utc,
        )
        for name, path in ((CERTIFICATE, files.certificate), (CLIENT_CA, files.client_ca))
        if path
        for found in _read(path, name)
    ]


def endings(certificates: Iterable[Certificate], now: datetime) -> Iterator[str]:
    """Yield a sentence for each certificate that has ended, ends within 30 days or has not begun.

    They keep no port from opening: the clients turn away from such a certificate (or are turned away), and say so,
    while what comes by the plain port need not be lost.
    """
    for certificate in certificates:
        if sentence := _ending(certificate.begins, certificate.ends, now):
            yield f"{certificate.where} {sentence}"


def _ending(begins: datetime, ends: datetime, now: datetime) -> str:
    if ends <= now:
        return f"has ended on {ends:%Y-%m-%d %H:%M} UTC: clients and herald no longer trust it"
    if begins > now:
        return f"is not valid before {begins:%Y-%m-%d %H:%M} UTC: is the clock right?"
    if ends <= now + ENDS_SOON:
        return f"ends on {ends:%Y-%m-%d %H:%M} UTC, in {(ends - now) // timedelta(days=1)} days"
    return ""


def _read(path: str, called: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(Path(path).read_bytes())
    except OSError as error:
        raise TLSTrouble(f"{called}: {path} cannot be read ({error.strerror})") from None
    except ValueError:
        raise TLSTrouble(f"{called}: {path} holds no certificate in PEM form") from None


def common_name(certificate: dict[str, Any] | None) -> str:
    """Return for whom a client's certificate was made; empty when it names nobody, or more than one.

    `certificate` is what `SSLObject.getpeercert()` returns: only of one that was verified.
    """
    subject = certificate.get("subject", ()) if certificate else ()
    names = [value for part in subject for kind, value in part if kind == "commonName"]
    return str(names[0]) if len(names) == 1 else ""
