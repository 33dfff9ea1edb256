"""A stored row on its way from one bridge to the next: as a payload, and as a record again.

The payload is JSON: `record` (columns that hold something, `created` in seconds of the epoch), `extra`, `flags`, and
`origin`, the bridges the row has passed, oldest first, with the moments of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from bridge.codecs.inert import Inert
from bridge.codecs.rejection import Reason, Rejected
from logs import storable
from logs.record import SENT, NotARecord, Record, layout_of

HOPS_MAX = 32
HOP_VALUE_MAX = 300
REDACTED = "redacted"
FLAGS = frozenset({"created", "cut", "odd", REDACTED})
_ALWAYS = frozenset({"created", "message", "levelno", "levelname"})
_OPTIONAL = tuple(column for column in SENT if column not in _ALWAYS)


def encode(row: Mapping[str, Any], hop: Mapping[str, Any]) -> bytes:
    """Return the payload of a row that leaves; `hop` is what this bridge adds to its origin."""
    fields = {column: value for column in _OPTIONAL if (value := row[column]) is not None and value != ""}
    fields["created"] = row["created"].timestamp()
    fields["message"] = row["message"]
    fields["levelno"] = row["levelno"]
    fields["levelname"] = row["levelname"]
    told: dict[str, Any] = {"record": fields, "origin": [*row["origin"], hop]}
    if row["extra"]:
        told["extra"] = row["extra"]
    if row["flags"]:
        told["flags"] = row["flags"]
    return orjson.dumps(told)


def bridges(origin: Sequence[Any]) -> list[str]:
    """Return the ids of the bridges a row has passed, the first one first."""
    return [str(hop.get("bridge", "")) for hop in origin if isinstance(hop, Mapping)]


def decode(payload: bytes, *, received: datetime, peer: str, own: str) -> tuple[Record, list[dict[str, Any]]]:
    """Return the record in a bridge's payload, and its origin; `own` is the id of the bridge that reads it.

    Raises Rejected, and nothing else; with Reason.LOOP for a row that has been here before.
    """
    told = _object(payload)
    fields, extra, origin = told.get("record"), told.get("extra"), told.get("origin")
    if not isinstance(fields, dict) or not isinstance(origin, list) or not (extra is None or isinstance(extra, dict)):
        raise Rejected(Reason.NOT_A_RECORD, "a row from a bridge has `record`, `origin` and perhaps `extra`")
    hops = _hops(origin)
    if own in bridges(hops):
        raise Rejected(Reason.LOOP, f"a row of {fields.get('system_id', '')!r} that has been here before")
    try:
        record = layout_of(tuple(fields)).build(list(fields.values()), received=received, peer=peer)
    except NotARecord as error:
        raise Rejected(Reason.NOT_A_RECORD, str(error)) from None
    return _completed(record, extra, orjson.dumps(hops).decode(), told.get("flags")), hops


def _object(payload: bytes) -> dict[str, Any]:
    try:
        told = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise Rejected(Reason.MALFORMED, f"json: {error}") from None
    if not isinstance(told, dict):
        raise Rejected(Reason.NOT_A_RECORD, "json: the payload is no object")
    # A row is made of scalars: only what is nested, or very much, needs the budgets.
    if "extra" in told or len(payload) > 65_536:
        return dict(Inert().plain(told))  # type: ignore[call-overload, no-any-return]
    return told


def _hops(origin: list[Any]) -> list[dict[str, Any]]:
    if len(origin) > HOPS_MAX:
        raise Rejected(Reason.LOOP, f"a row that has passed more than {HOPS_MAX} bridges")
    return [_hop(hop) for hop in origin]


def _hop(hop: Any) -> dict[str, Any]:
    if not isinstance(hop, dict) or len(hop) > 12:
        raise Rejected(Reason.NOT_A_RECORD, "`origin` holds an object for each bridge")
    return {storable.clean(str(key))[:50]: _hop_value(value) for key, value in hop.items()}


def _hop_value(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value if not isinstance(value, int) or abs(value) <= storable.EXACT_INT else str(value)[:50]
    if isinstance(value, list):
        return [storable.cut(storable.clean(str(item)), HOP_VALUE_MAX) for item in value[:100]]
    return storable.cut(storable.clean(str(value)), HOP_VALUE_MAX)


def _completed(record: Record, extra: dict[str, Any] | None, origin: str, flags: Any) -> Record:
    words = set(record.flags.split())
    if isinstance(flags, str):
        words |= FLAGS.intersection(flags.split())
    kept = record.extra
    if extra:
        odd = orjson.loads(kept) if kept != "{}" else {}
        bounded = storable.bounded_json({**extra, **odd})
        kept = bounded.text
        if bounded.was_cut:
            words.add("cut")
    return record._replace(extra=kept, origin=origin, flags=" ".join(sorted(words)))
