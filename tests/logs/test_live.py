from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser, Group
from django.db import connection
from django.test import Client

from heraldsite.accounts import MUST_CHANGE_PASSWORD
from heraldsite.asgi import application
from logs import live
from logs.address import Asked
from logs.live import FRAME, WINDOW, Encoded, Follower, View, Watcher, catch_up, follower, frames, poll
from logs.query import parse
from logs.search import visible_to
from logs.store import append
from logs.tail import Position, newest
from tests.logs.records import record

ALL = View(visible_to(AnonymousUser()), parse("").condition)
ERRORS = View(visible_to(AnonymousUser()), parse("level:>=ERROR").condition)
PLACE = Position(1, 9)


def rows_of(size: int, number: int) -> list[Encoded]:
    return [Encoded(identity, '"' + "x" * (size - 2) + '"', size) for identity in range(1, number + 1)]


# --- Frames and the window -------------------------------------------------------------------------------------------


def test_rows_that_fit_go_in_one_frame_that_moves_the_position():
    (only,) = frames(rows_of(100, 3), PLACE, count(7))

    sent = json.loads(only.text)
    assert (sent["type"], sent["number"], sent["position"], len(sent["rows"])) == ("rows", 7, str(PLACE), 3)


def test_many_rows_go_in_several_frames_and_only_the_last_moves_the_position():
    found = list(frames(rows_of(FRAME // 4, 10), PLACE, count(1)))

    assert [len(each.rows) for each in found] == [4, 4, 2]
    assert [json.loads(each.text).get("position") for each in found] == [None, None, str(PLACE)]
    assert [json.loads(each.text)["number"] for each in found] == [1, 2, 3]


def test_no_rows_are_no_frame():
    assert list(frames([], PLACE, count(1))) == []


async def nothing(*_: Any) -> None:
    return None


def a_watcher() -> Watcher:
    return Watcher(ALL, None, nothing, nothing)


def outbox(watcher: Watcher) -> list[dict[str, Any]]:
    found = []
    while not watcher._outbox.empty():
        found.append(json.loads(watcher._outbox.get_nowait() or "null"))
    return found


def test_a_browser_that_acknowledges_gets_everything():
    watcher = a_watcher()
    for each in frames(rows_of(FRAME // 2, 100), PLACE, count(1)):
        watcher.offer(each)
        watcher.acknowledge(each.number)

    assert sum(len(sent["rows"]) for sent in outbox(watcher)) == 100


def test_a_browser_that_has_stalled_costs_a_window_and_a_frame():
    watcher = a_watcher()
    for each in frames(rows_of(1_000, 10_000), PLACE, count(1)):
        watcher.offer(each)
    for _ in range(1_000):
        watcher.tick(0, live.frame("tick"))
        watcher.tell(live.frame("broken"))

    held = sum(len(text or "") for text in watcher._outbox._queue)  # type: ignore[attr-defined, misc]
    assert WINDOW / 2 < held < WINDOW + 2 * FRAME < 1_000_000


def test_a_row_is_measured_in_bytes_and_sent_without_what_is_empty():
    row = record("日本")._asdict() | {"id": 7}

    encoded = live.encode(row)

    assert encoded.size == len(encoded.text.encode()) > len(encoded.text)
    assert "trace" not in json.loads(encoded.text)


def test_what_a_slow_browser_missed_is_counted_and_can_be_found():
    watcher = a_watcher()
    sent = list(frames(rows_of(FRAME // 2, 40), PLACE, count(1)))
    for each in sent:
        watcher.offer(each)
    got = sum(len(message["rows"]) for message in outbox(watcher))

    watcher.acknowledge(sent[0].number)
    assert outbox(watcher) == []
    watcher.acknowledge(sent[-1].number)

    assert outbox(watcher) == [{"type": "skipped", "count": 40 - got, "before": 41}]
    watcher.offer(next(frames(rows_of(100, 1), PLACE, count(99))))
    assert len(outbox(watcher)) == 1


# --- Reading the tail --------------------------------------------------------------------------------------------------

stored = pytest.mark.django_db(transaction=True)


@stored
def test_one_reading_sorts_the_rows_for_every_view():
    start = newest()
    append([record("calm"), record("bad", levelno=40, levelname="ERROR")])

    polled = poll(start, [ALL, ERRORS])

    assert [json.loads(row.text)["message"] for row in polled.rows[ALL]] == ["calm", "bad"]
    assert [json.loads(row.text)["message"] for row in polled.rows[ERRORS]] == ["bad"]
    assert polled.rows[ALL][1] is polled.rows[ERRORS][0]


def a_view(now: datetime, **asked: Any) -> View:
    return View.of(visible_to(AnonymousUser()), Asked(**asked), now)


def test_equal_queries_are_one_view_however_they_are_written(now: datetime):
    assert a_view(now, text="level:>=ERROR  system:shop") == a_view(now, text="level:>=40 AND system:shop")
    assert a_view(now, text="a") != a_view(now, text="b")
    assert a_view(now, last="1h") == a_view(now + timedelta(minutes=5), last="1h")


@pytest.mark.parametrize("asked", [{"text": "time:>now-1h"}, {"last": "1h"}])
def test_a_query_that_names_the_present_is_read_anew(asked: dict[str, str], now: datetime):
    view = a_view(now, **asked)
    row = record(at=now)._asdict()

    assert view.shows(now + timedelta(minutes=59))(row)
    assert not view.shows(now + timedelta(minutes=61))(row)


@stored
def test_a_reading_goes_on_where_the_one_before_ended(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(live, "CHUNK", 3)
    start = newest()
    append([record(str(number)) for number in range(60)])

    seen: list[str] = []
    while True:
        polled = poll(start, [ALL])
        seen += [json.loads(row.text)["message"] for row in polled.rows.get(ALL, [])]
        start = polled.position
        if not polled.more:
            break

    assert seen == [str(number) for number in range(60)]


@stored
def test_a_follower_far_behind_skips_to_the_newest_row_and_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(live, "CHUNK", 3)
    monkeypatch.setattr(live, "BEHIND", -live.BEHIND)
    start = newest()
    append([record(str(number)) for number in range(60)])

    polled = poll(start, [ALL])

    assert (polled.skipped, polled.rows, polled.position) == (True, {}, newest())


@stored
def test_catching_up_brings_what_lies_between_and_names_what_comes_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(live, "CHUNK", 4)
    append([record("before")])
    start = newest()
    append([record(str(number)) for number in range(6)])
    end = newest()
    append([record("after")])

    polled = catch_up(start, end, ALL)

    got = [json.loads(row.text)["message"] for row in polled.rows[ALL]]
    assert got == ["0", "1", "2", "3", "4", "5", "after"]
    assert polled.position > end
    assert polled.rows[ALL][-1].id in polled.ids


@stored
def test_catching_up_on_too_much_is_a_declared_skip(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(live, "CATCH_UP_ROWS", 5)
    start = newest()
    append([record(str(number)) for number in range(6)])

    polled = catch_up(start, newest(), ALL)

    assert (polled.skipped, polled.rows, polled.position) == (True, {}, newest())


# --- The connection ----------------------------------------------------------------------------------------------------

ORIGIN = (b"origin", b"http://localhost")


def cookie_of_a_visitor(name: str = "anna") -> bytes:
    client = Client()
    client.force_login(get_user_model().objects.create_user(name), "django.contrib.auth.backends.ModelBackend")
    return "; ".join(f"{key}={morsel.value}" for key, morsel in client.cookies.items()).encode()


def open_socket(cookie: bytes = b"", path: str = "/ws/logs", origin: tuple[bytes, bytes] = ORIGIN) -> Any:
    return WebsocketCommunicator(application, path, headers=[origin, (b"host", b"localhost"), (b"cookie", cookie)])


@asynccontextmanager
async def a_socket(cookie: bytes) -> AsyncIterator[WebsocketCommunicator]:
    socket = open_socket(cookie)
    connected, _ = await socket.connect(timeout=30)
    assert connected
    try:
        yield socket
    finally:
        await socket.disconnect()


@pytest_asyncio.fixture
async def anna(transactional_db: None) -> AsyncIterator[bytes]:
    """The cookie of somebody who has logged in; afterwards no thread of the follower is left."""
    yield await sync_to_async(cookie_of_a_visitor)()
    await until(lambda: not follower.running)


async def until(holds: Any) -> None:
    for _ in range(2_000):
        if holds():
            return
        await asyncio.sleep(0.05)
    pytest.fail("it did not come to pass")


async def follow(socket: WebsocketCommunicator, **message: Any) -> dict[str, Any]:
    await socket.send_json_to({"type": "follow", **message})
    return await answer(socket)


async def answer(socket: WebsocketCommunicator) -> dict[str, Any]:
    """Return the next message that is no tick."""
    while True:
        message: dict[str, Any] = await socket.receive_json_from(timeout=60)
        if message["type"] != "tick":
            return message


async def store(*records: Any) -> None:
    await sync_to_async(append)(records)


@pytest.mark.asyncio
async def test_a_new_row_reaches_whoever_listens(anna: bytes):
    async with a_socket(anna) as socket:
        assert (await follow(socket))["type"] == "following"
        await store(record("hello"))

        got = await answer(socket)

    assert [row["message"] for row in got["rows"]] == ["hello"]


@pytest.mark.asyncio
async def test_only_rows_that_match_are_sent(anna: bytes):
    async with a_socket(anna) as socket:
        await follow(socket, filter="level=ERROR&text=%C3%9CBER")
        await store(record("über", levelno=20), record("unter", levelno=40), record("über", levelno=40))

        got = await answer(socket)

    assert [(row["message"], row["severity"]) for row in got["rows"]] == [("über", "error")]


@pytest.mark.asyncio
async def test_a_browser_that_comes_back_misses_nothing_and_gets_nothing_twice(anna: bytes):
    seen: list[int] = []
    async with a_socket(anna) as other:
        position = (await follow(other))["position"]
        for turn in range(5):
            await store(record(f"away {turn}"))
            async with a_socket(anna) as socket:
                await follow(socket, position=position)
                await store(record(f"here {turn}"))
                while len(seen) < 2 * turn + 2:
                    got = await answer(socket)
                    seen += [row["id"] for row in got["rows"]]
                    position = got.get("position", position)
                    await socket.send_json_to({"type": "ack", "number": got["number"]})

    assert len(seen) == 10
    assert seen == sorted(set(seen))


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("no json", "JSON object"),
        ("[]", "JSON object"),
        ("7", "JSON object"),
        ("{}", "JSON object"),
        ('{"type": "dance"}', '"follow" or "ack"'),
        ('{"type": ["x"]}', '"follow" or "ack"'),
        ('{"type": "ack", "number": "x"}', '"number"'),
        ('{"type": "follow", "position": "x"}', '"position"'),
        ('{"type": "follow", "filter": "level=LOUD"}', "choose one of"),
        ('{"type": "follow", "filter": "colour=red"}', "There is no filter"),
    ],
)
@pytest.mark.asyncio
async def test_a_message_that_is_not_understood_is_answered_and_the_connection_lives(
    anna: bytes, message: str, says: str
):
    async with a_socket(anna) as socket:
        await socket.send_to(text_data=message)
        got = await answer(socket)

        assert got["type"] == "error"
        assert says in got["message"]
        assert (await follow(socket))["type"] == "following"


@pytest.mark.asyncio
async def test_bytes_are_answered_and_the_connection_lives(anna: bytes):
    async with a_socket(anna) as socket:
        await socket.send_to(bytes_data=b"\xff\x00")

        assert (await answer(socket))["type"] == "error"
        assert (await follow(socket))["type"] == "following"


@pytest.mark.asyncio
async def test_a_message_too_large_is_answered_and_closes_the_connection(anna: bytes):
    async with a_socket(anna) as socket:
        await socket.send_to(text_data="x" * 8_193)

        assert "8,192" in (await answer(socket))["message"]
        assert (await socket.receive_output(10))["code"] == 1009


@pytest.mark.asyncio
async def test_who_logs_out_is_cut_off(anna: bytes, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(live, "SESSION_CHECK_SECONDS", 0.0)
    async with a_socket(anna) as socket:
        await follow(socket)
        await socket.send_json_to({"type": "ack", "number": 1})
        await store(record("still here"))
        assert (await answer(socket))["type"] == "rows"

        await sync_to_async(log_everybody_out)()
        await socket.send_json_to({"type": "ack", "number": 2})

        assert (await socket.receive_output(10))["code"] == live.LOGGED_OUT


def log_everybody_out() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_session")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/ws/logs", "/ws/nothing", "/"])
@pytest.mark.asyncio
async def test_an_anonymous_visitor_gets_no_socket(path: str):
    connected, _ = await open_socket(path=path).connect(timeout=30)

    assert not connected


@pytest.mark.asyncio
async def test_a_page_of_another_site_gets_no_socket(anna: bytes):
    connected, _ = await open_socket(anna, origin=(b"origin", b"http://elsewhere.example")).connect(timeout=30)

    assert not connected


@pytest.mark.asyncio
async def test_who_must_change_the_password_gets_no_socket(anna: bytes):
    await sync_to_async(put_everybody_under_the_duty)()

    connected, _ = await open_socket(anna).connect(timeout=30)

    assert not connected


def put_everybody_under_the_duty() -> None:
    group = Group.objects.create(name=MUST_CHANGE_PASSWORD)
    group.user_set.set(get_user_model().objects.all())


@pytest.mark.asyncio
async def test_an_address_that_is_no_socket_is_refused(anna: bytes):
    connected, _ = await open_socket(anna, path="/ws/nothing").connect(timeout=30)

    assert not connected


@pytest.mark.asyncio
async def test_a_database_that_does_not_answer_is_said_and_the_view_recovers(
    anna: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(live, "RETRY_SECONDS", 0.05)
    async with a_socket(anna) as socket:
        await follow(socket)
        await sync_to_async(rename)("logs_log", "logs_log_away")
        assert (await answer(socket))["type"] == "broken"

        await sync_to_async(rename)("logs_log_away", "logs_log")
        await store(record("back again"))

        assert (await answer(socket))["type"] == "following"
        assert [row["message"] for row in (await answer(socket))["rows"]] == ["back again"]


def rename(before: str, after: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {before} RENAME TO {after}")


@pytest.mark.asyncio
async def test_the_follower_rests_when_nobody_listens_and_starts_again(transactional_db: None):
    own = Follower()
    for _ in range(2):
        watcher = a_watcher()
        own.join(watcher)
        await until(lambda: not watcher._outbox.empty())  # noqa: B023 (awaited within this turn)
        assert own.running
        assert outbox(watcher)[0]["type"] == "following"

        own.leave(watcher)
        await until(lambda: not own.running)
