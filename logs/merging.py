"""`msg % args` for clients that send the two apart, without letting the sender choose how much work that is.

Python before 2.7.4 and 3.2.4 sent `msg` unmerged. Python's own `%` builds a gigabyte of text for `%999999999d`; here
every conversion is looked at before it is performed, and whatever is not plain is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

CONVERSIONS_MAX = 1_000

_CONVERSION = re.compile(
    r"%(?:\((?P<key>[^()]{0,200})\))?"
    r"(?P<flags>[-+ 0#]{0,5})(?P<width>[0-9]{0,2})(?P<precision>(?:\.[0-9]{0,2})?)[hlL]?(?P<kind>[diouxXeEfFgGcrsa%])"
)
_PERCENT = re.compile("%")


def merge(msg: str, args: object, limit: int) -> str | None:
    """Return `msg % args`, or None where that is not plain and safe: then the two are best kept apart.

    `args` is the decoded value: a list for positional conversions, a dict for named ones, or a dict for the single
    `%s` it was the only argument of. Widths and precisions have at most two digits, the result at most `limit`
    characters, and a template at most 1,000 conversions.
    """
    if not isinstance(args, list | tuple | dict):
        return None
    try:
        return _join(_pieces(msg, _Arguments(args, limit)), limit)
    except (ValueError, TypeError, LookupError, OverflowError):
        return None


class _Printed(str):
    """The text of a list or dict; `%r` prints it as `%s` does."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class _Arguments:
    """Hands out the arguments, by position or by name, never both; bounds the text that conversions look at."""

    def __init__(self, args: list[object] | tuple[object, ...] | dict[str, object], limit: int) -> None:
        self._named = args if isinstance(args, dict) else {}
        self._queue = [args] if isinstance(args, dict) else list(args)
        self._given = 0
        self._names_used = False
        self._room = limit
        self._printed: dict[int, str] = {}

    def take(self, key: str | None) -> object:
        """Return the next argument, or the one named `key`; a list or a dict as its text."""
        if key is None:
            self._given += 1
            value = self._queue[self._given - 1]
        else:
            self._names_used = True
            value = self._named[key]
        return self._bounded(value)

    def check_all_used(self) -> None:
        expected = 0 if self._names_used else len(self._queue)
        if self._given != expected:
            raise ValueError("the number of conversions is not the number of arguments")

    def _bounded(self, value: object) -> object:
        # `%.0s` prints nothing but looks at everything, and a name can be asked for again and again.
        if isinstance(value, list | dict):
            value = _Printed(self._printed.get(id(value)) or self._print(value))
        if isinstance(value, str):
            self._room -= len(value)
            if self._room < 0:
                raise ValueError("the arguments are too long")
        return value

    def _print(self, value: object) -> str:
        text = self._printed[id(value)] = repr(value)
        return text


def _join(pieces: Iterator[str], limit: int) -> str:
    merged: list[str] = []
    length = 0
    for piece in pieces:
        length += len(piece)
        if length > limit:
            raise ValueError("the merged text is too long")
        merged.append(piece)
    return "".join(merged)


def _pieces(msg: str, arguments: _Arguments) -> Iterator[str]:
    position = 0
    for count, percent in enumerate(_PERCENT.finditer(msg)):
        if percent.start() < position:
            continue  # the second sign of `%%`
        if count >= CONVERSIONS_MAX:
            raise ValueError("too many conversions")
        found = _CONVERSION.match(msg, percent.start())
        if found is None:
            raise ValueError("an unusual conversion")
        yield msg[position : found.start()]
        yield _convert(found, arguments)
        position = found.end()
    yield msg[position:]
    arguments.check_all_used()


def _convert(found: re.Match[str], arguments: _Arguments) -> str:
    key, kind = found["key"], found["kind"]
    if kind == "%":
        if found.group() != "%%":
            raise ValueError("an unusual percent sign")
        return "%"
    spec = f"%{found['flags']}{found['width']}{found['precision']}{kind}"
    return spec % (arguments.take(key),)
