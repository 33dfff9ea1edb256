from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from bridge import health
from bridge.health import Tone
from bridge.models import Destination, Hop
from logs.client import sender as line

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


def destination(now: datetime, **fields: Any) -> Destination:
    given: dict[str, Any] = {"state": line.CONNECTED, "newest_row": now, "updated": now, "held_until": now + 9 * SECOND}
    return Destination(name="far", host="10.0.0.1", port=9017, **given | fields)


@pytest.mark.parametrize(
    ("fields", "word", "tone"),
    [
        ({}, "connected", Tone.GOOD),
        ({"newest_row": -6 * MINUTE}, "quiet", Tone.GOOD),
        ({"newest_row": -5 * MINUTE}, "connected", Tone.GOOD),
        ({"newest_row": None}, "quiet", Tone.GOOD),
        ({"newest_row": -6 * MINUTE, "waiting": 3}, "connected", Tone.GOOD),
        ({"state": line.UNREACHABLE}, "tunnel down", Tone.ERROR),
        ({"state": line.SILENT}, "bridge down", Tone.ERROR),
        ({"state": line.REFUSED}, "refused", Tone.ERROR),
        ({"state": line.LOST}, "lost", Tone.WARNING),
        ({"state": ""}, "starting", Tone.CALM),
        ({"state": line.CONNECTED, "enabled": False}, "paused", Tone.CALM),
        ({"held_until": None, "updated": None}, "not started", Tone.WARNING),
        ({"held_until": None}, "no bridge forwards", Tone.ERROR),
        ({"held_until": -SECOND}, "no bridge forwards", Tone.ERROR),
        ({"updated": -61 * SECOND}, "no bridge forwards", Tone.ERROR),
        ({"updated": -60 * SECOND}, "connected", Tone.GOOD),
        # A forwarder that cannot begin says so once.
        ({"state": line.REFUSED, "updated": -timedelta(days=2)}, "refused", Tone.ERROR),
    ],
)
def test_a_destination_has_one_word_for_how_it_is(now: datetime, fields: dict[str, Any], word: str, tone: Tone):
    moments = {name: now + value if isinstance(value, timedelta) else value for name, value in fields.items()}
    found = health.of_destination(destination(now, **moments), now)

    assert (found.word, found.tone) == (word, tone)
    assert found.sentence.endswith((".", "`."))


def test_tunnel_down_and_bridge_down_say_where_to_look(now: datetime):
    tunnel = health.of_destination(destination(now, state=line.UNREACHABLE), now).sentence
    bridge = health.of_destination(destination(now, state=line.SILENT), now).sentence

    assert "Nothing accepts connections at 10.0.0.1:9017" in tunnel
    assert "whether the tunnel stands" in tunnel
    assert "no herald answers" in bridge
    assert "whether the bridge behind it runs" in bridge


def test_a_refusal_is_told_as_the_other_side_said_it_and_is_inert(now: datetime):
    said = "it refused: \u202ethese credentials are not accepted here"
    sentence = health.of_destination(destination(now, state=line.REFUSED, state_text=said), now).sentence

    assert "⟦U+202E⟧these credentials are not accepted here." in sentence


def test_a_destination_that_is_behind_says_so(now: datetime):
    behind = destination(now, waiting=90_000, lag_seconds=600)

    assert health.of_destination(behind, now).sentence.endswith("the next one has waited for 10 min.")
    assert "as they come" in health.of_destination(destination(now, waiting=3, lag_seconds=2), now).sentence


def hop(now: datetime, **fields: Any) -> Hop:
    given: dict[str, Any] = {"connected": True, "newest_beat": now, "newest_row": now}
    return Hop(bridge="b" * 32, name="branch", **given | fields)


@pytest.mark.parametrize(
    ("fields", "word", "says"),
    [
        ({}, "up", "sends rows"),
        ({"newest_row": -6 * MINUTE}, "quiet", "the site there is quiet"),
        ({"newest_row": None}, "quiet", "no row has come"),
        ({"newest_beat": -96 * SECOND}, "silent", "it hangs, or the way is blocked"),
        ({"connected": False}, "gone", "whether the tunnel stands"),
        ({"connected": False, "said_goodbye": True}, "stopped", "said goodbye"),
    ],
)
def test_an_incoming_bridge_has_a_word_and_what_to_look_at(now: datetime, fields: dict[str, Any], word: str, says: str):
    moments = {name: now + value if isinstance(value, timedelta) else value for name, value in fields.items()}
    found = health.of_hop(hop(now, **moments), now)

    assert found.word == word
    assert says in found.sentence


def test_bridges_behind_others_follow_those_through_whom_they_are_heard(now: datetime):
    hops = [
        Hop(bridge="1", name="north", newest_beat=now, connected=True),
        Hop(bridge="2", name="east", newest_beat=now, connected=False),
        Hop(bridge="3", name="till-1", via="north", newest_beat=now, newest_row=now, connected=True),
        Hop(bridge="4", name="till-2", via="east", newest_beat=now, newest_row=now, connected=True),
        Hop(bridge="5", name="orphan", via="renamed", newest_beat=now, newest_row=now, connected=True),
    ]

    told = [(each.name, each.depth, each.health.word) for each in health.incoming(hops, now)]

    assert told == [
        ("east", 0, "gone"),
        ("till-2", 1, "unknown"),
        ("north", 0, "quiet"),
        ("till-1", 1, "up"),
        ("orphan", 1, "up"),
    ]


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (None, ""),
        (0.04, "its clock agrees with ours"),
        (2.14, "its clock is 2.1 s ahead"),
        (-0.5, "its clock is 500 ms behind"),
        (-7_300, "its clock is 2 h behind"),
        (9.9e14, "its clock is 1,157,407 d ahead"),
    ],
)
def test_a_clock_over_there_is_told_in_words(ahead: float | None, words: str):
    assert health.clock_in_words(ahead) == words


@pytest.mark.parametrize(
    ("held", "transit", "words"),
    [
        (1.2, 0.1, "lay there 1.2 s, on the way 100 ms"),
        (None, 0.1, "on the way 100 ms"),
        (0.0031, -0.2, "lay there 3 ms, on the way 0 ms"),
        (None, None, ""),
    ],
)
def test_the_lag_of_a_hop_is_told_in_words(held: float | None, transit: float | None, words: str):
    assert health.way_in_words(held, transit) == words


def test_what_waits_and_what_is_removed_is_told_in_words(now: datetime):
    removing = destination(now, dropped="exc_text\nextra.card", masked="message, user_spec_1", hashed="")

    assert health.lag_in_words(0, 0) == "none"
    assert health.lag_in_words(12_345, 130) == "12,345, the oldest for 2 min"
    assert health.removed_in_words(removing) == [
        *("exc_text dropped", "extra.card dropped", "message masked", "user_spec_1 masked"),
    ]
