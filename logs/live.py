"""New rows for the browsers that watch: one follower of the tail per process, whoever many watch.

The follower reads the tail every settings.LIVE_INTERVAL while somebody watches, asks each distinct query once per
row, and encodes a row and a frame once for all who get it.

A browser acknowledges every frame. So long as more than WINDOW bytes are on their way to it, what comes is not
kept for it but counted, and it is told how many rows it missed and where to find them: one that has stalled costs
WINDOW and a frame, and disturbs nobody.

Frames from herald: `following` (the query is understood), `rows`, `tick` (nothing new, but alive), `skipped`,
`broken` (the database cannot be read), `error` (the browser's message was not understood). Frames from the browser:
`follow` (filter: the parameters of the page's address; position), `ack`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from itertools import count
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import orjson
from channels.auth import get_user
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.db import DatabaseError, connection

from logs.address import Asked
from logs.query import Predicate
from logs.query.conditions import Condition
from logs.query.predicates import predicate
from logs.rows import line
from logs.search import Row, Visible, visible_to
from logs.tail import Position, newest, read_after

logger = logging.getLogger(__name__)
T = TypeVar("T")

WINDOW = 750_000
FRAME = 100_000
CHUNK = 500
CHUNKS_A_POLL = 8
CATCH_UP_ROWS = 5_000
BEHIND = timedelta(seconds=5)
TICK_SECONDS = 5.0
RETRY_SECONDS = 1.0
MESSAGE_MAX = 8_192
SESSION_CHECK_SECONDS = 60.0
LOGGED_OUT = 4401


@dataclass(frozen=True, slots=True)
class View:
    """What one browser is shown: what it may see, of that what it asked for. Browsers with equal views share work.

    What was asked for is a condition; where it names the present moment, it is what was asked, to be read anew.
    """

    visible: Visible
    wanted: Condition | Asked

    @classmethod
    def of(cls, visible: Visible, asked: Asked, now: datetime) -> View:
        query = asked.query(now)
        return cls(visible, asked if query.is_relative else query.condition)

    def shows(self, now: datetime) -> Predicate:
        """Return the function that tells whether a row belongs to this view at the time `now`."""
        wanted = self.wanted.query(now).to_predicate() if isinstance(self.wanted, Asked) else _predicate(self.wanted)
        visible = self.visible
        return lambda row: visible.allows(row) and wanted(row)


@lru_cache(maxsize=1_024)
def _predicate(wanted: Condition) -> Predicate:
    return predicate(wanted)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A row as the browser gets it, and how many bytes that takes."""

    id: int
    text: str
    size: int


def encode(row: Mapping[str, Any]) -> Encoded:
    """Return a row for the browser, without what is empty: most rows of most senders leave most fields so."""
    encoded = orjson.dumps({name: value for name, value in line(row).items() if value != ""})
    return Encoded(row["id"], encoded.decode(), len(encoded))


def _close_connection() -> None:
    """Close the database connection of the thread this is called in; `connection` is another one in each."""
    connection.close()


def frame(kind: str, **values: Any) -> str:
    """Return one message to a browser."""
    return orjson.dumps({"type": kind, **values}).decode()


@dataclass(frozen=True, slots=True)
class Frame:
    """Rows on their way to browsers; `number` is what the browser acknowledges."""

    number: int
    rows: list[Encoded]
    text: str
    size: int


def frames(rows: Iterable[Encoded], position: Position, numbers: Iterator[int]) -> Iterator[Frame]:
    """Yield `rows` in frames of about FRAME bytes; only the last one moves the browser's position.

    A browser that loses the connection between two of them gets the first one's rows again, and drops them.
    """
    parts: list[list[Encoded]] = []
    size = FRAME
    for row in rows:
        if size + row.size > FRAME:
            parts.append([])
            size = 0
        parts[-1].append(row)
        size += row.size
    for part in parts:
        number = next(numbers)
        place = f',"position":"{position}"' if part is parts[-1] else ""
        text = f'{{"type":"rows","number":{number}{place},"rows":[{",".join(row.text for row in part)}]}}'
        yield Frame(number, part, text, sum(row.size for row in part))


class Watcher:
    """One browser, as the follower sees it: its view, and how much of what was sent it has not acknowledged."""

    def __init__(
        self,
        view: View,
        position: Position | None,
        send: Callable[[str], Awaitable[None]],
        close: Callable[[], Awaitable[None]],
    ) -> None:
        self.view = view
        # Where it wants to be taken up; the follower's own position counts as soon as it has been.
        self.position = position
        self.known: frozenset[int] = frozenset()
        self.has_waited = False
        self._send = send
        self._close = close
        self._outbox: asyncio.Queue[str | None] = asyncio.Queue()
        self._on_the_way: list[tuple[int, int]] = []
        self._skipped = 0
        self._skipped_to = 0

    async def deliver(self) -> None:
        """Send what is in the outbox until cancelled, or until `hang_up`."""
        while (text := await self._outbox.get()) is not None:
            await self._send(text)
        await self._close()

    def hang_up(self) -> None:
        """Close the connection, so that the browser begins anew."""
        self._outbox.put_nowait(None)

    @property
    def unacknowledged(self) -> int:
        """How many bytes of rows are on their way."""
        return sum(size for _, size in self._on_the_way)

    def offer(self, found: Frame) -> None:
        """Send these rows, or count them as skipped while too much is on its way."""
        if self._skipped or (self._on_the_way and self.unacknowledged + found.size > WINDOW):
            self.skip(len(found.rows), found.rows[-1].id)
            return
        self._on_the_way.append((found.number, found.size))
        self._outbox.put_nowait(found.text)

    def tick(self, number: int, text: str) -> None:
        """Send a sign of life, unless an answer to something else is still to come."""
        if not self._on_the_way:
            self._on_the_way.append((number, len(text)))
            self._outbox.put_nowait(text)

    def tell(self, text: str) -> None:
        """Send a message that is no rows; a browser that has stalled is spared it."""
        if not self._skipped:
            self._outbox.put_nowait(text)

    def skip(self, rows: int, last: int) -> None:
        self._skipped += rows
        self._skipped_to = max(self._skipped_to, last)

    def acknowledge(self, number: int) -> None:
        """Take note that the browser has all up to frame `number`; tell it what it missed once it has caught up."""
        self._on_the_way = [(sent, size) for sent, size in self._on_the_way if sent > number]
        if self._skipped and not self._on_the_way:
            self._outbox.put_nowait(frame("skipped", count=self._skipped, before=self._skipped_to + 1))
            self._skipped = self._skipped_to = 0


@dataclass(slots=True)
class Polled:
    """What one reading of the tail brought: rows for each view, and what must be said about it."""

    position: Position
    rows: dict[View, list[Encoded]] = field(default_factory=dict)
    ids: frozenset[int] = frozenset()
    skipped: bool = False
    more: bool = False


class Follower:
    """Reads the tail for all watchers of this process; works only while there are any."""

    # The one thread in which this follower reads, so that it holds one database connection; there while it works.
    _thread: ThreadPoolExecutor

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()
        self._joining: list[Watcher] = []
        self._task: asyncio.Task[None] | None = None
        self._position: Position | None = None
        self._numbers = count(1)
        self._broken = False
        self._ticked = 0.0

    @property
    def running(self) -> bool:
        task = self._task
        return task is not None and not task.done() and task.get_loop() is asyncio.get_running_loop()

    def join(self, watcher: Watcher) -> None:
        """Take a watcher up at the next reading."""
        self._joining.append(watcher)
        if not self.running:
            self._task = asyncio.get_running_loop().create_task(self._follow())

    def leave(self, watcher: Watcher) -> None:
        """Forget a watcher; with the last one the follower stops."""
        self._watchers.discard(watcher)
        if watcher in self._joining:
            self._joining.remove(watcher)

    async def _follow(self) -> None:
        # Somebody may come while the last reading is being wound up.
        while self._watchers or self._joining:
            await self._follow_until_alone()

    async def _follow_until_alone(self) -> None:
        self._position = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="herald-live")
        try:
            while self._watchers or self._joining:
                started = time.monotonic()
                pause = await self._round(started)
                await asyncio.sleep(max(0.0, pause - (time.monotonic() - started)))
        except Exception:
            # Nobody awaits this task: say it here, and let the browsers begin anew.
            logger.exception("the live view has failed")
            for watcher in [*self._watchers, *self._joining]:
                watcher.hang_up()
            self._watchers.clear()
            self._joining.clear()
        finally:
            await self._in_thread(_close_connection)
            self._thread.shutdown(wait=False)

    async def _round(self, started: float) -> float:
        """Read what is new and hand it out, take up who has come, say that all is well; return how long to wait."""
        try:
            polled = await self._read()
            await self._take_up(polled.position)
            self._tick(started, polled.position)
        except DatabaseError as error:
            await self._say_broken(error)
            return RETRY_SECONDS
        return 0.0 if polled.more else settings.LIVE_INTERVAL.total_seconds()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Run `work` in the one thread that holds the follower's database connection."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _read(self) -> Polled:
        """Read once and hand out what was read."""
        if self._position is None:
            self._position = await self._in_thread(newest)
        views = {watcher.view for watcher in self._watchers}
        polled = await self._in_thread(partial(poll, self._position, views))
        self._position = polled.position
        if self._broken:
            self._broken = False
            self._tell_all(frame("following", position=str(self._position)))
        self._hand_out(polled)
        return polled

    def _hand_out(self, polled: Polled) -> None:
        shared: dict[View, list[Frame]] = {}
        for view, rows in polled.rows.items():
            shared[view] = list(frames(rows, polled.position, self._numbers))
        for watcher in list(self._watchers):
            for found in self._for(watcher, shared.get(watcher.view, []), polled.position):
                watcher.offer(found)
        if polled.skipped:
            self._tell_all(frame("skipped", count=None, before=None, position=str(polled.position)))

    def _for(self, watcher: Watcher, found: list[Frame], position: Position) -> Iterable[Frame]:
        """Return the frames without the rows that the watcher got when it was taken up."""
        known = watcher.known
        if watcher.position is not None and watcher.position <= position:
            watcher.known, watcher.position = frozenset(), None
        if not known or not any(row.id in known for each in found for row in each.rows):
            return found
        rows = [row for each in found for row in each.rows if row.id not in known]
        return frames(rows, position, self._numbers)

    async def _take_up(self, end: Position) -> None:
        """Give who has come what arrived since the position they bring, up to where the follower is."""
        for watcher in list(self._joining):
            start = watcher.position if watcher.position is not None else end
            if start > end and not watcher.has_waited:
                # Its page is younger than this reading; the next one is not.
                watcher.has_waited = True
                continue
            polled = await self._in_thread(partial(catch_up, start, end, watcher.view))
            if watcher not in self._joining:
                continue
            self._joining.remove(watcher)
            self._watchers.add(watcher)
            watcher.position, watcher.known = polled.position, polled.ids
            watcher.tell(frame("following", position=str(start)))
            for found in frames(polled.rows.get(watcher.view, []), polled.position, self._numbers):
                watcher.offer(found)
            if polled.skipped:
                watcher.tell(frame("skipped", count=None, before=None, position=str(polled.position)))

    def _tick(self, now: float, position: Position) -> None:
        if now - self._ticked < TICK_SECONDS:
            return
        self._ticked = now
        number = next(self._numbers)
        text = frame("tick", number=number, position=str(position))
        for watcher in self._watchers:
            watcher.tick(number, text)

    async def _say_broken(self, error: DatabaseError) -> None:
        if not self._broken:
            self._broken = True
            logger.error("the live view cannot read the database: %s", error)
            since = datetime.now(UTC).isoformat(timespec="seconds")
            text = frame("broken", message="herald cannot read its database", since=since)
            self._tell_all(text)
            for watcher in self._joining:
                watcher.tell(text)
        with contextlib.suppress(DatabaseError):
            await self._in_thread(_close_connection)

    def _tell_all(self, text: str) -> None:
        for watcher in self._watchers:
            watcher.tell(text)


def poll(position: Position, views: Iterable[View]) -> Polled:
    """Return what came after `position`, for each view. Who cannot keep up with the bridge skips, and says so."""
    polled = Polled(position)
    asked = _asked(views)
    for _ in range(CHUNKS_A_POLL):
        batch = read_after(polled.position, CHUNK)
        polled.position = batch.position
        _sort_in(polled, batch.rows, asked)
        if len(batch.rows) < CHUNK:
            return polled
    if datetime.now(UTC) - batch.rows[-1]["received"] > BEHIND:
        return Polled(newest(), skipped=True)
    polled.more = True
    return polled


def catch_up(start: Position, end: Position, view: View) -> Polled:
    """Return what lies between two positions for one view; more than CATCH_UP_ROWS rows are skipped instead.

    The last reading may reach beyond `end`: `ids` are its rows, which the follower will come by again.
    """
    polled = Polled(start)
    asked = _asked([view])
    seen = 0
    while polled.position < end:
        batch = read_after(polled.position, CHUNK)
        seen += len(batch.rows)
        if seen > CATCH_UP_ROWS:
            return Polled(end, skipped=True)
        if not batch.rows:
            break
        polled.position = batch.position
        _sort_in(polled, batch.rows, asked)
        if polled.position > end:
            polled.ids = frozenset(row["id"] for row in batch.rows)
    return polled


def _asked(views: Iterable[View]) -> list[tuple[View, Predicate]]:
    """Return the views, each with what it asks of a row now."""
    now = datetime.now(UTC)
    return [(view, view.shows(now)) for view in views]


def _sort_in(polled: Polled, rows: list[Row], asked: list[tuple[View, Predicate]]) -> None:
    for row in rows:
        encoded: Encoded | None = None
        for view, shows in asked:
            if shows(row):
                encoded = encoded or encode(row)
                polled.rows.setdefault(view, []).append(encoded)


def _position(text: object) -> Position | None:
    if not text:
        return None
    try:
        return Position.parse(str(text))
    except ValueError:
        raise ValueError('The "position" is none of herald\'s: leave it out to begin with what comes next.') from None


follower = Follower()


class LogSocket(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no annotations
    """One browser's connection."""

    watcher: Watcher | None = None
    sender: asyncio.Task[None] | None = None
    checked = 0.0

    async def connect(self) -> None:
        self.checked = time.monotonic()
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.forget()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if len(text_data or bytes_data or "") > MESSAGE_MAX:
            await self.complain(f"A message may have at most {MESSAGE_MAX:,} characters.")
            await self.close(code=1009)
            return
        try:
            message = orjson.loads(text_data or b"")
            kind = message["type"]
        except (ValueError, TypeError, KeyError):
            await self.complain('A message is a JSON object with a "type".')
            return
        if kind == "ack":
            await self.acknowledge(message)
        elif kind == "follow":
            await self.follow(message)
        else:
            await self.complain('The "type" of a message is "follow" or "ack".')

    async def acknowledge(self, message: dict[str, Any]) -> None:
        number = message.get("number")
        if not isinstance(number, int):
            await self.complain('An "ack" names the "number" of a frame.')
            return
        if self.watcher is not None:
            self.watcher.acknowledge(number)
        await self.check_session()

    async def follow(self, message: dict[str, Any]) -> None:
        """Begin anew with the query and the position in `message`."""
        try:
            position = _position(message.get("position"))
            asked = Asked.parse(dict(parse_qsl(str(message.get("filter") or ""), max_num_fields=50)))
        except ValueError as error:
            await self.complain(str(error))
            return
        await self.forget()
        view = View.of(visible_to(self.scope["user"]), asked, datetime.now(UTC))
        self.watcher = Watcher(view, position, self.text, self.close)
        self.sender = asyncio.get_running_loop().create_task(self.watcher.deliver())
        follower.join(self.watcher)

    async def text(self, text: str) -> None:
        await self.send(text_data=text)

    async def complain(self, sentence: str) -> None:
        await self.text(frame("error", message=sentence))

    async def forget(self) -> None:
        if self.watcher is not None:
            follower.leave(self.watcher)
        if self.sender is not None:
            self.sender.cancel()
            await asyncio.gather(self.sender, return_exceptions=True)
        self.watcher = self.sender = None

    async def check_session(self) -> None:
        """Close the connection of somebody who has logged out, or lost the account, since it was opened."""
        now = time.monotonic()
        if now - self.checked < SESSION_CHECK_SECONDS:
            return
        self.checked = now
        # The session is read anew: what the scope holds is as old as the connection.
        session = type(self.scope["session"]._wrapped)(self.scope["session"].session_key)
        person = await get_user(self.scope | {"session": session})
        if not person.is_authenticated:
            await self.close(code=LOGGED_OUT)
