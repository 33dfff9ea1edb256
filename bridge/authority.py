"""A small private CA, for tests and small sites: it signs certificates for the encrypted record port and its clients.

All of it lies in one directory that only its owner may enter: `ca.pem`, and for each certificate `server-NAME.pem` or
`client-NAME.pem`; beside each the key, `….key`. Nothing is revoked: who lost a key makes a new CA.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LASTS = timedelta(days=3650)
LEAF_LASTS = timedelta(days=397)
BACKDATED = timedelta(hours=1)
"""So that a machine whose clock is a little behind takes a new certificate at once."""
RENEWABLE = timedelta(days=30)
NAME_MAX = 64
"""What a common name holds (RFC 5280, ub-common-name)."""
HOST = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
CLIENT = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{NAME_MAX - 1}}}\Z")


class Refused(Exception):
    """What was asked for is not made; the text is for the operator."""


class Kind(StrEnum):
    """What a certificate is for."""

    CA = "ca"
    SERVER = "server"
    CLIENT = "client"


@dataclass(frozen=True)
class Entry:
    """A certificate there is: what for, for whom, until when, and in which file."""

    kind: Kind
    names: tuple[str, ...]
    ends: datetime
    path: Path

    @property
    def key(self) -> Path:
        """The file of its key."""
        return self.path.with_suffix(".key")


class Authority:
    """The CA of one directory. Methods raise Refused."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def path(self) -> Path:
        """The file of the CA's own certificate."""
        return self._path("ca")

    def make_ca(self, name: str, lasts: timedelta, now: datetime) -> Entry:
        """Make the CA itself, called `name`; never over one that is there."""
        if self.path.exists() or self._ca_key_path.exists():
            raise Refused(
                f"there is a CA in {self.directory} already; all certificates it signed would be worth nothing. "
                "Move the directory away if that is meant"
            )
        if not 1 <= len(name) <= NAME_MAX:
            raise Refused(f"the CA's name must have from 1 to {NAME_MAX} characters")
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _named(name)
        certificate = (
            _begun(subject, key, now, now + lasts)
            .issuer_name(subject)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return self._write("ca", key, certificate)

    def sign_server(self, names: Sequence[str], lasts: timedelta, now: datetime, *, renew: bool = False) -> Entry:
        """Make a certificate for a herald that is reached by `names`: DNS names and IP addresses."""
        alternatives = [_alternative(name) for name in names]
        # Only what passed as a name or an address gets into a file's name.
        stem = f"server-{names[0].lower().replace(':', '_')}"
        common = names[0].lower() if len(names[0]) <= NAME_MAX else "herald"
        return self._sign(stem, common, ExtendedKeyUsageOID.SERVER_AUTH, alternatives, lasts, now, renew=renew)

    def sign_client(self, name: str, lasts: timedelta, now: datetime, *, renew: bool = False) -> Entry:
        """Make a certificate by which a client proves that it is `name`."""
        if not CLIENT.match(name):
            raise Refused(
                f"{name!r} is no name for a client: letters, digits, dots, - and _, at most {NAME_MAX}, "
                "beginning with a letter or digit"
            )
        return self._sign(f"client-{name}", name, ExtendedKeyUsageOID.CLIENT_AUTH, [], lasts, now, renew=renew)

    def entries(self) -> list[Entry]:
        """Return what there is, the CA first."""
        found = []
        for path in sorted(self.directory.glob("*.pem"), key=lambda path: (path.stem != "ca", path.stem)):
            kind = path.stem.partition("-")[0]
            if kind in set(Kind):
                found.append(_entry(path, self._certificate(path)))
        return found

    # --- How -------------------------------------------------------------------------------------------

    def _sign(
        self,
        stem: str,
        common_name: str,
        purpose: x509.ObjectIdentifier,
        alternatives: Sequence[x509.GeneralName],
        lasts: timedelta,
        now: datetime,
        *,
        renew: bool,
    ) -> Entry:
        ca, ca_key = self._certificate(self.path), self._ca_key()
        self._refuse_signing(stem, ca, now, renew=renew)
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _begun(_named(common_name), key, now, min(now + lasts, ca.not_valid_after_utc))
            .issuer_name(ca.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        )
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        return self._write(stem, key, builder.sign(ca_key, hashes.SHA256()))

    def _refuse_signing(self, stem: str, ca: x509.Certificate, now: datetime, *, renew: bool) -> None:
        if ca.not_valid_after_utc <= now:
            raise Refused(f"the CA in {self.directory} has ended on {ca.not_valid_after_utc:%Y-%m-%d}: make a new one")
        present = self._path(stem)
        if renew or not present.exists():
            return
        ends = self._certificate(present).not_valid_after_utc
        if ends > now + RENEWABLE:
            raise Refused(
                f"{present} is good until {ends:%Y-%m-%d}; --renew makes a new one in its place, with a new key"
            )

    @property
    def _ca_key_path(self) -> Path:
        return self.path.with_suffix(".key")

    def _path(self, stem: str) -> Path:
        return self.directory / f"{stem}.pem"

    def _certificate(self, path: Path) -> x509.Certificate:
        try:
            return x509.load_pem_x509_certificate(path.read_bytes())
        except FileNotFoundError:
            raise Refused(f"there is no CA in {self.directory}: `manage.py certificates ca` makes one") from None
        except OSError as error:
            raise Refused(f"{path} cannot be read ({error.strerror})") from None
        except ValueError:
            raise Refused(f"{path} holds no certificate in PEM form") from None

    def _ca_key(self) -> ec.EllipticCurvePrivateKey:
        path = self._ca_key_path
        try:
            key = load_pem_private_key(path.read_bytes(), password=None)
        except OSError as error:
            raise Refused(f"{path} cannot be read ({error.strerror}); without it nothing can be signed") from None
        except (TypeError, ValueError):
            raise Refused(f"{path} holds no private key in PEM form, or one with a password") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise Refused(f"{path} is not the key this command made")
        return key

    def _write(self, stem: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> Entry:
        entry = _entry(self._path(stem), certificate)
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            _replace(entry.key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            _replace(entry.path, certificate.public_bytes(Encoding.PEM))
        except OSError as error:
            raise Refused(f"{self.directory} cannot be written to ({error.strerror})") from None
        return entry


def _entry(path: Path, certificate: x509.Certificate) -> Entry:
    kind = Kind(path.stem.partition("-")[0])
    return Entry(kind, _names_of(certificate), certificate.not_valid_after_utc, path)


def _begun(
    subject: x509.Name, key: ec.EllipticCurvePrivateKey, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins - BACKDATED)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        address: IPv4Address | IPv6Address | None = ip_address(name)
    except ValueError:
        address = None
    if address is not None and "%" not in name:
        return x509.IPAddress(address)
    # What looks like an address but is none would be a host's name that nobody can have.
    if not HOST.match(name.lower()) or re.fullmatch(r"[\d.]+", name):
        raise Refused(
            f"{name!r} is neither a host's name nor an IP address (a name with other letters is written in its xn-- form)"
        )
    return x509.DNSName(name.lower())


def _names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return whom a certificate is for: its alternative names, else its common name."""
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return tuple(str(part.value) for part in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME))
    return tuple(str(name.value) for name in alternatives)


def _replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; only its owner may read it."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
