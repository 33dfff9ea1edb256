from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from logs.path import EMPTY, REMOVED_MAX, STEPS_MAX, Step, steps
from tests.logs.records import record

MS = timedelta(milliseconds=1)


def row(received: datetime, *origin: Any, flags: str = "") -> dict[str, Any]:
    return record(at=received, flags=flags)._asdict() | {"id": 7, "origin": list(origin)}


def hop(name: str, received: datetime, sent: datetime, **more: Any) -> dict[str, Any]:
    told = {"bridge": f"{name}-id", "name": name, "received": received.isoformat(), "sent": sent.isoformat()}
    return told | more


def test_a_row_that_came_directly_took_no_way(now: datetime):
    assert steps(row(now)) == []


def test_each_bridge_is_told_with_how_long_it_took(now: datetime):
    first = hop("near", now, now + 1_200 * MS, peer="10.0.0.7")
    second = hop("middle", now + 1_300 * MS, now + 1_303 * MS)

    told = steps(row(now + 2_000 * MS, first, second))

    assert [(step.name, step.way, step.held) for step in told] == [
        ("near", "from 10.0.0.7", "lay there 1.2 s"),
        ("middle", "on the way 100 ms", "lay there 3 ms"),
        ("this bridge", "on the way 697 ms", ""),
    ]
    assert told[0].received == "2026-11-22T12:00:00.000Z"
    assert told[0].sent == "2026-11-22T12:00:01.200Z"


def test_clocks_that_differ_are_named_rather_than_believed(now: datetime):
    told = steps(row(now, hop("near", now, now + 2_000 * MS)))

    assert told[-1].way == "came 2.0 s before it was sent: the clocks differ"


def test_what_was_removed_is_told_where_it_was_removed(now: datetime):
    many = [f"extra.{number} masked" for number in range(REMOVED_MAX + 5)]
    told = steps(
        row(
            now,
            hop("near", now, now, redacted=["message hashed"]),
            hop("far", now, now, redacted=many),
            flags="redacted",
        )
    )

    assert told[0].removed == "removed before it left: message hashed"
    assert told[1].removed.endswith("extra.19 masked and 5 more")
    assert told[2].removed == ""


def test_that_something_was_removed_is_told_even_if_nobody_says_what(now: datetime):
    told = steps(row(now, hop("near", now, now), flags="cut redacted"))

    assert told[-1].removed == "something was removed on the way; where is not told"


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"name": None, "bridge": 7, "received": 1e300, "sent": [], "peer": {}, "redacted": "x"},
        {"name": "", "received": "yesterday", "sent": "0001-01-01T00:00:00+00:00", "redacted": [None, 7]},
        {"received": "2026-11-22T12:00:00", "sent": "9999-12-31T23:59:59-14:00"},
    ],
)
def test_an_origin_that_makes_no_sense_is_told_as_far_as_it_does(now: datetime, odd: dict[str, Any]):
    told = steps(row(now, odd, "no hop at all", 7))

    assert [step.name for step in told] == ["a bridge without a name", "this bridge"]
    assert (told[0].received, told[0].sent, told[0].held) == ("", "", "")


def test_what_bridges_say_is_bounded_and_inert(now: datetime):
    hostile = "\u202e<b>" + "x" * 10_000
    told = steps(row(now, *[hop(hostile, now, now, peer=hostile, redacted=[hostile])] * 100))

    assert len(told) == STEPS_MAX + 1
    assert told[0].name.startswith("⟦U+202E⟧<b>xxx")
    assert all(len(text) < 300 and "\u202e" not in text for text in told[0].as_dict().values())


def test_the_template_of_the_browser_has_every_value_of_a_step():
    assert EMPTY.as_dict().keys() == Step.__annotations__.keys()
