"""The corpus: frames that honest, odd and hostile clients send, each with what must become of it.

`tests/data/corpus/manifest.json` names every frame, what must happen to it and within how many milliseconds and MiB.
Frames up to 64 KiB lie beside it as files, just as they go over the socket: four bytes of length, then the payload
(those of category `stream` are raw bytes). The larger ones are built here; the manifest's SHA-256 proves that they are
the frames they claim to be.

Several hold real attack opcodes: never hand them to `pickle`.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"
DIRECTORY = DATA / "corpus"


@dataclass(frozen=True)
class Entry:
    """One frame of the corpus. `expect` is one of store, store_clean, reject, close, either (see `words`)."""

    name: str
    category: str
    expect: str
    why: str
    ms: int
    mem_mib: int
    size: int
    sha256: str
    checks: Mapping[str, object] = field(default_factory=dict)

    @property
    def frame(self) -> bytes:
        """All bytes as they go over the socket."""
        return _frame(self.name)

    @property
    def payload(self) -> bytes:
        """What follows the four bytes of length; for a single frame the part that a codec sees."""
        return self.frame[4:]

    @property
    def is_one_frame(self) -> bool:
        return self.category != "stream" or self.name == "len_at_cap"


@cache
def entries() -> list[Entry]:
    """Return every entry of the manifest; frames are read or built when asked for."""
    return [_entry(told) for told in _manifest()["entries"]]


def entry(name: str) -> Entry:
    """Return the entry `name`."""
    return next(entry for entry in entries() if entry.name == name)


def words() -> dict[str, str]:
    """Return what each word of `expect` means."""
    return dict(_manifest()["words"])


def psbasic_payloads() -> list[bytes]:
    """Return the payloads of 11 frames that an unmodified ps.basic 1.2.19 sent."""
    return payloads_of((DATA / "psbasic_frames.bin").read_bytes())


def framed(payload: bytes) -> bytes:
    """Return `payload` as it goes over the socket."""
    return struct.pack(">L", len(payload)) + payload


def stock_record(**changes: object) -> dict[str, object]:
    """Return the fields that Python's own SocketHandler sends, with `changes`."""
    return {
        **{"name": "app.db", "msg": "hello", "args": None, "levelname": "INFO", "levelno": 20},
        **{"pathname": "/srv/app/db.py", "filename": "db.py", "module": "db"},
        **{"exc_info": None, "exc_text": None, "stack_info": None, "lineno": 42, "funcName": "save"},
        **{"created": 1795312000.25, "msecs": 250.0, "relativeCreated": 12.5, "thread": 140713635085184},
        **{"threadName": "MainThread", "processName": "MainProcess", "process": 4711},
        **changes,
    }


@cache
def _manifest() -> dict[str, Any]:
    told: dict[str, Any] = json.loads((DIRECTORY / "manifest.json").read_text())
    return told


def _entry(told: dict[str, Any]) -> Entry:
    rest = {key: value for key, value in told.items() if key not in ("file", "bytes")}
    return Entry(name=str(told["file"]).removesuffix(".bin"), size=told["bytes"], **rest)


@cache
def _frame(name: str) -> bytes:
    build = _BUILDERS.get(name)
    frame = build() if build else (DIRECTORY / f"{name}.bin").read_bytes()
    if hashlib.sha256(frame).hexdigest() != entry(name).sha256:
        raise AssertionError(f"the frame {name} is not the one the manifest means")
    return frame


def payloads_of(stream: bytes) -> list[bytes]:
    """Return the payloads of frames back to back."""
    payloads: list[bytes] = []
    while stream:
        (length,) = struct.unpack_from(">L", stream)
        payloads.append(stream[4 : 4 + length])
        stream = stream[4 + length :]
    return payloads


def _stock(**changes: object) -> bytes:
    return pickle.dumps(stock_record(**changes), 1)


def _shop(**changes: object) -> bytes:
    changes = {"name": "shop.cart", "levelname": "WARNING", "levelno": 30, **changes}
    changes |= {"pathname": "/srv/shop/cart.py", "filename": "cart.py", "module": "cart", "lineno": 17}
    changes |= {"funcName": "add", "created": 1795313787.653061, "msecs": 653.0, "relativeCreated": 12.333393096923828}
    return _stock(**changes, thread=140276630543232, process=22330)


def _stock_and(key_and_value: bytes) -> bytes:
    """Return a good record into which one more key is set, by opcodes that pickle itself would not choose."""
    return _stock()[:-1] + key_and_value + b"s."


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<L", len(text)) + text.encode()


def _amplify(opcode: bytes, head: bytes = b"(") -> bytes:
    return head + opcode * 1_000_000 + b"l."


def _keys() -> bytes:
    return pickle.dumps({f"k{number}": None for number in range(60_000)}, 1)


def _colliding_tuples() -> bytes:
    """25,000 keys of 15 elements, each -1 or -2, whose hashes are equal: -1 hashes as -2."""
    keys = b"".join(
        b"(" + b"".join(b"h\x01" if number >> bit & 1 else b"h\x00" for bit in range(15)) + b"tN"
        for number in range(25_000)
    )
    return b"}J\xff\xff\xff\xffq\x000J\xfe\xff\xff\xffq\x010(" + keys + b"u."


_PAYLOADS: dict[str, Callable[[], bytes]] = {
    "amplify_dicts_1m": lambda: _amplify(b"}"),
    "amplify_lists_1m": lambda: _amplify(b"]"),
    "amplify_marks_1m": lambda: b"(" * 1_000_000 + b".",
    "amplify_none_1m": lambda: _amplify(b"N"),
    "amplify_sets_1m": lambda: _amplify(b"\x8f", b"\x80\x04("),
    "deep_dict_50k": lambda: b"}" + (_text("k") + b"}") * 49_999 + _text("k") + b"N" + b"s" * 50_000 + b".",
    "deep_list_100k": lambda: b"]" * 100_000 + b"a" * 99_999 + b".",
    "deep_list_in_extra": lambda: _stock_and(_text("v") + b"]" * 100_000 + b"a" * 99_999),
    "deep_tuple_200k": lambda: b"N" + b"\x85" * 200_000 + b".",
    "deep_tuple_key_500k": lambda: b"}N" + b"\x85" * 500_000 + b"Ns.",
    "int_long4_1mb": lambda: _stock_and(_text("v") + b"\x8b" + struct.pack("<i", 998_000) + b"\x7f" * 998_000),
    "int_long_text_100k": lambda: _stock_and(_text("v") + b"L" + b"9" * 100_000 + b"L\n"),
    "keys_100k": _keys,
    "laughs_dup": lambda: b"](N" + b"2" * 200_000 + b"la.",
    "msg_long_line": lambda: _stock(msg="A" * 100_000),
    "ok_msg_200k": lambda: _shop(msg="x" * 200_000),
    "tuple_hash_collide": _colliding_tuples,
    "val_msg_1mb": lambda: _stock(msg="m" * 1_000_000),
    "val_name_1mb": lambda: _stock(name="n" * 900_000),
    "len_at_cap": lambda: _stock(msg="y" * 1_048_103),
}

_BUILDERS: dict[str, Callable[[], bytes]] = {
    **{name: lambda build=build: framed(build()) for name, build in _PAYLOADS.items()},  # type: ignore[misc]
    "stream_1000_good": lambda: framed(_stock()) * 1_000,
}
