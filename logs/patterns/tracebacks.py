"""Where a traceback comes from: the type of its exception, and the innermost frame that is the program's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

TRACEBACK_READ = 16_000
EXCEPTION_MAX = 200
FRAME_MAX = 300

_FRAME: Final = re.compile(r'^[ |+-]*+File "([^"\n]{1,1000}+)", line (\d{1,9}+), in ([^\n]{1,300}+)$', re.MULTILINE)
# The line that ends a traceback: a dotted name, alone or followed by a colon; in a group of exceptions behind a bar.
_RAISED: Final = re.compile(r"^(?:[ ]*\| )?([^\W\d][\w.]{0,199}+)(?::|$)", re.MULTILINE)
_STANDARD: Final = re.compile(
    r"[/\\]lib(?:64)?[/\\]python\d[\d.]*+[/\\]|[/\\]Python\d[\d.]*+[/\\][Ll]ib[/\\]|[/\\]python\d+\.zip[/\\]|^<frozen "
)
_PACKAGES: Final = re.compile(r"[/\\](?:site|dist)-packages[/\\]")
_NUMBERS: Final = re.compile(r"\d++")


@dataclass(frozen=True, slots=True)
class Raised:
    """What was raised and where; each is empty where the traceback does not say."""

    exception: str = ""
    frame: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a traceback for a page: `kind` is `own`, `library` or, for what belongs to no frame, nothing."""

    text: str
    kind: str = ""


def is_own(path: str, own_roots: tuple[str, ...] = ()) -> bool:
    """Whether a file is the program's own: below one of `own_roots`, or, without any, in no library."""
    if own_roots:
        return path.startswith(own_roots)
    return _PACKAGES.search(path) is None and _STANDARD.search(path) is None


def raised(exc_text: str, own_roots: tuple[str, ...] = ()) -> Raised:
    """Return what the last exception of a traceback is, and its innermost own frame, else its innermost one.

    The frame names file and function, not the line, which moves with every change above it.
    """
    text = exc_text[-TRACEBACK_READ:]
    innermost = own = ""
    end = 0
    begin = max(text.rfind("Traceback (most recent call last):"), 0)
    for found in _FRAME.finditer(text, begin):
        end = found.end()
        innermost = _named(found[1], found[3])
        if is_own(found[1], own_roots):
            own = innermost
    return Raised(_exception(text, end), (own or innermost)[:FRAME_MAX])


def _exception(text: str, begin: int) -> str:
    found = _RAISED.search(text, begin)
    return found[1][:EXCEPTION_MAX] if found is not None else ""


def _named(path: str, function: str) -> str:
    """Return a frame as it is known: the file with its directory, and the function.

    Numbers are taken out of the directory: deployments put dates and versions into it.
    """
    directory, _, file = path.replace("\\", "/").rpartition("/")
    directory = _NUMBERS.sub("0", directory.rpartition("/")[2])
    return f"{directory}/{file} in {function}" if directory else f"{file} in {function}"


def lines(exc_text: str, own_roots: tuple[str, ...] = ()) -> Iterator[Line]:
    """Yield the lines of a traceback, each with whose frame it belongs to."""
    kind = ""
    for text in exc_text.splitlines():
        found = _FRAME.match(text)
        if found is not None:
            kind = "own" if is_own(found[1], own_roots) else "library"
        elif not text.startswith((" ", "\t")):
            kind = ""
        yield Line(text, kind)
