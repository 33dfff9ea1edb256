from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from bridge import forward
from bridge.forward import Account, Following, Forwarding, Unfit, fitted, forwarders, lease
from bridge.journal import Journal
from bridge.models import BridgeId, Departure, Destination
from logs import tail
from logs.client import sender as line
from logs.client import wire
from logs.models import ReaderPosition
from logs.store import append
from logs.tail import Position
from tests.logs.records import record

pytestmark = pytest.mark.django_db(transaction=True)


def destination(**changes: Any) -> Destination:
    made = Destination(**{"name": "far", "host": "127.0.0.1", "port": 9, **changes})
    made.save()
    return made


def read(following: Following, times: int = 3) -> list[str]:
    return [each.row["message"] for _ in range(times) for each in following.next()]


def test_everything_after_a_position_follows_in_order():
    append([record(str(n)) for n in range(1_200)])
    following = Following(destination(), Position.START)

    assert read(following) == [str(n) for n in range(1_200)]
    assert following.position == tail.newest()


def test_rows_that_have_been_there_do_not_go_back():
    hops = json.dumps([{"bridge": "far-far-far"}])
    append(
        [record("own"), record("theirs")._replace(origin=hops), record("others")._replace(origin='[{"bridge": "x"}]')]
    )
    following = Following(destination(), Position.START)
    following.far_bridge = "far-far-far"

    assert read(following) == ["own", "others"]


def test_only_rows_that_fit_the_query_go():
    append([record(str(n), levelno=10 * (n % 5 + 1), system_id=f"s{n % 2}") for n in range(40)])
    following = Following(destination(query="level:>=ERROR system:S1"), Position.START)

    assert read(following) == [str(n) for n in range(40) if n % 5 >= 3 and n % 2 == 1]
    assert following.position == tail.newest()


def test_a_rate_is_kept():
    append([record(str(n)) for n in range(300)])
    following = Following(destination(rate=100), Position.START)
    begun = time.monotonic()
    seen = 0
    while seen < 250:
        seen += len(following.next())

    assert time.monotonic() - begun >= 1.4


def test_a_redacted_row_says_so():
    append([record("hello 0815", user_spec_1="0815"), record("plain")])
    following = Following(destination(hashed="user1"), Position.START)
    first, second = following.next()

    assert first.redacted == ["user_spec_1 hashed", "message scrubbed"]
    assert first.row["flags"] == "redacted"
    assert (second.redacted, second.row["flags"]) == ([], "")


@pytest.mark.parametrize(
    ("changes", "field", "text"),
    [
        ({"kind": "pigeon"}, "kind", "only herald, ps_bridge, stock"),
        ({"port": 9010}, "port", "is this bridge itself"),
        ({"dropped": "colour"}, "dropped", "colour"),
        ({"name": "a b"}, "name", "letters, digits"),
        ({"port": 70_000}, "port", "65535"),
        ({"level": 101}, "level", "100"),
        ({"query": "level:>=EROR"}, "query", "EROR"),
        ({"query": "(a OR b"}, "query", "At character 1"),
        ({"query": "time:>now-15m"}, "query", "cannot speak of now"),
        ({"tls": True, "tls_ca": "/nowhere"}, "tls_ca", "there is no file"),
    ],
)
def test_a_destination_that_makes_no_sense_is_refused_in_words(
    settings, changes: dict[str, Any], field: str, text: str
):
    settings.BRIDGE_PORT = 9010
    with pytest.raises(ValidationError) as caught:
        forward.check(Destination(**{"name": "far", "host": "localhost", "port": 9, **changes}))

    assert text in " ".join(caught.value.message_dict[field])


def test_a_stored_policy_that_makes_no_sense_stops_its_destination_and_nothing_else():
    with pytest.raises(Unfit, match="colour"):
        Following(destination(masked="colour"), Position.START)


@pytest.mark.parametrize("limit", [3_000, 20_000, 100_000])
def test_a_row_is_cut_to_what_the_far_end_takes(limit: int):
    row = {**record("m" * 60_000)._asdict(), "extra": {"k": "v" * 9_000}, "origin": [], "exc_text": "é" * 30_000}
    payload = fitted(row, {"bridge": "b"}, limit)

    assert len(payload) <= max(limit, 6_000)
    assert json.loads(payload)["flags"] == "cut"


def test_what_stands_is_written_and_booked(now: datetime):
    append([record(str(n)) for n in range(5)])
    far = destination(far_bridge="f" * 32)
    account = Account(far, Journal("here"))
    middle = tail.read_after(Position.START, 3).position
    account.state(line.CONNECTED, "")
    account.left(3, 300, 1)
    account.rejected(wire.Ack((0, 3), (wire.Rejection((0, 2), "not a record", "no"),), 4))
    account.save(middle, now=True)
    account.left(1, 50, 0)
    account.save(middle, now=True)
    far.refresh_from_db()

    assert (far.state, far.rows, far.rejected, far.waiting) == ("connected", 4, 5, 2)
    assert tail.load_position(far.reader) == middle
    left = Departure.objects.get()
    assert (left.destination, left.rows, left.bytes, left.redacted) == ("far", 4, 350, 1)


def test_trouble_is_told_once_and_so_is_its_end():
    journal = Journal("here", forward.SYSTEM)
    account = Account(destination(), journal)
    for state, text in (("unreachable", "refused"), ("connecting", ""), ("unreachable", "refused"), ("connected", "")):
        account.state(state, text)
    told = [row.message for row in journal.take()]

    assert told == ["destination far: refused; rows for it wait", "destination far is back after 0 s"]


def test_a_destination_is_waited_for_from_its_making_until_its_removal():
    append([record()])
    made = Destination(name="far", host="127.0.0.1", port=9)
    forward.begin(made)
    made.save()
    reader = ReaderPosition.objects.get()
    assert Position.parse(reader.position) == tail.newest()
    Destination.objects.all().delete()

    assert not ReaderPosition.objects.exists()


def test_one_of_several_bridges_forwards_and_another_takes_over_when_it_is_gone():
    far = destination()
    now = datetime.now(UTC)
    second = timedelta(seconds=1)

    assert lease(far.pk, "one", now)
    assert not lease(far.pk, "two", now + 14 * second)
    assert lease(far.pk, "one", now + 14 * second)
    assert not lease(far.pk, "two", now + 28 * second)
    assert lease(far.pk, "two", now + 30 * second)
    assert not lease(far.pk, "one", now + 31 * second)


def test_a_kind_that_is_not_there_is_said_and_others_go_on():
    destination(name="strange", kind="pigeon")
    forwarding = Forwarding("one", Journal("here"))
    forwarding.look()

    assert "only herald" in Destination.objects.get().state_text


class Pigeon(forward.Forwarder):
    """A kind of destination that a plugin adds."""

    flown: list[str] = []

    def forward(self) -> None:
        following = Following(self.destination, self.position())
        while not self.stopping.wait(0.01):
            self.flown += [each.row["message"] for each in following.next()]
            self.account.save(following.position)


def test_a_plugin_adds_a_kind():
    forwarders.register("pigeon")(Pigeon)
    try:
        append([record("coo")])
        destination(kind="pigeon")
        forwarding = Forwarding("one", Journal("here"))
        assert forwarding.look() == 1
        deadline = time.monotonic() + 60
        while not Pigeon.flown and time.monotonic() < deadline:
            time.sleep(0.01)
        forwarding.stop(1.0)
    finally:
        forwarders._parts.pop("pigeon")

    assert Pigeon.flown == ["coo"]


def test_a_name_is_taken_once():
    with pytest.raises(ValueError, match="there is a kind of destination 'herald' already"):
        forwarders.register("herald")(Pigeon)


def test_a_bridge_keeps_its_id():
    assert BridgeId.own() == BridgeId.own()
    assert len(BridgeId.own()) == 32
