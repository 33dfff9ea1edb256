"""Regular expressions, on RE2 alone: it needs linear time whatever the pattern. Python's `re` sees none of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import re2

STEPS_MAX = 2_000
"""How large a compiled expression may be. In the worst case each character of a text costs every step a few
nanoseconds, and a text may have 262,144 characters."""
LITERAL_MIN = 3

_CLASSES = frozenset("dDwWsSbBAzntrfvaC")


class RegexError(ValueError):
    """An expression RE2 refuses; the text says why and what to do."""


@lru_cache(maxsize=256)
def searcher(pattern: str) -> Callable[[str], bool]:
    """Return the function that tells whether `pattern` matches somewhere in a text. Raises RegexError."""
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        raise RegexError(_reason(error)) from None
    if compiled.programsize > STEPS_MAX:
        raise RegexError(
            f"The regular expression is too large: {compiled.programsize:,} steps where {STEPS_MAX:,} are allowed. "
            "Shorten repetitions such as {500}."
        )
    search = compiled.search
    return lambda text: search(text.encode()) is not None


def _reason(error: re2.error) -> str:
    said = error.args[0]
    said = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    text = f"The regular expression is not valid ({said})."
    if said.startswith(("invalid perl operator", "invalid escape sequence")):
        text += " It is read by RE2, which has neither look-around such as (?=…) nor back-references such as \\1."
    return text


def required(pattern: str) -> tuple[str, ...]:
    """Return literals of at least LITERAL_MIN characters that every text matched by a valid `pattern` contains.

    It may overlook some. Alternatives, flags and groups are not looked into.
    """
    if "|" in pattern or "(?" in pattern or "\\Q" in pattern:
        return ()
    return tuple(dict.fromkeys(run for run in _runs(pattern) if len(run) >= LITERAL_MIN))


def _runs(pattern: str) -> list[str]:
    """Return the runs of plain characters up to the first group, each without what is repeated or optional."""
    runs = [""]
    at = 0
    while at < len(pattern):
        character = pattern[at]
        literal: str | None = None
        if character == "(":
            break
        if character == "[":
            at = _class_end(pattern, at)
        elif character == "\\":
            at += 2
            escaped = pattern[at - 1 : at]
            if escaped.isalnum() and escaped not in _CLASSES:
                break
            literal = None if escaped.isalnum() else escaped
        else:
            at += 1
            literal = None if character in ".^$*+?{}" else character
        at, kept = _repetition(pattern, at)
        if literal is not None and kept:
            runs[-1] += literal
        if literal is None or not kept or pattern[at - 1 : at] == "+":
            runs.append("")
    return runs


def _class_end(pattern: str, at: int) -> int:
    """Return where the character class that begins at `at` has ended."""
    at += 2 if pattern[at + 1 : at + 2] == "^" else 1
    at += pattern[at : at + 1] == "]"
    while pattern[at] != "]":
        if pattern.startswith("[:", at) and ":]" in pattern[at:]:
            at = pattern.index(":]", at) + 2
        else:
            at += 2 if pattern[at] == "\\" else 1
    return at + 1


def _repetition(pattern: str, at: int) -> tuple[int, bool]:
    """Return where the repetition at `at` has ended, and whether what it repeats occurs at least once."""
    character = pattern[at : at + 1]
    if character in ("*", "?"):
        return at + 1, False
    if character == "{":
        return pattern.find("}", at) + 1 or at + 1, False
    return (at + 1, True) if character == "+" else (at, True)
