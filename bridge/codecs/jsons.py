"""Reads a payload that is one JSON object."""

from __future__ import annotations

import json
import re

import orjson

from bridge.codecs.inert import Inert
from bridge.codecs.pickles import INT_DIGITS_MAX
from bridge.codecs.rejection import Reason, Rejected

_HELLO = re.compile(rb'\{[ \t\r\n]*"herald"[ \t\r\n]*:')

# orjson reads integers beyond 64 bits as floats and refuses lone surrogates, NaN and infinities; other writers,
# Python's own among them, write all of these. Where one may occur, the standard library's reader is asked.
_DELICATE = re.compile(rb"[0-9]{19}|\\u[dD][89a-fA-F]|NaN|Infinity")


def is_hello(payload: bytes) -> bool:
    """Tell whether `payload` opens the acknowledged protocol: a JSON object whose first key is `herald`."""
    return _HELLO.match(payload) is not None


def read(payload: bytes) -> dict[str, object]:
    """Return the JSON object in `payload`. Raises Rejected, and nothing else."""
    told = _parsed(payload)
    if not isinstance(told, dict):
        raise Rejected(Reason.NOT_A_RECORD, "json: the payload is no object")
    if next(iter(told), None) == "herald":
        raise Rejected(Reason.HELLO, "json: the key `herald` opens the acknowledged protocol, which is not spoken here")
    plain = Inert().plain(told)
    assert isinstance(plain, dict)  # noqa: S101  Inert keeps a dict a dict
    return plain


def _parsed(payload: bytes) -> object:
    try:
        if _DELICATE.search(payload):
            return json.loads(payload, parse_int=_integer)
        return orjson.loads(payload)
    except RecursionError:
        raise Rejected(Reason.TOO_DEEP, "json: values nested too deep") from None
    except ValueError as error:
        raise _rejection(error) from None


def _rejection(error: ValueError) -> Rejected:
    if "Recursion limit" in str(error):
        return Rejected(Reason.TOO_DEEP, "json: values nested too deep")
    return Rejected(Reason.MALFORMED, f"json: {error}")


def _integer(digits: str) -> int:
    if len(digits) > INT_DIGITS_MAX:
        raise Rejected(Reason.NUMBER_TOO_LONG, f"json: an integer of {len(digits):,} digits")
    return int(digits)
