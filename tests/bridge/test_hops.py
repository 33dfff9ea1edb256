from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from bridge import hops
from bridge.hops import Heard, Hops, HopState, state_of
from bridge.models import Hop
from logs.client import wire
from logs.models import HeartBeat

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("connected", "goodbye", "beat", "row", "state"),
    [
        (True, False, 0, 0, HopState.UP),
        (True, False, 95, 300, HopState.UP),
        (True, False, 95, 301, HopState.QUIET),
        (True, False, 30, None, HopState.QUIET),
        (True, False, 96, 0, HopState.SILENT),
        (True, False, None, None, HopState.SILENT),
        (False, False, 0, 0, HopState.GONE),
        (False, True, 0, 0, HopState.STOPPED),
    ],
)
def test_the_state_of_a_bridge_is_told_by_its_connection_its_beats_and_its_rows(
    now: datetime, connected: bool, goodbye: bool, beat: int | None, row: int | None, state: HopState
):
    hop = Hop(
        connected=connected,
        said_goodbye=goodbye,
        newest_beat=None if beat is None else now - beat * SECOND,
        newest_row=None if row is None else now - row * SECOND,
    )
    assert state_of(hop, now) is state


@pytest.mark.parametrize(("beat", "state"), [(285, HopState.QUIET), (286, HopState.SILENT)])
def test_a_bridge_behind_others_has_the_time_that_its_beats_take_through_them(
    now: datetime, beat: int, state: HopState
):
    assert state_of(Hop(connected=True, via="middle", newest_beat=now - beat * SECOND), now) is state


def heard(**changes: Any) -> Heard:
    return Heard(**{"bridge": "b" * 32, "name": "near", "peer": "10.0.0.1", "level": 50, **changes})


def test_a_row_s_way_is_timed_with_the_clocks_set_right(now: datetime):
    bridge = heard()
    # Its clock is 10 s ahead of ours: it found that ours is 10 s behind.
    bridge.beat({"herald": "beat", "clock_offset": -10.0}, now)
    sent = now + 10 * SECOND - 2 * SECOND
    bridge.row([{"received": (sent - 5 * SECOND).isoformat(), "sent": sent.isoformat()}], now)

    assert bridge.clock_offset == 10.0
    assert bridge.transit == pytest.approx(2.0)
    assert bridge.held == pytest.approx(5.0)


@pytest.mark.parametrize(
    "told",
    [
        {"started": "yesterday", "waiting": -1, "clock_offset": "much", "behind": "nobody"},
        {"started": 7, "waiting": True, "clock_offset": True, "behind": [7, {}, {"bridge": 5}, {"bridge": "x"}]},
        {"started": "0001-01-01T00:00:00", "waiting": 2**60, "clock_offset": 1e12},
    ],
)
def test_nonsense_in_a_beat_is_left(now: datetime, told: dict[str, Any]):
    bridge = heard()
    bridge.beat(told, now)

    assert (bridge.started, bridge.waiting, bridge.clock_offset, bridge.behind) == (None, 0, None, {})
    assert bridge.newest_beat == now


def hello(bridge: str, name: str = "near") -> wire.Hello:
    return wire.Hello("a sender", name=name, kind="bridge", bridge=bridge, level=30)


@pytest.mark.django_db
def test_what_is_heard_is_written_and_a_beat_is_a_sign_of_life(now: datetime):
    known = Hops()
    bridge = known.hear(hello("b" * 32), "10.0.0.1")
    bridge.beat({"waiting": 7, "started": now.isoformat()}, now)
    known.save("own")
    hop = Hop.objects.get()

    assert (hop.name, hop.level, hop.connected, hop.waiting, hop.newest_beat) == ("near", 30, True, 7, now)
    assert HeartBeat.objects.get(system_id=hops.BEAT_SYSTEM).sub_system_id == "near"

    known.leave(bridge)
    bridge.beat({"bye": True}, now + SECOND)
    known.save("own")
    hop.refresh_from_db()
    assert (hop.connected, hop.said_goodbye) == (False, True)


@pytest.mark.django_db
def test_what_a_process_has_not_heard_yet_stays_as_the_one_before_heard_it(now: datetime):
    before = Hops()
    before.hear(hello("b" * 32), "10.0.0.1").beat({}, now)
    before.save("own")
    after = Hops()
    after.hear(hello("b" * 32), "10.0.0.1")
    after.save("own")

    assert Hop.objects.get().newest_beat == now


@pytest.mark.django_db
def test_those_behind_a_bridge_are_known_through_it_and_never_over_what_is_heard_here(now: datetime):
    known = Hops()
    middle = known.hear(hello("m" * 32, "middle"), "10.0.0.1")
    known.hear(hello("s" * 32, "side"), "10.0.0.2")
    behind = [
        {"bridge": "n" * 32, "name": "near", "connected": True, "newest_beat": now.isoformat()},
        {"bridge": "s" * 32, "name": "a liar", "connected": False},
        {"bridge": "own-own-own", "name": "we ourselves"},
    ]
    middle.beat({"behind": behind}, now)
    known.save("own-own-own")

    assert dict(Hop.objects.values_list("name", "via")) == {"middle": "", "side": "", "near": "middle"}
    assert Hop.objects.get(name="near").newest_beat == now
    assert [told["name"] for told in hops.told_behind(now)] == ["middle", "near"] or len(hops.told_behind(now)) == 2


@pytest.mark.django_db
def test_at_a_start_nobody_is_connected(now: datetime):
    Hops().hear(hello("b" * 32), "10.0.0.1")
    known = Hops()
    known.hear(hello("b" * 32), "10.0.0.1")
    known.save("own")
    hops.forget_connections()

    assert not Hop.objects.get().connected


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["🙂" * 200, "Zürich " * 28, "\x1b" * 200])
def test_whatever_a_bridge_is_called_it_fits_its_column(now: datetime, name: str):
    known = Hops()
    heard = known.hear(hello("b" * 32, name), "10.0.0.7")
    heard.beat({"behind": [{"bridge": "c" * 32, "name": name, "newest_beat": now.isoformat()}]}, now)
    known.save("own")

    assert [len(hop.name) <= 200 for hop in Hop.objects.all()] == [True, True]


@pytest.mark.django_db
@pytest.mark.parametrize("bridge", ["\0" * 8, "short", "x" * 65, "ümlaut-ümlaut", 7, None, "two words", "line\nend!"])
def test_what_is_no_id_of_a_bridge_is_not_kept(now: datetime, bridge: object):
    known = Hops()
    known.hear(hello("b" * 32), "10.0.0.7").beat({"behind": [{"bridge": bridge, "name": "x"}]}, now)
    known.save("own")

    assert [hop.name for hop in Hop.objects.all()] == ["near"]
