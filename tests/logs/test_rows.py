from __future__ import annotations

import unicodedata
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logs.details import DETAIL_MAX, details
from logs.rows import LINE_MAX, Line, empty_line, in_words, inert, line, precisely
from logs.templatetags.logs import codes
from tests.logs.records import record

MINUTE = timedelta(minutes=1)


def row(**fields: Any) -> dict[str, Any]:
    return record(**fields)._asdict() | {"id": 7, "extra": fields.get("extra", {}), "origin": []}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Jürgen Ольга 漢字 علي 🙂", "Jürgen Ольга 漢字 علي 🙂"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("windows\r\nline", "windows\nline"),
        ("over\rwritten", "over⟦U+000D⟧written"),
        ("\x1b[31mred\x1b[0m", "⟦U+001B⟧[31mred⟦U+001B⟧[0m"),
        ("bell\a", "bell⟦U+0007⟧"),
        ("user\u202egpj.exe", "user⟦U+202E⟧gpj.exe"),
        ("ad\u200bmin", "ad⟦U+200B⟧min"),
        ("line\u2028separator", "line⟦U+2028⟧separator"),
        ("tag\U000e0041", "tag⟦U+E0041⟧"),
        ("⟦U+202E⟧", "⟦U+27E6⟧U+202E⟦U+27E7⟧"),
    ],
)
def test_what_hides_is_shown_and_what_can_be_read_is_left_alone(text: str, shown: str):
    assert inert(text) == shown


@given(st.text())
def test_nothing_invisible_is_left(text: str):
    left = {unicodedata.category(character) for character in inert(text)} & {"Cc", "Cf", "Cs", "Zl", "Zp"}

    assert left <= {"Cc"}
    assert not set(inert(text)) & {chr(code) for code in range(32) if chr(code) not in "\t\n"}


def test_codes_are_set_apart_and_everything_is_escaped():
    assert codes("<b>⟦U+202E⟧</b>") == '&lt;b&gt;<span class="code">⟦U+202E⟧</span>&lt;/b&gt;'


@pytest.mark.parametrize(
    ("delay", "late"),
    [
        (timedelta(0), ""),
        (timedelta(seconds=59), ""),
        (timedelta(seconds=60), "late by 1 min"),
        (timedelta(hours=3, minutes=59), "late by 3 h"),
        (timedelta(days=2), "late by 2 d"),
        (timedelta(seconds=-59), ""),
        (timedelta(minutes=-5), "clock ahead by 5 min"),
    ],
)
def test_a_row_that_came_late_says_so(now: datetime, delay: timedelta, late: str):
    assert line(row(created=now, received=now + delay))["late"] == late


@pytest.mark.parametrize(
    ("levelno", "severity"),
    [(-1, "debug"), (10, "debug"), (20, "info"), (35, "warning"), (40, "error"), (99, "critical")],
)
def test_every_level_number_has_a_severity(levelno: int, severity: str):
    assert line(row(levelno=levelno))["severity"] == severity


def test_ids_that_old_clients_did_not_set_are_not_shown():
    shown = line(row(system_id="shop", sub_system_id="None", package_version="undef"))

    assert (shown["system"], shown["host"], shown["version"]) == ("shop", "", "")


def test_a_traceback_is_folded_to_its_last_line():
    shown = line(row(exc_text='Traceback (most recent call last):\n  File "x"\nValueError: no\n'))

    assert shown["trace"] == "ValueError: no (3 lines)"


def test_a_long_message_is_cut_in_the_table_and_in_the_details_and_whole_on_its_page():
    long = row(message="x" * 300_000)

    assert len(line(long)["message"]) == LINE_MAX + 1
    cut = next(detail for detail in details(long) if detail.name == "message")
    assert (cut.cut, len(cut.text)) == (True, DETAIL_MAX + 1)
    whole = next(detail for detail in details(long, limit=None) if detail.name == "message")
    assert (whole.cut, len(whole.text)) == (False, 300_000)


def test_the_details_hold_every_column_that_holds_something():
    found = {detail.name: detail for detail in details(row(lineno=0, extra={"b": [1], "a": "\u202e"}, system_id="a&b"))}

    assert found["lineno"].text == "0"
    assert '"a": "⟦U+202E⟧"' in found["extra"].text
    assert found["system_id"].include == "?q=system%3A%22a%26b%22"
    assert found["system_id"].exclude == "?q=-system%3A%22a%26b%22"
    assert found["lineno"].include == "?q=line%3A%220%22"
    assert found["extra"].include == found["id"].include == found["created"].include == ""
    assert not {"exc_text", "process", "origin", "taskname"} & found.keys()


def test_the_template_of_the_browser_has_every_field_of_a_line():
    assert empty_line().keys() == line(row()).keys() == Line.__annotations__.keys()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 ms"), (0.0014, "1 ms"), (0.9994, "999 ms"), (0.9996, "1.0 s"), (59.94, "59.9 s"), (59.96, "1 min")],
)
def test_short_durations_are_said_precisely(seconds: float, words: str):
    assert precisely(timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (7_200, "2 h"), (86_400 * 1_500, "1,500 d")]
)
def test_durations_are_said_in_their_largest_unit(seconds: float, words: str):
    assert in_words(timedelta(seconds=seconds)) == words
