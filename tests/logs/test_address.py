from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from django.http import QueryDict
from hypothesis import given
from hypothesis import strategies as st

from logs.address import AddressError, Asked, Cursor

HOUR = timedelta(hours=1)


def test_an_address_reads_back_what_it_wrote(now: datetime):
    given = Asked(text='50 % & more system:"a=b" +café', since=now - HOUR, until=now)

    assert Asked.parse(QueryDict(given.to_querystring()).dict()) == given


def test_a_quick_range_stays_one_in_the_address(now: datetime):
    asked = Asked.parse({"last": "1h"})

    assert asked.to_querystring(before=7, after=None) == "last=1h&before=7"
    assert str(asked.query(now)) == "time ≥ now-1h (2026-11-22 11:00:00 UTC)"
    assert asked.query(now).is_relative
    assert not Asked(since=now).query(now).is_relative


def test_nothing_given_asks_for_everything(now: datetime):
    asked = Asked.parse({"q": "  ", "text": " ", "level": "", "before": "7", "limit": "5"})

    assert asked == Asked()
    assert str(asked.query(now)) == "everything"


@pytest.mark.parametrize(
    ("data", "text", "read"),
    [
        ({"text": "50 % OR"}, '"50 % OR"', 'text contains "50 % OR"'),
        ({"text": "a*b"}, '"a*b"', 'text contains "a*b"'),
        ({"level": "error"}, "level:>=ERROR", "level ≥ ERROR"),
        ({"level": "35"}, "level:>=35", "level ≥ 35"),
        ({"level": "NOTSET"}, "level:>=NOTSET", "level ≥ NOTSET"),
        (
            {"system_id": "shop", "sub_system_id": "web 1"},
            'system:"shop" host:"web 1"',
            'system = shop and host = "web 1"',
        ),
        ({"produkt_id": "a:b", "user_spec_1": "*"}, None, 'product = a:b and user1 = "*"'),
        ({"level": "ERROR", "q": "a OR b"}, None, 'level ≥ ERROR and (text contains "a" or text contains "b")'),
        ({"level": "ERROR", "q": "a: b ("}, None, 'level ≥ ERROR and text contains "a: b ("'),
        ({"q": "a: b ("}, "a: b (", 'text contains "a: b ("'),
        ({"q": "system:shop"}, "system:shop", "system = shop"),
    ],
)
def test_every_parameter_is_part_of_the_query(data: dict[str, str], text: str | None, read: str, now: datetime):
    asked = Asked.parse(data)

    assert str(asked.query(now)) == read
    assert text is None or asked.text == text
    assert Asked.parse(asked.parameters()) == asked


def test_a_time_without_zone_is_utc():
    moment = datetime(2026, 11, 22, 14, 3, tzinfo=UTC)

    assert Asked.parse({"since": "2026-11-22T14:03"}).since == moment
    assert Asked.parse({"since": "2026-11-22T15:03+01:00"}).since == moment


def test_a_time_goes_up_to_but_not_including_its_end(now: datetime):
    matches = Asked(since=now, until=now + HOUR).query(now).to_predicate()

    assert [matches({"created": now + moment}) for moment in (-HOUR, 0 * HOUR, HOUR)] == [False, True, False]


@pytest.mark.parametrize(
    ("given", "about", "says"),
    [
        ({"level": "LOUD"}, "level", "choose one of NOTSET, DEBUG"),
        ({"level": "-1"}, "level", "is not known"),
        ({"level": "٣"}, "level", "is not known"),
        ({"last": "2y"}, "last", "15m, 1h"),
        ({"since": "yesterday"}, "since", "such as 2026-11-22T14:03"),
        ({"until": "0001-01-01T00:00+14:00"}, "until", "is not a date"),
        ({"since": "2026-11-22", "until": "2026-11-21"}, "since", "must be before"),
        ({"last": "1h", "since": "2026-11-22"}, "last", "not both"),
        ({"text": "x" * 1_001}, "text", "at most 1,000"),
        ({"text": "a\0b"}, "text", "NUL"),
        ({"q": "a\0b"}, "q", "NUL"),
        ({"q": "x" * 4_097}, "q", "at most 4,096"),
        ({"system_id": "s" * 201}, "system_id", "at most 200"),
        ({"text": '"' * 900, "q": "x" * 3_000}, "q", "at most 4,096"),
        ({"sytem_id": "shop"}, "sytem_id", "there are q, last, since, until, text, level, system_id"),
    ],
)
def test_what_cannot_be_understood_is_said(given: dict[str, str], about: str, says: str):
    with pytest.raises(AddressError) as caught:
        Asked.parse(given)

    assert says in caught.value.errors[about]


def test_every_fault_is_named_at_once():
    with pytest.raises(AddressError) as caught:
        Asked.parse({"level": "LOUD", "colour": "red"})

    assert caught.value.errors.keys() == {"level", "colour"}


@pytest.mark.parametrize(
    "given",
    [
        {"before": "x"},
        {"before": "0"},
        {"after": "9" * 20},
        {"before": "1", "after": "2"},
        {"limit": "1001"},
        {"sort": "x"},
    ],
)
def test_a_page_that_is_none_is_refused(given: dict[str, str]):
    with pytest.raises(AddressError):
        Cursor.parse(given)


@given(st.dictionaries(st.sampled_from(["q", "text", "level", "last", "since", "until", "system_id", "x"]), st.text()))
def test_any_address_is_understood_or_an_address_error(data: dict[str, str]):
    now = datetime(2026, 11, 22, tzinfo=UTC)
    with suppress(AddressError):
        asked = Asked.parse(data)
        assert Asked.parse(asked.parameters()) == asked
        assert asked.query(now).to_predicate() is not None
