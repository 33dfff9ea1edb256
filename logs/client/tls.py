"""TLS for those who send: whom to trust, and what to show in return. Its files are refused in words."""

from __future__ import annotations

import ssl

BEGIN_CERTIFICATE = "-----BEGIN CERTIFICATE-----"
BEGIN_KEY = "PRIVATE KEY-----"


class TLSTrouble(Exception):
    """A file of TLS cannot be used; the text is for the operator."""


def client_context(
    ca: str | None = None,
    certificate: str | None = None,
    key: str | None = None,
) -> ssl.SSLContext:
    """Return what a sender needs to speak TLS 1.2 or newer with a herald whose certificate and name are checked.

    `ca` is a PEM file with the CA that signed herald's certificate; without it the system's CAs are trusted. Where
    herald asks for a certificate, `certificate` is the sender's (followed by those between it and its CA) and `key` its
    key; without `key` it is looked for in the same file. Raises TLSTrouble.

    A socket is wrapped with `context.wrap_socket(sock, server_hostname=…)`: the name that must be in the certificate.
    """
    if ca:
        read_pem(ca, "the CA", BEGIN_CERTIFICATE)
    context = ssl.create_default_context()
    if ca:
        # One made with `cafile` would do the same, but would not say what is wrong with it.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        load_authority(context, ca, "the CA")
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate:
        load_pair(context, certificate, key or certificate, "the certificate", "the key")
    elif key:
        raise TLSTrouble(f"the key {key} was given without the certificate it belongs to")
    return context


def load_pair(context: ssl.SSLContext, certificate: str, key: str, certificate_is: str, key_is: str) -> None:
    """Have `context` show the certificate of one file with the key of another; raises TLSTrouble.

    `certificate_is` and `key_is` are how whoever set them calls the files, such as the name of a variable.
    """
    read_pem(certificate, certificate_is, BEGIN_CERTIFICATE)
    read_pem(key, key_is, BEGIN_KEY)

    def no_password() -> str:
        # Without an answer OpenSSL asks at the terminal, which a daemon has none of.
        raise TLSTrouble(f"{key_is}: {key} is protected by a password; herald needs one that is not")

    try:
        context.load_cert_chain(certificate, key, password=no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TLSTrouble(f"{key_is}: {key} is not the key of the certificate {certificate}") from None
        raise TLSTrouble(
            f"{certificate_is}, {key_is}: {certificate} and {key} cannot be used together: {in_words(error)}"
        ) from None


def load_authority(context: ssl.SSLContext, ca: str, ca_is: str) -> None:
    """Have `context` trust the CA of a PEM file; raises TLSTrouble."""
    read_pem(ca, ca_is, BEGIN_CERTIFICATE)
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError as error:
        raise TLSTrouble(f"{ca_is}: {ca} cannot be used: {in_words(error)}") from None
    if not context.get_ca_certs():
        raise TLSTrouble(f"{ca_is}: {ca} holds a certificate, but not that of a CA")


def read_pem(path: str, called: str, marker: str) -> str:
    """Return the text of a PEM file that holds `marker`; raises TLSTrouble."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            text = file.read()
    except FileNotFoundError:
        raise TLSTrouble(f"{called}: there is no file {path}") from None
    except OSError as error:
        raise TLSTrouble(f"{called}: {path} cannot be read ({error.strerror})") from None
    if marker not in text:
        what = "certificate" if marker == BEGIN_CERTIFICATE else "private key"
        raise TLSTrouble(f"{called}: {path} holds no {what} in PEM form")
    return text


def in_words(error: ssl.SSLError) -> str:
    """Return what OpenSSL says, without its numbers of lines and libraries."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(error.verify_message)
    return error.reason.replace("_", " ").lower() if error.reason else str(error.args[-1])
