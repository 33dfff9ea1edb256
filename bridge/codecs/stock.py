"""Writes a stored row as the frame that Python's own SocketHandler would send, with the fields of a ps.basic record.

The payload is a pickle of protocol 1, which Python 2 and 3 load alike, in opcodes that make plain values and nothing
else. What they mean is documented in the standard library's `pickletools`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

from bridge.codecs import PAYLOAD_MAX
from bridge.codecs.inert import DEPTH_MAX
from logs import storable
from logs.record import IDS

SHORTENED = 50_000
"""How many characters of each text are left when a frame would be longer than any herald takes."""
INT_BITS_MAX = 2_040
"""Longer integers travel as text: herald reads none of more than 616 digits, and Python few of more than 4,300."""

# Columns that a client fills only sometimes, under the spelling it uses. The original bridge knows the first two.
_SOMETIMES = {"api_version": "api_version", "asctime": "asctime"}
_SOMETIMES_WITH_EXTRA = {"taskname": "taskName", "summary": "summary"}
# `logging` works with these: text in them, or an attribute in the place of the method, and it drops the record.
_NOT_TEXT = ("args", "exc_info")
_METHOD = "getMessage"

_u16 = struct.Struct("<H").pack
_i32 = struct.Struct("<i").pack
_u32 = struct.Struct("<I").pack
_f64 = struct.Struct(">d").pack
_length = struct.Struct(">L").pack

_Put = Callable[[bytes], object]


def stock_frame(row: Mapping[str, Any], *, extra: bool) -> bytes:
    """Return the frame, four bytes of length and the pickle, for a row that maps Log's column names to values.

    It has the 27 fields of a ps.basic record in their order and spelling, and api_version and asctime where they are
    set. With `extra`, also taskName and summary where they are set, and every key of the row's `extra`, as
    `logging`'s `extra=` sends them. The original ps_bridge loses a record that has a key it does not know: it must be
    sent frames without.

    `logging.makeLogRecord` makes a record of what is sent that every formatter can print: `args` and `exc_info` are
    None, an unset id is the text "None", `lineno`, `msecs` and `relativeCreated` are always numbers. A key of `extra`
    whose name is taken is sent as `name~2`, and so are the texts of `args` and `exc_info`. Integers of more than 616
    digits, and what is nested deeper than herald reads, are sent as text. A frame that would be longer than herald
    takes has its texts cut to SHORTENED characters.
    """
    fields = _fields(row)
    if extra:
        _add_extra(fields, row)
    payload = pickled(fields)
    if len(payload) > PAYLOAD_MAX:
        payload = pickled({key: _shortened(value) for key, value in fields.items()})
    return _length(len(payload)) + payload


def _fields(row: Mapping[str, Any]) -> dict[str, object]:
    created = row["created"]
    msecs, relative = row["msecs"], row["relativecreated"]
    fields: dict[str, object] = {
        **{"name": row["name"], "msg": row["message"], "args": None},
        **{"levelname": row["levelname"], "levelno": row["levelno"]},
        **{"pathname": row["pathname"], "filename": row["filename"], "module": row["module"]},
        **{"exc_info": None, "exc_text": row["exc_text"] or None, "stack_info": row["stack_info"] or None},
        **{"lineno": row["lineno"] or 0, "funcName": row["funcname"], "created": created.timestamp()},
        "msecs": float(created.microsecond // 1_000) if msecs is None else msecs,
        "relativeCreated": 0.0 if relative is None else relative,
        **{"thread": row["thread"], "threadName": row["threadname"]},
        **{"processName": row["processname"], "process": row["process"]},
        "package_version": row["package_version"],
        **{"SYSTEM_ID": row["system_id"] or "None", "SUB_SYSTEM_ID": row["sub_system_id"] or "None"},
        **{"SUB_SUB_SYSTEM_ID": row["sub_sub_system_id"] or "None", "PRODUKT_ID": row["produkt_id"] or "None"},
        **{"USER_SPEC_1": row["user_spec_1"] or "None", "USER_SPEC_2": row["user_spec_2"] or "None"},
    }
    _add_set(fields, row, _SOMETIMES)
    return fields


def _add_set(fields: dict[str, object], row: Mapping[str, Any], spellings: Mapping[str, str]) -> None:
    for column, spelling in spellings.items():
        if row[column]:
            fields[spelling] = row[column]


def _add_extra(fields: dict[str, object], row: Mapping[str, Any]) -> None:
    _add_set(fields, row, _SOMETIMES_WITH_EXTRA)
    more = [(column, row[column]) for column in _NOT_TEXT if row[column]] + list(row["extra"].items())
    if not more:
        return
    taken: dict[str, object] = {**fields, _METHOD: None}
    twins: dict[str, int] = {}
    for key, value in more:
        name = storable.free_name(key, taken, twins)
        taken[name] = fields[name] = value


def _shortened(value: object) -> object:
    return storable.cut_text(value, SHORTENED) if isinstance(value, str) else value


def pickled(fields: Mapping[str, object]) -> bytes:
    """Return the pickle, protocol 1, of a dict of None, bool, int, float, str, list and dict with text keys.

    Any other value is written as its JSON text.
    """
    parts = [b"}q\0("]
    put = parts.append
    for key, value in fields.items():
        put(_KEYS.get(key) or _text(key))
        _write(put, value, 1)
    put(b"u.")
    return b"".join(parts)


def _write(put: _Put, value: object, depth: int) -> None:
    kind = type(value)
    if kind is str:
        put(_text(value))  # type: ignore[arg-type]
    elif value is None:
        put(b"N")
    elif kind is int:
        put(_integer(value))  # type: ignore[arg-type]
    elif kind is float:
        put(b"G" + _f64(value))
    elif kind is bool:
        put(b"I01\n" if value else b"I00\n")
    elif depth < DEPTH_MAX and isinstance(value, Mapping):
        _write_dict(put, value, depth + 1)
    elif depth < DEPTH_MAX and isinstance(value, list | tuple):
        _write_list(put, value, depth + 1)
    else:
        put(_text(storable.plain_text(value)))


def _write_dict(put: _Put, value: Mapping[str, object], depth: int) -> None:
    put(b"}(")
    for key, item in value.items():
        put(_text(key))
        _write(put, item, depth)
    put(b"u")


def _write_list(put: _Put, value: list[object] | tuple[object, ...], depth: int) -> None:
    put(b"](")
    for item in value:
        _write(put, item, depth)
    put(b"e")


def _text(value: str) -> bytes:
    raw = value.encode("utf-8", "surrogatepass")
    return b"X" + _u32(len(raw)) + raw


def _integer(value: int) -> bytes:
    if 0 <= value < 2**8:
        return b"K" + value.to_bytes()
    if 0 <= value < 2**16:
        return b"M" + _u16(value)
    if -(2**31) <= value < 2**31:
        return b"J" + _i32(value)
    if value.bit_length() > INT_BITS_MAX:
        return _text(storable.plain_text(value))
    return b"L%dL\n" % value


_KEYS = {
    key: _text(key)
    for key in (
        *("name", "msg", "args", "levelname", "levelno", "pathname", "filename", "module", "exc_info", "exc_text"),
        *("stack_info", "lineno", "funcName", "created", "msecs", "relativeCreated", "thread", "threadName"),
        *("processName", "process", "package_version", *map(str.upper, IDS)),
    )
}
