"""When two texts count as equal: one definition for the query language, the pages and both engines."""

from __future__ import annotations

import re


def _pairs() -> dict[int, str]:
    """Return every upper-case character whose lower case leads back to it, and to it alone.

    `str.casefold` would equate ß with ss and the Kelvin sign with k, which no engine's index does.
    """
    small = ((character, character.lower()) for character in map(chr, range(0x1E944)))
    return {ord(big): little for big, little in small if little != big and len(little) == 1 and little.upper() == big}


LOWER = _pairs()
"""Each capital's number, and the small letter it becomes. No two capitals become the same letter."""
CASED = frozenset(LOWER) | frozenset(map(ord, LOWER.values()))
"""The numbers of all characters that have a partner."""

# `str.lower` is far quicker than a translation. It goes another way for few characters: those it gives a small letter
# that does not lead back, and sigma, which it treats by its place in the word.
_OTHERWISE = re.compile(
    "[Σ{}]".format("".join(c for c in map(chr, range(0x80, 0x1E944)) if c.lower() != LOWER.get(ord(c), c)))
)


def fold(text: str) -> str:
    """Return `text` so that two texts which differ in case alone become equal. One character stays one character."""
    if text.isascii() or not _OTHERWISE.search(text):
        return text.lower()
    return text.translate(LOWER)
