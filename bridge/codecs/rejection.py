"""Why a payload is not taken: one exception, with a reason from a closed set."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a payload was rejected. The bridge counts rejections under these words and shows them to the operator."""

    EMPTY = "empty"
    TOO_LONG = "too long"
    UNKNOWN_CODEC = "unknown codec"
    HELLO = "hello"
    MALFORMED = "malformed"
    FORBIDDEN = "forbidden opcode"
    TOO_DEEP = "too deep"
    TOO_MANY_NODES = "too many nodes"
    TOO_MUCH_TEXT = "too much text"
    NUMBER_TOO_LONG = "number too long"
    MEMO = "memo"
    NOT_A_RECORD = "not a record"
    LOOP = "came round in a loop"
    NOT_ITS_SYSTEM = "not its system"
    NOT_A_BRIDGE = "not a bridge"
    REFUSED = "refused by database"
    BUG = "herald's bug"


class Rejected(Exception):
    """The payload is no record herald can store. `reason` is for counting, `detail` for the person who sent it."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
