"""Reads a payload that is one JSON object."""

from __future__ import annotations

import json
import re
from datetime import datetime
from operator import call
from typing import cast

import orjson

from bridge.codecs.inert import Inert
from bridge.codecs.pickles import INT_DIGITS_MAX
from bridge.codecs.rejection import Reason, Rejected
from logs.record import Layout, Record, Unusual

_HELLO = re.compile(rb'\{[ \t\r\n]*"herald"[ \t\r\n]*:')

# orjson reads integers beyond 64 bits as floats, and refuses what other writers, Python's own among them, do write:
# lone surrogates, NaN and the infinities. Where one of these occurs the standard library's reader is asked.
_WIDE = re.compile(rb"[0-9]{19}")
_FEW = 1_000
LAYOUTS_MAX = 256
_SCALARS = frozenset({str, int, float, bool, type(None)})
_ROUNDED = 2.0**63
_REFUSED = re.compile(rb"\\u[dD][89a-fA-F]|NaN|Infinity")


def is_hello(payload: bytes) -> bool:
    """Tell whether `payload` opens the acknowledged protocol: a JSON object whose first key is `herald`."""
    return _HELLO.match(payload) is not None


class Plain:
    """The short way for objects whose keys come again and again, each with a column, with nothing odd about a value.

    What a column asks of its values is more than what `_is_plain` asks, so that this need not be looked at: none takes
    lists or objects, and an integer that was rounded to a float is too great for each of them. One instance may be
    shared by threads: what they overwrite for each other is only ever cached.
    """

    def __init__(self) -> None:
        self._layouts: dict[tuple[str, ...], Layout] = {}

    def record(self, payload: bytes, received: datetime, peer: str) -> Record | None:
        """Return the record in `payload`, or None where another way must be taken."""
        try:
            told = orjson.loads(payload)
            if type(told) is not dict:
                return None
            layout = self._layouts[tuple(told)]
            return layout.assemble(list(map(call, layout.checks, told.values())), received, peer)
        except (KeyError, Unusual, TypeError, orjson.JSONDecodeError):
            return None

    def learn(self, layout: Layout) -> None:
        """Take objects with these keys by the short way from now on, if that is possible."""
        if layout.is_complete and layout.is_small:
            if len(self._layouts) >= LAYOUTS_MAX:
                self._layouts.clear()
            self._layouts[layout.keys] = layout


def read(payload: bytes) -> dict[str, object]:
    """Return the JSON object in `payload`. Raises Rejected, and nothing else."""
    try:
        told = orjson.loads(payload)
        if _is_plain(told):
            return cast(dict[str, object], told)
        fields = _object(told)
    except orjson.JSONDecodeError as error:
        if not _REFUSED.search(payload) and not _WIDE.search(payload):
            raise _rejection(error) from None
        return _object(_parsed_slowly(payload))
    # Only now, when the budgets have held: the standard library's reader takes ten times as long.
    return _object(_parsed_slowly(payload)) if _WIDE.search(payload) else fields


def _is_plain(told: object) -> bool:
    """Whether this is what honest senders send: few scalars, inert as they are, none of them a rounded integer."""
    if type(told) is not dict or len(told) > _FEW or "herald" in told:
        return False
    kinds = set(map(type, told.values()))
    if not kinds <= _SCALARS:
        return False
    return float not in kinds or not any(type(v) is float and not -_ROUNDED < v < _ROUNDED for v in told.values())


def _object(told: object) -> dict[str, object]:
    if not isinstance(told, dict):
        raise Rejected(Reason.NOT_A_RECORD, "json: the payload is no object")
    if next(iter(told), None) == "herald":
        raise Rejected(Reason.HELLO, "json: the key `herald` opens the acknowledged protocol, which is not spoken here")
    return cast(dict[str, object], Inert().plain(told))


def _parsed_slowly(payload: bytes) -> object:
    try:
        return json.loads(payload, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise _rejection(error) from None


def _rejection(error: ValueError | RecursionError) -> Rejected:
    if isinstance(error, RecursionError) or "limit" in str(error):  # orjson: "depth limit"
        return Rejected(Reason.TOO_DEEP, "json: values nested too deep")
    return Rejected(Reason.MALFORMED, f"json: {error}")


def _integer(digits: str) -> int:
    if len(digits) > INT_DIGITS_MAX:
        raise Rejected(Reason.NUMBER_TOO_LONG, f"json: an integer of {len(digits):,} digits")
    return int(digits)
