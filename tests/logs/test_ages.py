from __future__ import annotations

from datetime import timedelta

import pytest

from logs.ages import as_kept, read_age, write_age

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("30 d", 30 * DAY),
        ("1day", DAY),
        (" 6 Hours ", DAY / 4),
        ("45min", timedelta(minutes=45)),
        ("90 s", timedelta(seconds=90)),
        ("36500 d", 36_500 * DAY),
    ],
)
def test_an_age_is_read_as_people_write_it(text: str, age: timedelta):
    assert read_age(text) == age
    assert read_age(write_age(age)) == age


@pytest.mark.parametrize(
    "text", ["", "30", "0 d", "-1 d", "36501 d", "9999999 d", "1 w", "1 month", "1.5 d", "\u0661 d"]
)
def test_what_is_no_age_is_refused_with_an_example(text: str):
    with pytest.raises(ValueError, match="such as 30 d"):
        read_age(text)


@pytest.mark.parametrize(
    ("duration", "words"),
    [
        (30 * DAY, "30 days"),
        (DAY, "1 day"),
        (timedelta(seconds=1_309_600), "1,309,600 s"),
        (DAY / 2, "12 hours"),
        (timedelta(minutes=90), "5,400 s"),
    ],
)
def test_how_long_rows_are_kept_is_said_exactly(duration: timedelta, words: str):
    assert as_kept(duration) == words
