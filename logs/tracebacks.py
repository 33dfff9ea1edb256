"""Tracebacks, taken apart: which frames are the application's own, and which a library's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from django.conf import settings

from logs.patterns.tracebacks import is_own

Kind = Literal["own", "library", "words"]

# What stands before a frame: indentation, and in a group of exceptions the lines that are drawn beside it.
_FRAME = re.compile(r'(?P<margin>[\s|+-]*)File "(?P<path>[^"\n]*)", line \d+')


@dataclass(frozen=True, slots=True)
class Piece:
    """Lines of a traceback that belong together: frames of one kind, or the words between them."""

    text: str
    kind: Kind


def is_library(path: str) -> bool:
    """Whether the source file at `path` is a library's, or with HERALD_OWN_ROOTS, below none of those."""
    return not is_own(path, settings.OWN_ROOTS)


def pieces(text: str) -> list[Piece]:
    """Return a traceback in pieces, which put together with line ends are the text again."""
    found: list[Piece] = []
    for line, kind in _lines(text):
        if found and found[-1].kind == kind:
            found[-1] = Piece(f"{found[-1].text}\n{line}", kind)
        else:
            found.append(Piece(line, kind))
    return found


def _lines(text: str) -> Iterator[tuple[str, Kind]]:
    kind: Kind = "words"
    margin = 0
    for line in text.split("\n"):
        if frame := _FRAME.match(line):
            kind = "library" if is_library(frame["path"]) else "own"
            margin = len(frame["margin"])
        elif kind != "words" and len(line) - len(line.lstrip(" |\t")) <= margin:
            # Source lines stand further in than the frame they belong to.
            kind = "words"
        yield line, kind
