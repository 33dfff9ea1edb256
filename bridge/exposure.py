"""To whom the record ports are open, by the settings, and whether that can be meant."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings

from bridge.addresses import is_loopback, shown


def refusals() -> list[str]:
    """Return, for each address that is open to more than can be meant, what to set."""
    return [*_refuse_plain(), *_refuse_encrypted()]


def remarks() -> list[tuple[str, str, str]]:
    """Return what is worth a warning about addresses that are not refused: the check's id, what is so, a hint."""
    return [] if refusals() else [*_remark_on_plain(), *_remark_on_encrypted()]


def is_plain_public() -> bool:
    """Whether other machines reach the port that does not encrypt."""
    return not is_loopback(settings.BRIDGE_HOST)


def is_encrypted_public() -> bool:
    """Whether other machines reach the port that speaks TLS."""
    return bool(settings.BRIDGE_TLS_PORT) and not is_loopback(settings.BRIDGE_TLS_HOST)


def knows_encrypted_clients() -> bool:
    """Whether each client of the encrypted port has to prove who it is."""
    return bool(settings.BRIDGE_TLS_CLIENT_CA) or settings.BRIDGE_CREDENTIALS_REQUIRED


def _refuse_plain() -> Iterator[str]:
    if is_plain_public() and not (settings.BRIDGE_PUBLIC or settings.BRIDGE_CREDENTIALS_REQUIRED):
        yield (
            f"HERALD_BRIDGE_HOST is {settings.BRIDGE_HOST!r}, which other machines reach, and the clients of this port "
            "are neither authenticated nor encrypted. Set HERALD_BRIDGE_PUBLIC=on if that is meant, else 127.0.0.1, and "
            "let other machines use HERALD_BRIDGE_TLS_PORT"
        )


def _refuse_encrypted() -> Iterator[str]:
    if is_encrypted_public() and not (settings.BRIDGE_PUBLIC or knows_encrypted_clients()):
        yield (
            f"HERALD_BRIDGE_TLS_HOST is {settings.BRIDGE_TLS_HOST!r}, which other machines reach, and the clients of "
            "this port need not prove who they are. Set HERALD_BRIDGE_TLS_CLIENT_CA (they must show a certificate of "
            "that CA) or HERALD_BRIDGE_CREDENTIALS=required; or HERALD_BRIDGE_PUBLIC=on, if it is meant for everybody"
        )


def _remark_on_plain() -> Iterator[tuple[str, str, str]]:
    if is_plain_public():
        how = "not encrypted" if settings.BRIDGE_CREDENTIALS_REQUIRED else "neither authenticated nor encrypted"
        yield (
            "bridge.W001",
            f"Other machines reach the plain record port ({shown(settings.BRIDGE_HOST, settings.BRIDGE_PORT)}), and its "
            f"clients are {how}.",
            "Let only trusted machines reach it (a firewall, an ssh tunnel), or set HERALD_BRIDGE_HOST=127.0.0.1 and "
            "let other machines use HERALD_BRIDGE_TLS_PORT.",
        )


def _remark_on_encrypted() -> Iterator[tuple[str, str, str]]:
    if is_encrypted_public() and not knows_encrypted_clients():
        yield (
            "bridge.W002",
            f"Everybody who reaches {shown(settings.BRIDGE_TLS_HOST, settings.BRIDGE_TLS_PORT)} can send records: the "
            "port encrypts, but its clients need not prove who they are.",
            "Set HERALD_BRIDGE_TLS_CLIENT_CA or HERALD_BRIDGE_CREDENTIALS=required.",
        )
