"""From queued payloads to stored rows.

One thread decodes and inserts: a decoding thread beside an inserting one costs more in waiting for the interpreter
than it gains. The queue in front of it is bounded by bytes; whoever fills it is told to stop reading, so that a slow
database is felt by the senders and never by herald's memory.

A batch is decoded before its transaction begins. So even under full load SQLite's lock is free for about half of the
time, and other writers get their turn without a gap made for them (`bridge.other_writers_wait…` measures it).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, cast

from django.db import DataError, IntegrityError, InterfaceError, ProgrammingError, connection
from django.db import Error as DatabaseTrouble

from bridge import status
from bridge.codecs import Reason, Rejected, to_record
from bridge.conversations import Conversation, Sender
from bridge.hops import Hops
from bridge.journal import Journal
from bridge.models import BridgeId
from bridge.status import Figures, Identity
from logs import store
from logs.client import wire
from logs.client.wire import NUMBER_BYTES
from logs.record import Record
from logs.store import NOWHERE, Mark, Move

logger = logging.getLogger(__name__)

unpack_number = cast(Callable[[bytes], Mark], wire.NUMBER.unpack_from)

OVERHEAD = 64
"""What a payload costs in memory beside its bytes; without it a flood of tiny frames would not count."""
STATUS_EVERY = 2.0
SUMMARY_EVERY = 60.0
IDLE_WAIT = 0.5
RETRY_FIRST = 0.05
RETRY_LONGEST = 2.0


class Chunk(NamedTuple):
    """Payloads that arrived together on one connection."""

    payloads: list[bytes]
    received: datetime
    peer: str
    arrived: float
    """By time.monotonic()."""
    conversation: Conversation | None = None
    """Of a connection that has said hello."""

    @property
    def weight(self) -> int:
        """What it counts in the queue, in bytes."""
        return sum(map(len, self.payloads)) + OVERHEAD * len(self.payloads)


class Queue:
    """Payloads on their way from the listener to the batcher; what is taken counts until it is released.

    `put` never waits and never refuses: a frame that has been read is accepted. It answers whether reading must
    pause; `on_room` is called, from the batcher's thread, once half of the room is free again.
    """

    def __init__(self, *, most: int, rows: int, age: timedelta, on_room: Callable[[], None]) -> None:
        self._most = most
        self._batch_rows = rows
        # A batch of large frames must not be the whole queue, or there would be nothing to read ahead.
        self._batch_bytes = max(1, most // 8)
        self._age = age.total_seconds()
        self._on_room = on_room
        self._chunks: deque[tuple[Chunk, int]] = deque()
        self._changed = threading.Condition()
        self._wakes_at = 0  # frames; 0: nobody waits
        self._waiting_bytes = 0
        self._paused = False
        self._closed = False
        self.frames = 0
        self.bytes = 0

    def put(self, chunk: Chunk) -> bool:
        """Queue `chunk`; return whether reading must pause until `on_room` is called."""
        weight = chunk.weight
        with self._changed:
            self._chunks.append((chunk, weight))
            self.frames += len(chunk.payloads)
            self.bytes += weight
            self._waiting_bytes += weight
            if self._wakes_at and (self.frames >= self._wakes_at or self._waiting_bytes >= self._batch_bytes):
                self._wakes_at = 0
                self._changed.notify()
            if self.bytes >= self._most:
                self._paused = True
            return self._paused

    def take(self, patience: float) -> tuple[list[Chunk], int]:
        """Return the next batch, and its weight, which the caller gives back by `release`.

        Waits `patience` seconds for a first payload, then until the batch is full or its first payload is as old as a
        batch may get. Empty when nothing came, and when the queue is closed and empty. The last chunk may
        exceed the number of rows by what one read from a socket holds.
        """
        with self._changed:
            if not self._chunks and not self._closed:
                self._sleep(1, patience)
            if self._chunks:
                due = self._chunks[0][0].arrived + self._age
                while not self._is_batch_full() and (left := due - time.monotonic()) > 0:
                    self._sleep(self._batch_rows, left)
            return self._pop()

    def _sleep(self, frames: int, seconds: float) -> None:
        self._wakes_at = frames
        self._changed.wait(seconds)
        self._wakes_at = 0

    def _is_batch_full(self) -> bool:
        return self._closed or self.frames >= self._batch_rows or self._waiting_bytes >= self._batch_bytes

    def _pop(self) -> tuple[list[Chunk], int]:
        batch: list[Chunk] = []
        rows = total = 0
        while self._chunks and rows < self._batch_rows and total < self._batch_bytes:
            chunk, weight = self._chunks.popleft()
            batch.append(chunk)
            rows += len(chunk.payloads)
            total += weight
        self.frames -= rows
        self._waiting_bytes -= total
        return batch, total

    def release(self, weight: int) -> None:
        """Give back what a batch weighed: its records are stored, or refused."""
        with self._changed:
            self.bytes -= weight
            has_room = self._paused and self.bytes <= self._most // 2
            if has_room:
                self._paused = False
        if has_room:
            self._on_room()

    def close(self) -> None:
        """Say that nothing more will come."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    @property
    def is_done(self) -> bool:
        """Whether nothing will come any more and everything has been taken."""
        return self._closed and not self._chunks


def is_about_content(error: Exception) -> bool:
    """Whether the database refuses what it was given, rather than being in trouble itself.

    Told apart so that one guilty record does not hold up all others for ever, and a database in trouble costs none.
    A duplicate key is no fault of a record: herald gives the keys.
    """
    state: str = getattr(error.__cause__, "sqlstate", None) or ""
    if state:
        # data exception, integrity violation, limit exceeded (an index row, say)
        return state[:2] in ("22", "23", "54") and state != "23505"
    if isinstance(error, IntegrityError):
        return "UNIQUE" not in str(error)
    if isinstance(error, DataError):
        return True
    if isinstance(error, InterfaceError | ProgrammingError):
        return "bind" in str(error)  # SQLite: a value of a type it does not know
    # Not the database's word at all: an adapter could not even write the value down.
    return not isinstance(error, DatabaseTrouble)


Origin = tuple[Sender, Mark]
"""The acknowledged sender of a record, and the number it came under."""


class Batch:
    """Records on their way into one transaction, and how far their senders will then have come.

    `origins` has an entry for each record: None for one whose sender gets no acknowledgement. For each acknowledged
    sender `after` is where its mark was when its records were taken, and `progress` where it will be. They are kept
    here because the greeter may set the sender's own mark meanwhile.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.origins: list[Origin | None] = []
        self.after: dict[Sender, Mark] = {}
        self.progress: dict[Sender, Mark] = {}

    def enter(self, sender: Sender) -> Mark:
        """Return the number up to which what `sender` sends is stored, or in this batch already."""
        at = self.progress.get(sender)
        if at is None:
            at = self.after[sender] = self.progress[sender] = sender.mark
        return at

    @property
    def moves(self) -> dict[str, Move]:
        """The marks that move when this is stored."""
        return {
            sender.id: Move(self.after[sender], to) for sender, to in self.progress.items() if to > self.after[sender]
        }

    def learn(self, marks: Mapping[str, Mark]) -> int:
        """Another writer has moved marks: drop the records it has stored already, and return how many."""
        for sender in self.after:
            self.after[sender] = marks.get(sender.id, self.after[sender])
        return self._drop_stored()

    def _drop_stored(self) -> int:
        kept = [origin is None or origin[1] > self.after[origin[0]] for origin in self.origins]
        if all(kept):
            return 0
        self.records = [record for record, keep in zip(self.records, kept, strict=True) if keep]
        self.origins = [origin for origin, keep in zip(self.origins, kept, strict=True) if keep]
        return kept.count(False)

    def settle(self) -> None:
        """It is stored: the senders have come so far."""
        for sender, to in self.progress.items():
            sender.mark = self.after[sender] = max(to, self.after[sender])

    def first_half(self) -> Batch:
        """Return the first half of the records as a batch that moves marks no further than they reach."""
        half, middle = Batch(), len(self.records) // 2
        half.records, half.origins = self.records[:middle], self.origins[:middle]
        half.after = dict(self.after)
        half.progress = dict(self.after)
        half.progress.update(origin for origin in half.origins if origin is not None)
        return half

    def rest(self, first: Batch) -> tuple[Batch, int]:
        """Return what is left when the first half is stored, and how many records of it another writer has stored."""
        rest, middle = Batch(), len(self.records) // 2
        rest.records, rest.origins = self.records[middle:], self.origins[middle:]
        rest.after, rest.progress = first.after, self.progress
        return rest, rest._drop_stored()

    def without_records(self) -> Batch:
        """Return a batch that moves the marks past records that cannot be stored."""
        bare = Batch()
        bare.after, bare.progress = self.after, self.progress
        return bare


class Batcher(threading.Thread):
    """Decodes what is queued and stores it, batch by batch, until the queue is closed and empty.

    `on_end` is called from this thread when it ends; `failure` is what it died of.
    """

    def __init__(
        self,
        queue: Queue,
        figures: Figures,
        journal: Journal,
        identity: Identity,
        on_end: Callable[[], None] = lambda: None,
        hops: Hops | None = None,
    ) -> None:
        super().__init__(name="bridge batcher", daemon=True)
        self._hops = hops or Hops()
        self.failure: BaseException | None = None
        self._queue = queue
        self._figures = figures
        self._journal = journal
        self._identity = identity
        self._on_end = on_end
        self._in_hand = 0
        self._trouble_since: float | None = None
        self._status_due = 0.0
        self._summary_due = time.monotonic() + SUMMARY_EVERY
        self._summed = figures.rejections()
        self._bugs: set[str] = set()
        # Said only when what came before is stored: who comes back at once then hears of it.
        self._refusals: list[tuple[Conversation, wire.Refusal]] = []

    @property
    def unstored(self) -> int:
        """How many accepted records are neither stored nor rejected."""
        return self._queue.frames + self._in_hand

    def run(self) -> None:
        try:
            while not self._queue.is_done:
                self._turn(IDLE_WAIT)
            self._sum_up()
            self.store(self._with_journal(Batch()))
            self._save_status(stopped=True)
        except BaseException as failure:  # the daemon re-raises it: a thread's end must not go unnoticed
            self.failure = failure
        finally:
            connection.close()
            self._on_end()

    def _turn(self, patience: float) -> None:
        chunks, weight = self._queue.take(patience)
        self._in_hand = sum(len(chunk.payloads) for chunk in chunks)
        batch = self._decode(chunks)
        sent = len(batch.records)
        senders = list(batch.progress)
        self._with_journal(batch)
        if batch.records or batch.moves:
            self._figures.stored += sent - self.store(batch)
            self._figures.batches += 1
        self._in_hand = 0
        self._queue.release(weight)
        self._acknowledge(senders)
        self._keep_accounts()

    def _with_journal(self, batch: Batch) -> Batch:
        """Put what the bridge itself has to say behind what senders said."""
        own = self._journal.take()
        batch.records += own
        batch.origins += [None] * len(own)
        return batch

    def _acknowledge(self, senders: Iterable[Sender]) -> None:
        for sender in senders:
            ack, line = sender.ack(), sender.line
            if line is not None:
                line.reply(ack)
        for conversation, refusal in self._refusals:
            conversation.line.refuse(refusal)
        self._refusals.clear()

    # --- Decoding --------------------------------------------------------------------------------------

    def _decode(self, chunks: Sequence[Chunk]) -> Batch:
        batch = Batch()
        for chunk in chunks:
            conversation = chunk.conversation
            if conversation is None:
                self._take_plain(batch, chunk)
            elif conversation.sender is None:
                self._take_known(batch, chunk, conversation)
            else:
                self._take_numbered(batch, chunk, conversation, conversation.sender)
        return batch

    def _take_plain(self, batch: Batch, chunk: Chunk) -> None:
        add = batch.records.append
        payloads, received, peer = chunk[:3]
        for payload in payloads:
            try:
                add(to_record(payload, received=received, peer=peer))
            except Exception as fault:
                self._reject(fault, payload, peer, received)
        batch.origins += [None] * (len(batch.records) - len(batch.origins))

    def _take_known(self, batch: Batch, chunk: Chunk, conversation: Conversation) -> None:
        """Take from somebody who said hello and wants no acknowledgement."""
        for payload in chunk.payloads:
            try:
                batch.records.append(conversation.to_record(payload, chunk.received))
                batch.origins.append(None)
            except Exception as fault:
                self._reject(fault, payload, chunk.peer, chunk.received)

    def _take_numbered(self, batch: Batch, chunk: Chunk, conversation: Conversation, sender: Sender) -> None:
        """Take what an acknowledged sender sent, each record once, however often it came.

        Earlier frames of the sender, on whatever connection, went through here before: `at` is where they end.
        """
        if conversation.is_over:
            return
        add, note, received = batch.records.append, batch.origins.append, chunk.received
        read = conversation.reader(received)
        at = batch.enter(sender)
        last = conversation.last
        try:
            for payload in chunk.payloads:
                if len(payload) < NUMBER_BYTES:
                    raise wire.ProtocolError("bad frame", "each frame begins with its number, of 16 bytes")
                number = unpack_number(payload)
                if number <= last or number[1] < 0:
                    self._listen(conversation, number, payload, received)
                    continue
                last = number
                if number <= at:
                    self._figures.repeated += 1
                    continue
                at = number
                try:
                    add(read(payload[NUMBER_BYTES:]))
                    note((sender, number))
                except Exception as fault:
                    sender.reject(number, self._reject(fault, payload[NUMBER_BYTES:], chunk.peer, received))
        except wire.ProtocolError as error:
            self._figures.reject(error.reason, error.text, peer=chunk.peer, data=payload, at=received)
            conversation.is_over = True
            self._refusals.append((conversation, wire.Refusal(error.reason, error.text)))
        conversation.last = last
        batch.progress[sender] = at

    def _listen(self, conversation: Conversation, number: Mark, payload: bytes, received: datetime) -> None:
        """Take a message about the connection; raises ProtocolError for a number that goes backwards."""
        if number != NOWHERE:
            raise wire.ProtocolError(
                "number goes back", f"the number {number[0]}.{number[1]} came after a greater one, or is none"
            )
        told = wire.parse_beat(payload[NUMBER_BYTES:])
        if conversation.heard is not None:
            conversation.heard.beat(told, received)

    def _reject(self, fault: Exception, payload: bytes, peer: str, received: datetime) -> Rejected:
        """Count what cannot be a record, and return why."""
        if not isinstance(fault, Rejected):
            self._tell_bug(fault)
            fault = Rejected(Reason.BUG, repr(fault))
        self._figures.reject(fault.reason, fault.detail, peer=peer, data=payload, at=received)
        return fault

    def _tell_bug(self, bug: Exception) -> None:
        """Log the traceback of a fault of herald's own, once for each kind: a sender could repeat it for ever."""
        kind = f"{type(bug).__name__} at {_place(bug)}"
        if kind not in self._bugs and len(self._bugs) < 100:
            self._bugs.add(kind)
            logger.error("a bug of herald's, please report it; the record is skipped", exc_info=bug)

    # --- Storing ---------------------------------------------------------------------------------------

    def store(self, batch: Batch) -> int:
        """Store a batch, however long the database needs; return how many records were not stored after all.

        Those are the ones the database refused for their content, and those another bridge had stored meanwhile.
        """
        delay = RETRY_FIRST
        left = 0
        while batch.records or batch.moves:
            try:
                store.append(batch.records, marks=batch.moves)
            except store.MarkMoved as moved:
                repeated = batch.learn(moved.marks)
                self._figures.repeated += repeated
                left += repeated
            except Exception as error:
                if is_about_content(error):
                    return left + self._store_by_halves(batch, error)
                self._begin_trouble(error)
                time.sleep(delay)
                delay = min(2 * delay, RETRY_LONGEST)
            else:
                batch.settle()
                self._end_trouble()
                break
        return left

    def _store_by_halves(self, batch: Batch, error: Exception) -> int:
        """Find the guilty ones: what can be stored is, in order."""
        if len(batch.records) == 1:
            self._refuse(batch.records[0], batch.origins[0], error)
            return 1 + self.store(batch.without_records())
        first = batch.first_half()
        left = self.store(first)
        rest, repeated = batch.rest(first)
        self._figures.repeated += repeated
        return left + repeated + self.store(rest)

    def _refuse(self, record: Record, origin: Origin | None, error: Exception) -> None:
        said = " ".join(str(error).split())
        data = record.message.encode("utf-8", "backslashreplace")
        self._figures.reject(Reason.REFUSED, said, peer=record.peer, data=data, at=record.received)
        if origin is not None:
            origin[0].reject(origin[1], Rejected(Reason.REFUSED, said))
        if not isinstance(error, DatabaseTrouble):
            self._tell_bug(error)

    def _begin_trouble(self, error: Exception) -> None:
        """Say once that the database does not work; the batch is kept, and tried again."""
        said = " ".join(str(error).split())
        self._figures.database_failed(said, datetime.now(UTC))
        if self._trouble_since is None:
            self._trouble_since = time.monotonic()
            # Not a row of the log: that is what does not work.
            logger.error("the database takes no records: %s. They wait, and senders will; herald keeps trying", said)
        self._figures.trouble = status.safe(said)
        try:
            connection.close_if_unusable_or_obsolete()
        except DatabaseTrouble:
            connection.close()

    def _end_trouble(self) -> None:
        if self._trouble_since is None:
            return
        lasted = time.monotonic() - self._trouble_since
        self._trouble_since = None
        said, self._figures.trouble = self._figures.trouble, ""
        self._journal.say(logging.WARNING, f"the database works again after {lasted:.1f} s without it: {said}")

    # --- Accounts --------------------------------------------------------------------------------------

    def _keep_accounts(self) -> None:
        now = time.monotonic()
        if now >= self._summary_due:
            self._summary_due = now + SUMMARY_EVERY
            self._sum_up()
        if now >= self._status_due:
            self._status_due = now + STATUS_EVERY
            self._save_status()

    def _sum_up(self) -> None:
        """Tell in one row what was rejected since the last time."""
        rejected = self._figures.rejections()
        fresh, self._summed = rejected - self._summed, rejected
        if fresh:
            reasons = ", ".join(f"{number:,} {reason}" for reason, number in fresh.most_common())
            total = fresh.total()
            what = "payload" if total == 1 else "payloads"
            self._journal.say(logging.WARNING, f"rejected {total:,} {what}: {reasons}")

    def _save_status(self, *, stopped: bool = False) -> None:
        figures = self._figures.as_dict(queue_frames=self._queue.frames, queue_bytes=self._queue.bytes)
        try:
            status.save(self._identity, figures, datetime.now(UTC), stopped=stopped)
            self._hops.save(BridgeId.own())
        except DatabaseTrouble as error:
            logger.debug("the status could not be written: %s", error)


def _place(bug: Exception) -> str:
    trace = bug.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
