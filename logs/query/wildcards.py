"""Whether a text fits a pattern with wildcards, in time that no pattern can blow up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from logs.query.conditions import Pattern, Wild

_NOWHERE = -1


@dataclass(frozen=True, slots=True)
class _Segment:
    """What stands between two `*`: texts at fixed places, and how many characters it takes in all."""

    length: int
    pieces: Sequence[tuple[int, str]]

    def stands(self, text: str, start: int) -> bool:
        """Whether the segment stands at `start`."""
        return start + self.length <= len(text) and all(text.startswith(piece, start + at) for at, piece in self.pieces)

    def find(self, text: str, start: int, end: int) -> int:
        """Return the first place from `start` on where the segment stands and ends before `end`."""
        if not self.pieces:
            return start if start + self.length <= end else _NOWHERE
        offset, first = self.pieces[0]
        at = text.find(first, start + offset, end)
        while at != _NOWHERE:
            if at - offset + self.length <= end and self.stands(text, at - offset):
                return at - offset
            at = text.find(first, at + 1, end)
        return _NOWHERE


def fits(pattern: Pattern) -> Callable[[str], bool]:
    """Return the function that tells whether a text as a whole fits `pattern`, case included."""
    segments = [_segment(pieces) for pieces in _split(pattern)]
    if len(segments) == 1:
        (only,) = segments
        return lambda text: len(text) == only.length and only.stands(text, 0)
    first, *middle, last = segments

    def fits_all(text: str) -> bool:
        end = len(text) - last.length
        if end < first.length or not first.stands(text, 0) or not last.stands(text, end):
            return False
        return _in_order(middle, text, first.length, end)

    return fits_all


def _in_order(segments: Iterable[_Segment], text: str, start: int, end: int) -> bool:
    """Whether the segments follow one another between `start` and `end`. The first place for each is as good as any."""
    for segment in segments:
        found = segment.find(text, start, end)
        if found == _NOWHERE:
            return False
        start = found + segment.length
    return True


def _split(pattern: Pattern) -> list[list[str | Wild]]:
    """Return what stands between the `*`s; before the first and behind the last of them there may be nothing."""
    parts: list[list[str | Wild]] = [[]]
    for piece in pattern:
        if piece is Wild.RUN:
            parts.append([])
        else:
            parts[-1].append(piece)
    return parts


def _segment(pieces: Iterable[str | Wild]) -> _Segment:
    length = 0
    texts = []
    for piece in pieces:
        if isinstance(piece, str):
            texts.append((length, piece))
        length += len(piece) if isinstance(piece, str) else 1
    return _Segment(length, texts)
