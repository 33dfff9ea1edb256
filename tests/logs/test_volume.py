from __future__ import annotations

from datetime import UTC, datetime, timedelta

from logs.search import Histogram
from logs.volume import HEIGHT, LEAST, volume

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def test_bars_stack_the_gravest_level_at_the_bottom_and_show_the_least_of_it():
    drawn = volume(Histogram(START, MINUTE, 2, {20: [10_000, 0], 40: [1, 0]}, "counts"), lambda a, b: f"{a} {b}")

    full, empty = drawn.bars
    assert [(part.level, part.severity) for part in full.parts] == [("ERROR", "error"), ("INFO", "info")]
    assert full.parts[0].height == LEAST
    assert full.parts[0].top == HEIGHT - LEAST
    assert full.parts[1].top >= 0
    assert (empty.parts, empty.in_words) == ([], "0 rows")
    assert full.in_words == "10,001 rows: 1 ERROR, 10,000 INFO"
    assert full.address == f"{START} {START + MINUTE}"
    assert [bar.at for bar in drawn.busy] == [0]
    assert drawn.levels == [("ERROR", "error", 1), ("INFO", "info", 10_000)]
    assert drawn.caveat == ""


def test_no_rows_are_drawn_as_no_parts():
    drawn = volume(Histogram(START, MINUTE, 3, {}, "counts"), lambda a, b: "")

    assert [bar.rows for bar in drawn.bars] == [0, 0, 0]
    assert drawn.rows == 0


def test_what_is_estimated_says_so():
    sample = Histogram(START, MINUTE, 1, {20: [9]}, "sample", rows=300, is_complete=False)
    late = Histogram(START, MINUTE, 1, {20: [9]}, "rows", rows=9, is_complete=False)

    assert volume(sample, lambda a, b: "").caveat.startswith("estimated from 300 rows")
    assert "older rows are missing" in volume(sample, lambda a, b: "").caveat
    assert volume(late, lambda a, b: "").caveat == "time ran out, so older rows are missing"
