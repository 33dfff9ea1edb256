"""The acknowledged protocol as bytes: frames, hello, welcome, acknowledgements. No socket is touched here.

`bridge/PROTOCOL.md` specifies it. Both ends use this module: the sender beside it, and the bridge.
"""

from __future__ import annotations

import json
import re
import struct
from typing import Any, NamedTuple, Tuple

VERSION = 1
HELLO_MAX = 8_192
"""Longest hello, in bytes."""
MESSAGE_MAX = 32_768
"""Longest message about a connection, in bytes."""
ANSWER_MAX = 65_536
"""Longest frame a server sends, in bytes."""
REJECTED_MAX = 20
"""Most rejections one acknowledgement tells in full; further ones are only counted."""
BEAT_SECONDS = 10.0
"""A server says something at least this often, also while it reads nothing."""
SILENCE_SECONDS = 30.0
"""A server that has said nothing for so long is gone."""

Sequence = Tuple[int, int]
"""A sequence number has two halves, compared in order; a sender with one counter leaves the first zero."""

START: Sequence = (0, 0)
"""Before the first record. As the number of a frame it marks a message about the connection, not a record."""
HALF_MAX = 2**63 - 1

_LENGTH = struct.Struct(">I")
NUMBER = struct.Struct(">qq")
NUMBER_BYTES = NUMBER.size

_SENDER = re.compile(r"[0-9A-Za-z_-]{8,64}")


class ProtocolError(Exception):
    """The other end does not keep to the protocol. `reason` is one word for counting, the text is for people."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


class Rejection(NamedTuple):
    """A record the server could read but will never store. It counts as acknowledged: sent again, it fares no better."""

    sequence: Sequence
    reason: str
    detail: str


class Hello(NamedTuple):
    """What opens the protocol: who sends, and what the sender has been told before.

    `acked` is the highest number a server has ever acknowledged to this sender. `kind` is `client` or `bridge`; a
    bridge also tells its own id and level of trust. `time` is the sender's clock, in seconds of the epoch.
    """

    sender: str
    name: str = ""
    ack: bool = True
    acked: Sequence = START
    kind: str = "client"
    bridge: str = ""
    level: int = 0
    time: float = 0.0
    login: str = ""
    secret: str = ""
    version: int = VERSION

    def encode(self) -> bytes:
        told: dict[str, Any] = {"herald": self.version, "sender": self.sender, "name": self.name, "ack": self.ack}
        told["acked"] = list(self.acked)
        told["time"] = self.time
        if self.kind != "client":
            told.update(kind=self.kind, bridge=self.bridge, level=self.level)
        if self.login:
            told["credentials"] = {"name": self.login, "secret": self.secret}
        return _encode(told)

    @classmethod
    def parse(cls, payload: bytes) -> Hello:
        """Return the hello in `payload`; raises ProtocolError with a sentence for the sender."""
        if len(payload) > HELLO_MAX:
            raise ProtocolError("hello too long", f"a hello has at most {HELLO_MAX:,} bytes; this one {len(payload):,}")
        told = _decode(payload, "hello")
        version = told.get("herald")
        if version != VERSION or isinstance(version, bool):
            asked = version if isinstance(version, int) else "another one"
            raise ProtocolError("unknown version", f"this bridge speaks version {VERSION} of the protocol, not {asked}")
        sender = _text(told, "sender", 64)
        if not _SENDER.fullmatch(sender):
            raise ProtocolError("bad hello", "`sender` must be 8 to 64 letters, digits, - or _, chosen at random")
        credentials = told.get("credentials")
        if credentials is None:
            credentials = {}
        if not isinstance(credentials, dict):
            raise ProtocolError("bad hello", "`credentials` must be an object with `name` and `secret`")
        kind = _text(told, "kind", 20) or "client"
        if kind not in ("client", "bridge"):
            raise ProtocolError("bad hello", "`kind` must be `client` or `bridge`")
        bridge = _text(told, "bridge", 64)
        if kind == "bridge" and not _SENDER.fullmatch(bridge):
            raise ProtocolError("bad hello", "a bridge must tell its own id as `bridge`")
        ack = told.get("ack", True)
        if not isinstance(ack, bool):
            raise ProtocolError("bad hello", "`ack` must be true or false")
        return cls(
            sender=sender,
            name=_text(told, "name", 200),
            ack=ack,
            acked=_sequence(told.get("acked", [0, 0])),
            kind=kind,
            bridge=bridge,
            level=_level(told.get("level", 0)),
            time=_number(told.get("time")),
            login=_text(credentials, "name", 200),
            secret=_text(credentials, "secret", 500),
        )


class Welcome(NamedTuple):
    """The answer to a hello: the mark up to which everything is stored, and who the server is.

    `frame_max` is the longest payload it takes, in bytes, the sequence number not counted.
    """

    acked: Sequence
    bridge: str = ""
    name: str = ""
    level: int = 0
    time: float = 0.0
    frame_max: int = 0

    def encode(self) -> bytes:
        return _encode(
            {
                "herald": VERSION,
                "acked": list(self.acked),
                "bridge": self.bridge,
                "name": self.name,
                "level": self.level,
                "time": self.time,
                "frame_max": self.frame_max,
            }
        )


class Ack(NamedTuple):
    """Everything up to `acked` is stored, or was rejected for good; `rejected` tells of the latter, `more` counts
    those left out."""

    acked: Sequence
    rejected: tuple[Rejection, ...] = ()
    more: int = 0

    def encode(self) -> bytes:
        told: dict[str, Any] = {"acked": list(self.acked)}
        if self.rejected:
            told["rejected"] = [[list(r.sequence), r.reason, r.detail[:300]] for r in self.rejected]
        if self.more:
            told["more"] = self.more
        return _encode(told)


class Refusal(NamedTuple):
    """The server will not go on with this connection; `reason` is one or two words, `text` a sentence."""

    reason: str
    text: str

    def encode(self) -> bytes:
        return _encode({"herald": VERSION, "error": self.text, "reason": self.reason})


def framed(payload: bytes) -> bytes:
    """Return a payload behind its length."""
    return _LENGTH.pack(len(payload)) + payload


def numbered(sequence: Sequence, payload: bytes) -> bytes:
    """Return the frame of one record with its sequence number."""
    return _LENGTH.pack(len(payload) + NUMBER_BYTES) + NUMBER.pack(*sequence) + payload


def beat(told: dict[str, Any]) -> bytes:
    """Return the frame of a sign of life, which is no record and gets no acknowledgement."""
    return numbered(START, _encode(dict({"herald": "beat"}, **told)))


def parse_beat(payload: bytes) -> dict[str, Any]:
    """Return what a message about the connection tells; raises ProtocolError unless it is a beat."""
    if len(payload) > MESSAGE_MAX:
        raise ProtocolError("bad message", f"a message has at most {MESSAGE_MAX:,} bytes")
    told = _decode(payload, "message")
    if told.get("herald") != "beat":
        raise ProtocolError("bad message", "a frame with the number 0 must be a beat")
    return told


class Answers:
    """Splits what a server sends into its messages."""

    def __init__(self) -> None:
        self._begun = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        """Return the messages completed by `data`: Welcome, Ack or Refusal; raises ProtocolError."""
        self._begun += data
        found: list[Any] = []
        while len(self._begun) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._begun)
            if length > ANSWER_MAX:
                raise ProtocolError("no herald", "what answers there does not speak herald's protocol")
            if len(self._begun) < _LENGTH.size + length:
                break
            payload = bytes(self._begun[_LENGTH.size : _LENGTH.size + length])
            del self._begun[: _LENGTH.size + length]
            found.append(_answer(_decode(payload, "answer")))
        return found


def _answer(told: dict[str, Any]) -> Any:
    if "error" in told:
        return Refusal(_text(told, "reason", 100), _text(told, "error", 1_000))
    if "herald" in told:
        if told["herald"] != VERSION:
            raise ProtocolError("unknown version", f"the server answered in version {told['herald']!r}")
        return Welcome(
            acked=_sequence(told.get("acked")),
            bridge=_text(told, "bridge", 64),
            name=_text(told, "name", 200),
            level=_level(told.get("level", 0)),
            time=_number(told.get("time")),
            frame_max=int(_number(told.get("frame_max"))),
        )
    rejected = told.get("rejected", [])
    if not isinstance(rejected, list):
        raise ProtocolError("bad answer", "`rejected` must be a list")
    return Ack(_sequence(told.get("acked")), tuple(map(_rejection, rejected)), int(_number(told.get("more"))))


def _rejection(told: Any) -> Rejection:
    if not isinstance(told, list) or len(told) != 3:
        raise ProtocolError("bad answer", "a rejection is a list of number, reason and detail")
    return Rejection(_sequence(told[0]), str(told[1]), str(told[2]))


def _encode(told: dict[str, Any]) -> bytes:
    # ASCII: what people typed into names needs no thought about lone surrogates.
    return json.dumps(told, separators=(",", ":")).encode("ascii")


def _decode(payload: bytes, what: str) -> dict[str, Any]:
    try:
        told = json.loads(payload.decode("utf-8"))
    except (ValueError, RecursionError):
        raise ProtocolError("bad " + what, f"the {what} is no JSON") from None
    if not isinstance(told, dict):
        raise ProtocolError("bad " + what, f"the {what} is no JSON object")
    return told


def _sequence(told: Any) -> Sequence:
    if isinstance(told, list) and len(told) == 2 and all(_is_half(half) for half in told):
        return (told[0], told[1])
    raise ProtocolError("bad number", "a sequence number is a list of two integers from 0 to 2**63 - 1")


def _is_half(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= HALF_MAX


def _text(told: dict[str, Any], key: str, limit: int) -> str:
    value = told.get(key, "")
    if not isinstance(value, str) or len(value) > limit:
        raise ProtocolError("bad hello", f"`{key}` must be a text of at most {limit} characters")
    # What stands for a lone surrogate is longer than it is.
    return value.replace("\0", "").encode("utf-8", "backslashreplace").decode("utf-8")[:limit]


def _number(value: Any) -> float:
    number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else 0
    return float(number) if -1e15 < number < 1e15 else 0.0


def _level(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 100:
        return value
    raise ProtocolError("bad hello", "`level` must be a whole number from 0 to 100")


def clock_offset(welcome: Welcome, sent: float, answered: float) -> float | None:
    """Return by how many seconds the server's clock is ahead, from the moments of hello and answer on our own."""
    return welcome.time - (sent + answered) / 2 if welcome.time else None
