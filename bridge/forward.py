"""Hands rows on: for each destination one thread that follows the log from a position of its own.

The log is the buffer. A row's position in it is the number under which it travels, so that the far end's mark says
where to go on, whatever was interrupted. A destination that hangs holds up nothing but itself.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import Error as DatabaseTrouble
from django.db import connection, transaction
from django.db.models import F

from bridge import hops
from bridge.addresses import is_loopback, shown
from bridge.codecs import relay
from bridge.codecs.stock import stock_frame
from bridge.journal import Journal
from bridge.models import BridgeId, Departure, Destination
from bridge.policy import BadPolicy, Policy
from bridge.status import safe
from logs import storable, store, tail
from logs.client import sender as line
from logs.client import wire
from logs.client.tls import TLSTrouble, client_context
from logs.query import QueryError, parse
from logs.record import Record
from logs.registry import Registry
from logs.tail import Position, Row

logger = logging.getLogger(__name__)

SYSTEM = "herald.forward"
READ_ROWS = 500
SKIPS = 20
"""How many reads of rows that all stay here come before a look at the connection."""
SAVE_EVERY = 1.0
LOOK_EVERY = 0.1
LEASE = timedelta(seconds=15)
RENEW_EVERY = 4.0
DRAIN_SECONDS = 2.0
OLD_BRIDGE_RATE = 100
"""Rows a second that an original ps_bridge takes without losing any."""
TEXT_LEAST = 1_000
"""A row that is too long for the far end loses text, but not more than leaves so many characters of each field."""

Predicate = Callable[[Mapping[str, Any]], bool]


class Unfit(Exception):
    """A destination's own fields make no sense; the text is for the operator."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """A row as it will leave, and the position after it in the log."""

    position: Position
    row: Row
    redacted: list[str]


class Following:
    """The rows of the log that one destination gets, as they leave it, in order, from `position` on."""

    def __init__(self, destination: Destination, position: Position) -> None:
        self.position = position
        self.far_bridge = ""
        self._admits = admission(destination)
        self._policy = policy_of(destination)
        self._rate = destination.rate
        self._allowance = float(destination.rate)
        self._filled = time.monotonic()

    def next(self) -> list[Leaving]:
        """Return what leaves of the next rows of the log; `position` is then after the last that was looked at."""
        limit = self._allowed()
        if not limit:
            return []
        batch = tail.read_after(self.position, limit)
        self.position = batch.position
        leaving = [
            self._redacted(row, position)
            for row, position in zip(batch.rows, batch.positions, strict=True)
            if self._goes(row)
        ]
        self._allowance -= len(leaving)
        return leaving

    def _allowed(self) -> int:
        if not self._rate:
            return READ_ROWS
        now = time.monotonic()
        self._allowance = min(float(self._rate), self._allowance + (now - self._filled) * self._rate)
        self._filled = now
        return min(READ_ROWS, int(self._allowance))

    def _goes(self, row: Row) -> bool:
        if row["origin"] and self.far_bridge and self.far_bridge in relay.bridges(row["origin"]):
            return False  # it has been there
        return self._admits is None or self._admits(row)

    def _redacted(self, row: Row, position: Position) -> Leaving:
        if self._policy is None:
            return Leaving(position, row, [])
        changed, redacted = self._policy.apply(row)
        if redacted:
            changed["flags"] = " ".join(sorted({*changed["flags"].split(), relay.REDACTED}))
        return Leaving(position, changed, redacted)


class Account:
    """How one destination stands, written to its row once a second: state, position, and what left for it.

    The counters are added up by the database, so that nothing is lost between two processes.
    """

    def __init__(self, destination: Destination, journal: Journal) -> None:
        self.destination = destination
        self._journal = journal
        self._position = ""
        self._saved_at = 0.0
        self._changed: dict[str, Any] = {}
        self._rows = self._bytes = self._redacted = self._rejected = 0
        self._trouble_since: float | None = None

    def state(self, state: str, text: str) -> None:
        """Note a change of state; trouble is told once, and so is its end."""
        now = datetime.now(UTC)
        if state == line.CONNECTING:
            return
        if state not in (line.CONNECTED, line.STOPPED):
            self._changed |= {"error": text[:500], "error_at": now}
            if self._trouble_since is None:
                self._trouble_since = time.monotonic()
                self._journal.say(logging.WARNING, f"destination {self.destination.name}: {text}; rows for it wait")
        elif state == line.CONNECTED and self._trouble_since is not None:
            lasted = time.monotonic() - self._trouble_since
            self._trouble_since = None
            self._journal.say(logging.INFO, f"destination {self.destination.name} is back after {lasted:.0f} s")
        if (state, text) != (self.destination.state, self.destination.state_text):
            if state != self.destination.state:
                self._changed["state_since"] = now
            self.destination.state, self.destination.state_text = state, text
            self._changed |= {"state": state, "state_text": text[:500]}
            self._saved_at = 0.0

    def note(self, **changed: Any) -> None:
        """Note values of the destination's row."""
        self._changed |= changed

    def left(self, rows: int, size: int, redacted: int) -> None:
        """Count rows that the far end has, or that were sent where nobody says so."""
        self._rows += rows
        self._bytes += size
        self._redacted += redacted
        if rows:
            self._changed["newest_row"] = datetime.now(UTC)

    def rejected(self, ack: wire.Ack) -> None:
        """Count what the far end will never store."""
        number = len(ack.rejected) + ack.more
        self._rejected += number
        if ack.rejected:
            why = safe(f"{ack.rejected[0].reason}: {ack.rejected[0].detail}", 200)
            self._journal.say(
                logging.WARNING, f"destination {self.destination.name} rejected {number:,} rows, the first one as {why}"
            )

    def save(self, position: Position, *, now: bool = False) -> None:
        """Write what has changed, if that is due; a database in trouble is tried again next time."""
        if not now and time.monotonic() - self._saved_at < SAVE_EVERY:
            return
        self._saved_at = time.monotonic()
        try:
            self._write(position)
        except DatabaseTrouble as error:
            logger.debug("%s could not be written: %s", self.destination.name, error)
            connection.close()

    def _write(self, position: Position) -> None:
        moment = datetime.now(UTC)
        waiting, lag = standing(position, moment)
        with transaction.atomic():
            if str(position) != self._position:
                tail.save_position(self.destination.reader, position)
            Destination.objects.filter(pk=self.destination.pk).update(
                rows=F("rows") + self._rows,
                rejected=F("rejected") + self._rejected,
                waiting=waiting,
                lag_seconds=lag,
                updated=moment,
                **self._changed,
            )
            if self._rows:
                self._book(moment)
        self._position, self._changed = str(position), {}
        self._rows = self._bytes = self._redacted = self._rejected = 0

    def _book(self, moment: datetime) -> None:
        departure, _ = Departure.objects.get_or_create(
            destination=self.destination.name,
            address=shown(self.destination.host, self.destination.port),
            far_bridge=self.destination.far_bridge,
            hour=moment.replace(minute=0, second=0, microsecond=0),
        )
        Departure.objects.filter(pk=departure.pk).update(
            rows=F("rows") + self._rows,
            bytes=F("bytes") + self._bytes,
            redacted=F("redacted") + self._redacted,
        )


def position_of(destination: Destination) -> Position:
    """Return up to where a destination has what goes there, as last saved."""
    return max(tail.load_position(destination.reader), Position.parse(destination.start))


def standing(position: Position, now: datetime) -> tuple[int, float]:
    """Return about how many rows lie behind `position`, and for how many seconds the next of them has waited."""
    newest = tail.newest()
    if newest <= position:
        return 0, 0.0
    following = tail.read_after(position, 1)
    if not following.rows:
        return 0, 0.0
    lag = max(0.0, (now - following.rows[0]["received"]).total_seconds())
    return max(1, newest.id - following.rows[0]["id"] + 1), lag


class Forwarder(threading.Thread):
    """Hands rows on to one destination until told to stop. A kind of destination is a subclass, registered by name."""

    def __init__(self, destination: Destination, own: str, journal: Journal) -> None:
        super().__init__(name=f"forward {destination.name}", daemon=True)
        self.destination = destination
        self.own = own
        self.account = Account(destination, journal)
        self.stopping = threading.Event()
        self.drain_until = float("inf")
        self.says_goodbye = True

    def stop(self, drain: float, *, goodbye: bool = True) -> None:
        """Read no further; leave when what was sent is acknowledged, at the latest after `drain` seconds.

        Without a `goodbye` the far end sees the bridge vanish, as it does when that is what happened.
        """
        self.drain_until = time.monotonic() + drain
        self.says_goodbye = goodbye
        self.stopping.set()

    def run(self) -> None:
        try:
            self.forward()
        except Unfit as unfit:
            self.account.state(line.REFUSED, str(unfit))
            self.account.save(self.position(), now=True)
            self.stopping.wait()
        except Exception:
            logger.exception("a bug of herald's, please report it; %s is tried again", self.destination.name)
        finally:
            connection.close()

    def position(self) -> Position:
        """Return where this destination's position was saved last."""
        try:
            return position_of(self.destination)
        except DatabaseTrouble:
            connection.close()
            return Position.START

    @abstractmethod
    def forward(self) -> None:
        """Hand rows on until `stopping` is set. Raises Unfit where the destination's fields make no sense."""


forwarders: Registry[type[Forwarder]] = Registry("kind of destination")


# --- To another herald ----------------------------------------------------------------------------------------------


class LogBuffer(line.Buffer):
    """The log as the buffer of a sender: what is not acknowledged is read from it again."""

    def __init__(self, forwarder: HeraldForwarder) -> None:
        destination = forwarder.destination
        self.sender = destination.sender
        self.acked = (destination.acked_high, destination.acked_low)
        self._forwarder = forwarder
        self._destination = destination
        self._account = forwarder.account
        self._following = Following(destination, forwarder.position())
        self._start = self._following.position
        self._flying: deque[tuple[Position, int, bool]] = deque()
        self._frame_max = 0

    @property
    def position(self) -> Position:
        """Up to where nothing needs to be read again."""
        if self._flying:
            return max(Position(*self.acked), self._start)
        return self._following.position

    def begin(self, welcome: wire.Welcome, hello: wire.Hello) -> None:
        self._check(welcome)
        self._flying.clear()
        self._start = self._following.position = self._begin_at(Position(*welcome.acked))
        self._following.far_bridge = welcome.bridge
        self._frame_max = welcome.frame_max
        self._destination.far_bridge = welcome.bridge
        self._account.note(
            far_bridge=welcome.bridge,
            far_name=welcome.name,
            far_level=welcome.level,
            clock_offset=self._forwarder.sender.clock_offset,
        )

    def _check(self, welcome: wire.Welcome) -> None:
        if welcome.bridge == self._forwarder.own:
            raise line.Trouble(line.REFUSED, "this destination is this bridge itself")
        if welcome.level < self._destination.level:
            raise line.Trouble(
                line.REFUSED,
                f"the bridge there says that its level of trust is {welcome.level}, and rows may go only where it is "
                f"at least {self._destination.level}",
            )

    def _begin_at(self, mark: Position) -> Position:
        """Return where to read on, after what the far end says it has."""
        saved, acked = self._forwarder.position(), Position(*self.acked)
        if mark < acked:
            # It was restored from a backup: what it lost is sent again, as far as it is still here.
            self._account.note(state_text="it lost what it had acknowledged; sending that again")
            return max(mark, Position.parse(self._destination.start))
        if mark > max(tail.newest(), saved):
            # This database was: its next rows would bear numbers that the far end has passed.
            self.sender = self._destination.sender = Destination._meta.get_field("sender").get_default()
            self.acked = (0, 0)
            Destination.objects.filter(pk=self._destination.pk).update(
                sender=self.sender, acked_high=0, acked_low=0, start=str(saved)
            )
            raise line.Trouble(line.LOST, "this database was restored from a backup: rows of that time may go twice")
        return max(mark, saved)

    def read(self, bytes_max: int) -> list[tuple[wire.Sequence, bytes]]:
        if self._forwarder.stopping.is_set():
            return []
        try:
            leaving = self._next()
            self._account.save(self.position)
        except DatabaseTrouble as error:
            logger.debug("the log cannot be read for %s: %s", self._destination.name, error)
            connection.close()
            return []
        sent = datetime.now(UTC)
        return [self._numbered(each, sent) for each in leaving]

    def _next(self) -> list[Leaving]:
        """Return the next rows that go there, unless so many lie before them that acknowledgements would wait."""
        for _ in range(SKIPS):
            before = self._following.position
            leaving = self._following.next()
            if leaving or self._following.position == before:
                return leaving
        return []

    def _numbered(self, leaving: Leaving, sent: datetime) -> tuple[wire.Sequence, bytes]:
        row = leaving.row
        hop = {
            "bridge": self._forwarder.own,
            "name": settings.BRIDGE_NAME,
            "received": row["received"].isoformat(),
            "sent": sent.isoformat(),
            "peer": row["peer"],
        }
        if leaving.redacted:
            hop["redacted"] = leaving.redacted
        payload = relay.encode(row, hop)
        if len(payload) > self._frame_max:
            payload = fitted(row, hop, self._frame_max)
        self._flying.append((leaving.position, len(payload), bool(leaving.redacted)))
        return (leaving.position.tx, leaving.position.id), payload

    def idle(self) -> None:
        self._account.save(self.position)

    def acknowledge(self, ack: wire.Ack) -> None:
        rows = size = redacted = 0
        acked = Position(*ack.acked)
        while self._flying and self._flying[0][0] <= acked:
            _, length, was_redacted = self._flying.popleft()
            rows, size, redacted = rows + 1, size + length, redacted + was_redacted
        if ack.acked > self.acked:
            self.acked = ack.acked
            self._account.note(acked_high=ack.acked[0], acked_low=ack.acked[1])
        if rows:
            self._account.left(rows, size, redacted)
        if ack.rejected or ack.more:
            self._account.rejected(ack)
        self._account.save(self.position)


@forwarders.register("herald")
class HeraldForwarder(Forwarder):
    """To another herald, acknowledged: each row exactly once."""

    sender: line.Sender

    def forward(self) -> None:
        buffer = LogBuffer(self)
        address = address_of(self.destination)
        self.sender = line.Sender(
            lambda: address,
            buffer,
            lambda: self._hello(buffer),
            on_change=self.account.state,
            beat=lambda: self._beat(buffer),
            beat_seconds=hops.BEAT_EVERY.total_seconds(),
            poll_seconds=LOOK_EVERY,
        )
        watching = threading.Thread(target=self._stop_sender, daemon=True)
        watching.start()
        try:
            self.sender.run()
        finally:
            self.stopping.set()
            self.account.save(buffer.position, now=True)

    def _stop_sender(self) -> None:
        self.stopping.wait()
        drain = max(0.0, self.drain_until - time.monotonic()) if self.drain_until < float("inf") else 0.0
        self.sender.stop(drain, self.says_goodbye)

    def _hello(self, buffer: LogBuffer) -> wire.Hello:
        self.account.save(buffer.position)
        return wire.Hello(
            sender=buffer.sender,
            name=settings.BRIDGE_NAME,
            acked=buffer.acked,
            kind="bridge",
            bridge=self.own,
            level=settings.BRIDGE_LEVEL,
            time=time.time(),
            login=self.destination.login,
            secret=self.destination.secret,
        )

    def _beat(self, buffer: LogBuffer) -> dict[str, Any]:
        now = datetime.now(UTC)
        told: dict[str, Any] = {
            "sent": now.isoformat(),
            "started": STARTED.isoformat(),
            "clock_offset": self.sender.clock_offset,
        }
        try:
            told["waiting"] = standing(buffer.position, now)[0]
            told["behind"] = hops.told_behind(now)
        except DatabaseTrouble:
            connection.close()
        return told


STARTED = datetime.now(UTC)


def fitted(row: Row, hop: Mapping[str, Any], limit: int) -> bytes:
    """Return a payload of at most `limit` bytes: the longest texts are cut first, then `extra` is."""
    row = {**row, "flags": " ".join(sorted({*row["flags"].split(), "cut"}))}
    texts = ("message", "exc_text", "stack_info")
    while len(payload := relay.encode(row, hop)) > limit:
        longest = max(texts, key=lambda name: len(row[name]))
        if len(row[longest]) > TEXT_LEAST:
            row[longest] = storable.cut_text(row[longest], max(TEXT_LEAST, len(row[longest]) // 2))
        elif row["extra"]:
            row["extra"] = {}
        else:
            break
    return payload


# --- To a receiver of the stock handler's frames -------------------------------------------------------------------------


@forwarders.register("stock")
class StockForwarder(Forwarder):
    """To whatever else takes SocketHandler's frames: best effort, nobody acknowledges.

    What was written into a connection that then breaks may be lost.
    """

    carries_extra: ClassVar[bool] = True

    def forward(self) -> None:
        following = Following(self.destination, self.position())
        delay = line.RETRY_FIRST
        while not self.stopping.is_set():
            try:
                with line.connect(address_of(self.destination)) as sock:
                    self.account.state(line.CONNECTED, "")
                    delay = line.RETRY_FIRST
                    self._serve(sock, following)
            except line.Trouble as trouble:
                self.account.state(trouble.state, trouble.text)
            except OSError as error:
                self.account.state(line.LOST, f"the connection broke ({line.said(error)})")
            except DatabaseTrouble as error:
                logger.debug("the log cannot be read for %s: %s", self.destination.name, error)
                connection.close()
            self.account.save(following.position)
            self.stopping.wait(delay)
            delay = min(2 * delay, line.RETRY_LONGEST)
        self.account.state(line.STOPPED, "")
        self.account.save(following.position, now=True)

    def _serve(self, sock: socket.socket, following: Following) -> None:
        sock.settimeout(line.CONNECT_SECONDS)
        beat_due = 0.0
        while not self.stopping.is_set():
            now = time.monotonic()
            if now >= beat_due:
                beat_due = now + hops.BEAT_EVERY.total_seconds()
                sock.sendall(stock_frame(self._beat_row(), extra=self.carries_extra))
            self._refuse_closed(sock)
            before = following.position
            leaving = following.next()
            sent = 0
            for number, each in enumerate(leaving):
                frame = stock_frame(each.row, extra=self.carries_extra)
                try:
                    sock.sendall(frame)
                except OSError:
                    # The rows from here on wait for the next connection; the ones before have gone.
                    following.position = leaving[number - 1].position if number else before
                    self.account.left(number, sent, sum(bool(one.redacted) for one in leaving[:number]))
                    raise
                sent += len(frame)
            self.account.left(len(leaving), sent, sum(bool(one.redacted) for one in leaving))
            self.account.save(following.position)
            if following.position == before:
                self.stopping.wait(LOOK_EVERY)

    def _refuse_closed(self, sock: socket.socket) -> None:
        """Notice a receiver that has closed before rows are written into nothing."""
        sock.setblocking(False)
        try:
            if sock.recv(1) == b"":
                raise line.Trouble(line.LOST, "the other end closed the connection")
        except BlockingIOError:
            pass
        finally:
            sock.settimeout(line.CONNECT_SECONDS)

    def _beat_row(self) -> dict[str, Any]:
        now = datetime.now(UTC)
        beat = Record(
            created=now,
            received=now,
            system_id=hops.BEAT_SYSTEM,
            sub_system_id=settings.BRIDGE_NAME,
            produkt_id="herald",
            name=hops.BEAT_SYSTEM,
            levelno=logging.DEBUG,
            levelname="DEBUG",
            message="hop beat",
            module="forward",
        )
        return {**beat._asdict(), "extra": {}, "origin": []}


@forwarders.register("ps_bridge")
class OldBridgeForwarder(StockForwarder):
    """To an original ps_bridge, which dies of a key it does not know, and puts no split frames together.

    So it gets the fields it knows, one frame a write, and no more rows a second than it can store.
    """

    carries_extra = False


# --- What a destination's fields mean --------------------------------------------------------------------------------------


def address_of(destination: Destination) -> line.Address:
    """Return where a destination is, and how it is spoken to; raises Unfit where its files cannot be used."""
    if not destination.tls:
        return line.Address(destination.host, destination.port)
    try:
        context = client_context(destination.tls_ca, destination.tls_certificate, destination.tls_key)
    except TLSTrouble as trouble:
        raise Unfit(str(trouble)) from None
    return line.Address(destination.host, destination.port, context, destination.tls_server_name)


def admission(destination: Destination) -> Predicate | None:
    """Return which rows may go there; None: all. Raises Unfit for a query that makes no sense."""
    if not destination.query.strip():
        return None
    try:
        query = parse(destination.query)
    except QueryError as error:
        raise Unfit(str(error)) from None
    if query.is_relative:
        raise Unfit("a destination's query cannot speak of now: it would mean something else with every row")
    return query.to_predicate()


def policy_of(destination: Destination) -> Policy | None:
    """Return what is removed from rows that go there; None: nothing. Raises Unfit for fields that do not exist."""
    try:
        policy = Policy.parse(
            destination.dropped, destination.masked, destination.hashed, bytes.fromhex(destination.hash_key)
        )
    except BadPolicy as error:
        raise Unfit(str(error)) from None
    return None if policy.is_empty else policy


# --- All of them -------------------------------------------------------------------------------------------------------------

_CONFIGURATION = (
    *("kind", "host", "port", "tls", "tls_ca", "tls_server_name", "tls_certificate", "tls_key", "login", "secret"),
    *("query", "dropped", "masked", "hashed", "hash_key", "level", "rate", "start"),
)


class Forwarding:
    """Keeps one forwarder running for each destination that is not paused.

    On a database that several bridges share, one of them forwards for a destination: the one that holds its lease.
    """

    def __init__(self, holder: str, journal: Journal) -> None:
        self._holder = holder
        self._journal = journal
        self._own = ""
        self._running: dict[int, tuple[tuple[Any, ...], Forwarder]] = {}
        self._leased_at: dict[int, float] = {}

    def look(self) -> int:
        """Start, stop and renew forwarders as the destinations want it; return how many run."""
        self._own = self._own or BridgeId.own()
        wanted = {each.pk: each for each in Destination.objects.filter(enabled=True)}
        for pk, (fields, forwarder) in list(self._running.items()):
            destination = wanted.get(pk)
            if destination is None or fields != _fields(destination) or not forwarder.is_alive():
                self._end(pk)
        for pk, destination in wanted.items():
            if not self._may_forward(pk):
                self._end(pk)
            elif pk not in self._running:
                self._begin(destination)
        return len(self._running)

    def _may_forward(self, pk: int) -> bool:
        now = time.monotonic()
        if now - self._leased_at.get(pk, float("-inf")) < RENEW_EVERY:
            return True
        if lease(pk, self._holder, datetime.now(UTC)):
            self._leased_at[pk] = now
            return True
        self._leased_at.pop(pk, None)
        return False

    def _begin(self, destination: Destination) -> None:
        try:
            kind = forwarders.get(destination.kind)
        except LookupError as error:
            Destination.objects.filter(pk=destination.pk).update(state=line.REFUSED, state_text=str(error)[:500])
            return
        forwarder = kind(destination, self._own, self._journal)
        self._running[destination.pk] = (_fields(destination), forwarder)
        forwarder.start()

    def _end(self, pk: int) -> None:
        found = self._running.pop(pk, None)
        if found is not None:
            found[1].stop(0.0)
            found[1].join(DRAIN_SECONDS)

    def stop(self, drain: float, *, goodbye: bool = True) -> None:
        """Stop all of them; those that wait for acknowledgements get `drain` seconds for that together."""
        for _, forwarder in self._running.values():
            forwarder.stop(drain, goodbye=goodbye)
        until = time.monotonic() + drain + 1.0
        for _, forwarder in self._running.values():
            forwarder.join(max(0.0, until - time.monotonic()))
        Destination.objects.filter(holder=self._holder).update(held_until=None)

    def write_journal(self) -> None:
        """Store what the forwarders have to say."""
        rows: Sequence[Any] = self._journal.take()
        if rows:
            store.append(rows)


def _fields(destination: Destination) -> tuple[Any, ...]:
    return tuple(getattr(destination, name) for name in _CONFIGURATION)


def lease(pk: int, holder: str, now: datetime) -> bool:
    """Whether `holder` is the one that forwards to this destination for the next 15 seconds."""
    free = Destination.objects.filter(pk=pk, held_until__isnull=True)
    own = Destination.objects.filter(pk=pk, holder=holder)
    ended = Destination.objects.filter(pk=pk, held_until__lt=now)
    return bool((own | free | ended).update(holder=holder, held_until=now + LEASE))


# --- Made and changed by people ---------------------------------------------------------------------------------------------


def check(destination: Destination) -> None:
    """Raise ValidationError, by field, unless the destination makes sense; for whoever saves one."""
    destination.full_clean()
    errors: dict[str, str] = {}
    if destination.kind not in forwarders:
        errors["kind"] = f"There is no such kind, only {', '.join(forwarders)}."
    if destination.port == settings.BRIDGE_PORT and is_loopback(destination.host):
        errors["port"] = f"{shown(destination.host, destination.port)} is this bridge itself."
    for field, asked in (("query", admission), ("dropped", policy_of), ("tls_ca", address_of)):
        try:
            asked(destination)
        except Unfit as unfit:
            errors[field] = str(unfit)
    if errors:
        raise ValidationError(errors)


def begin(destination: Destination, *, from_start: bool = False) -> None:
    """Set where a new destination begins: with the next row, or with the oldest that is kept."""
    destination.start = str(Position.START if from_start else tail.newest())


FLAG_DESTINATION = "forward-port"
"""The name of the destination that `run_bridge -b` means."""


def use_flag_destination(*, wanted: bool) -> None:
    """See to it that the old bridge's `-b` is a destination while it is given, and only then."""
    found = Destination.objects.filter(name=FLAG_DESTINATION).first()
    if not wanted:
        if found is not None and found.enabled:
            Destination.objects.filter(pk=found.pk).update(enabled=False)
        return
    if found is None:
        found = Destination(name=FLAG_DESTINATION)
        begin(found)
    elif not found.enabled:
        begin(found)
    found.kind, found.host, found.port = "ps_bridge", "localhost", settings.FORWARD_PORT
    found.rate, found.enabled = OLD_BRIDGE_RATE, True
    found.save()
