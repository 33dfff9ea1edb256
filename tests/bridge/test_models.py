from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from bridge.models import check_systems


@pytest.mark.parametrize("text", ["*", "shop.*", "shop.orders\n till \n\n*", "x" * 200, "Kasse Süd".replace(" ", "-")])
def test_systems_are_ids_beginnings_with_a_star_or_any(text: str):
    check_systems(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("good\nshop orders", "Line 2: one system id a line, without spaces in it."),
        ("sh*op", "Line 1: a star stands at the end"),
        ("**", "Line 1: a star stands at the end"),
        ("x" * 201, "Line 1: a system id has 200 characters at most."),
        ("till\u202e", "Line 1: a system id has no invisible characters here."),
    ],
)
def test_what_cannot_be_a_system_id_is_told_by_its_line(text: str, says: str):
    with pytest.raises(ValidationError) as found:
        check_systems(text)

    assert found.value.messages[0].startswith(says)
