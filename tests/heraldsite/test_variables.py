"""What the environment may say, and how herald refuses the rest."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from heraldsite.settings.variables import Variables


def test_a_variable_set_to_nothing_counts_as_not_set():
    env = Variables({"A": "", "B": "  "})
    assert env.str("A", default="x") == "x"
    assert env.int("B", default=7) == 7
    assert env.bool("A", default=True) is True
    assert env.list("B", default=["x"]) == ["x"]


def test_a_text_is_taken_as_it_stands_even_where_it_looks_like_a_reference():
    assert Variables({"A": "$B", "B": "other"}).str("A", default="") == "$B"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("many", "PORT is 'many'; it must be a whole number"),
        ("9.5", "PORT is '9.5'; it must be a whole number"),
        ("-1", "PORT is -1; it must be from 0 to 65535"),
        ("65536", "PORT is 65536; it must be from 0 to 65535"),
    ],
)
def test_a_whole_number_is_one_and_within_its_bounds(text, reason):
    with pytest.raises(ImproperlyConfigured) as refusal:
        Variables({"PORT": text}).int("PORT", default=1, most=65_535)
    assert str(refusal.value) == reason


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "-0.1", "much"])
def test_a_number_is_finite_and_within_its_bounds(text):
    with pytest.raises(ImproperlyConfigured, match=r"^FREE is"):
        Variables({"FREE": text}).float("FREE", default=5)


@pytest.mark.parametrize(
    ("text", "meant"), [("on", True), ("Yes", True), ("1", True), ("OFF", False), ("false", False)]
)
def test_a_switch_understands_the_usual_words(text, meant):
    assert Variables({"A": text}).bool("A", default=not meant) is meant


def test_a_switch_refuses_a_word_it_does_not_know_rather_than_take_it_for_off():
    with pytest.raises(ImproperlyConfigured, match="A is 'maybe'; it must be on or off"):
        Variables({"A": "maybe"}).bool("A", default=True)


def test_a_choice_names_what_there_is():
    with pytest.raises(ImproperlyConfigured, match="LEVEL is 'LOUD'; it must be one of INFO, ERROR"):
        Variables({"LEVEL": "loud"}).choice("LEVEL", default="INFO", among=("INFO", "ERROR"))


def test_a_list_is_split_at_commas():
    assert Variables({"A": " a, b,,c "}).list("A", default=[]) == ["a", "b", "c"]
