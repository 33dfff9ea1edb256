from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from logs.query import fold


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("Ü", "ü", True),
        ("Ж", "ж", True),
        ("Σ", "σ", True),  # noqa: RUF001
        ("İ", "i", False),
        ("ß", "ss", False),
        ("\u212a", "k", False),
    ],
)
def test_case_is_that_of_single_letters(one: str, other: str, equal: bool):
    assert (fold(one) == fold(other)) is equal


@given(st.text())
@example("ΟΔΟΣ ς Σ")
@example("İ Ǆ ǅ \u212a ẞ")
def test_folding_keeps_every_character_in_its_place(text: str):
    assert [fold(character) for character in text] == list(fold(text))
