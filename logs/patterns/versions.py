"""Which of two versions is newer, as far as their texts tell."""

from __future__ import annotations

import re

_NUMBERS = re.compile(r"v?(\d{1,18}(?:[._]\d{1,18}){0,15})(?!\d)", re.IGNORECASE)
_SUFFIX = re.compile(
    r"[-._~]?(dev|alpha|a|beta|b|milestone|m|preview|pre|rc|c|snapshot|post|rev|r|patch|p|final|ga|release)?[-._]?(\d{0,18})"
)
_COMMIT = re.compile(r"-g[0-9a-f]{4,40}$")
# Before the version itself come these, after it those.
_BEFORE = {"dev": -6, "snapshot": -6, "alpha": -5, "a": -5, "beta": -4, "b": -4, "milestone": -3, "m": -3}
_BEFORE |= {"preview": -2, "pre": -2, "rc": -1, "c": -1}
_SAME = {"final": 0, "ga": 0, "release": 0}
_AFTER = {"post": 1, "rev": 1, "r": 1, "patch": 1, "p": 1, "": 1}
_RANKS = _BEFORE | _SAME | _AFTER
_PARTS_MAX = 8

Order = tuple[tuple[int, ...], tuple[tuple[int, int], ...]]


def order_of(version: str) -> Order | None:
    """Return what sorts versions from old to new; None for a text that is not understood, such as a commit's hash.

    Numbers between dots are compared as numbers, and missing ones count as 0. A pre-release (dev, alpha, beta, rc …)
    comes before its version; post-releases, and further numbers behind a hyphen, come after. What follows a plus sign
    is not looked at.
    """
    text = _COMMIT.sub("", version.strip().partition("+")[0].lower())
    found = _NUMBERS.match(text)
    if found is None:
        return None
    numbers = [int(number) for number in re.split("[._]", found[1])]
    while numbers and not numbers[-1]:
        numbers.pop()
    suffixes = _suffixes(text[found.end() :])
    return None if suffixes is None else (tuple(numbers), suffixes)


def _suffixes(text: str) -> tuple[tuple[int, int], ...] | None:
    said: list[tuple[int, int]] = []
    at = 0
    while at < len(text):
        found = _SUFFIX.match(text, at)
        if found is None or not (found[1] or found[2]) or len(said) == _PARTS_MAX:
            return None
        rank = _RANKS[found[1] or ""]
        if rank:
            said.append((rank, int(found[2] or 0)))
        at = found.end()
    # A version without a suffix lies between those that come before and those that come after it.
    return (*said, (0, 0))


def is_older(version: str, than: str) -> bool:
    """Whether `version` is surely older than `than`; one that is not understood never is."""
    if version == than:
        return False
    left, right = order_of(version), order_of(than)
    return left is not None and right is not None and left < right


def newest(first: str, second: str) -> str:
    """Return the newer of two versions; the second where nobody can tell, because it came later."""
    if not first or not second:
        return first or second
    return first if is_older(second, first) else second
