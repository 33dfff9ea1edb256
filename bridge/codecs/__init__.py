"""From the bytes of one frame to one record.

Told apart by the first byte: `}` `(` or 0x80 is the pickle of Python's own SocketHandler (never loaded, only read),
`{` is JSON.
"""

from __future__ import annotations

from datetime import datetime

from bridge.codecs import jsons, pickles
from bridge.codecs.jsons import is_hello
from bridge.codecs.rejection import Reason, Rejected
from bridge.codecs.shapes import Shapes
from logs.record import NotARecord, Record, build, layout_of

__all__ = ["PAYLOAD_MAX", "Reason", "Rejected", "decode", "is_hello", "to_record"]

PAYLOAD_MAX = 2**20
"""Longest payload, in bytes."""

_shapes = Shapes()
_plain = jsons.Plain()


def decode(payload: bytes) -> dict[str, object]:
    """Return the fields of the record in `payload`.

    Values are inert and plain: None, bool, int, float, str, list, and dict with text keys. What a sender put there
    as an object is text. Raises Rejected, and nothing else.
    """
    found = _shapes.match(payload)
    if found is not None:
        shape, values = found
        return dict(zip(shape.keys, values, strict=True))
    return _read(payload)[0]


def to_record(payload: bytes, *, received: datetime, peer: str = "") -> Record:
    """Return the record in `payload`, ready for the store: decode() and then logs.record.build(), only faster.

    Raises Rejected, and nothing else.
    """
    is_json = payload[:1] == b"{"
    record = (_plain if is_json and len(payload) <= PAYLOAD_MAX else _shapes).record(payload, received, peer)
    if record is not None:
        return record
    found = None if is_json else _shapes.match(payload)
    try:
        if found is not None:
            shape, values = found
            return shape.layout.build(values, received=received, peer=peer)
        fields, odd = _read(payload)
        if not odd:
            layout = layout_of(tuple(fields))
            if is_json:
                _plain.learn(layout)
            return layout.build(list(fields.values()), received=received, peer=peer)
        return build(fields, received=received, peer=peer, odd=odd)
    except NotARecord as error:
        raise Rejected(Reason.NOT_A_RECORD, str(error)) from None


def _read(payload: bytes) -> tuple[dict[str, object], bool]:
    if not payload:
        raise Rejected(Reason.EMPTY, "the frame has no payload")
    if len(payload) > PAYLOAD_MAX:
        raise Rejected(Reason.TOO_LONG, f"{len(payload):,} bytes, at most {PAYLOAD_MAX:,} are taken")
    if payload[0] == 0x7B:  # {
        return jsons.read(payload), False
    if payload[0] not in b"}(\x80":
        raise Rejected(Reason.UNKNOWN_CODEC, f"the payload begins with {payload[:1]!r}: neither pickle nor JSON")
    return _read_pickle(payload)


def _read_pickle(payload: bytes) -> tuple[dict[str, object], bool]:
    told = pickles.read(payload)
    if not isinstance(told.value, dict):
        raise Rejected(Reason.NOT_A_RECORD, "pickle: the payload is no dict")
    _shapes.learn(payload)
    return told.value, told.is_odd
