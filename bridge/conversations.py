"""Senders that say hello: who they are, what they may write, and how far each of them has come.

A hello is answered from a thread of its own, because that takes the database. What a sender then sends goes the way of
all records; its numbers travel with it, and its acknowledgement comes back from the batcher.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import queue
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from django.conf import settings
from django.db import Error as DatabaseTrouble
from django.db import connection

from bridge.codecs import Reason, Rejected, relay, to_record
from bridge.hops import Heard, Hops
from bridge.journal import Journal
from bridge.models import BridgeId, Credential
from bridge.status import Figures, safe
from logs import store
from logs.client import wire
from logs.record import Record
from logs.store import Mark

logger = logging.getLogger(__name__)

SENDERS_REMEMBERED = 10_000
SEEN_EVERY_SECONDS = 60.0


class Line(Protocol):
    """A connection, as somebody sees it who answers there. Both methods may be called from any thread."""

    peer: str

    def reply(self, answer: wire.Ack) -> None:
        """Send an acknowledgement, or a later one in its place."""

    def refuse(self, refusal: wire.Refusal) -> None:
        """Say why, and close."""


@dataclass(eq=False)
class Sender:
    """One acknowledged sender, known to this process. `mark` is where its stored records end, as last seen.

    `rejected` and `more` are what the next acknowledgement has to tell; the batcher alone touches them.
    """

    id: str
    name: str
    mark: Mark
    line: Line | None = None
    rejected: list[wire.Rejection] = field(default_factory=list)
    more: int = 0

    def reject(self, sequence: Mark, rejected: Rejected) -> None:
        """Note a record that will never be stored."""
        if len(self.rejected) < wire.REJECTED_MAX:
            self.rejected.append(wire.Rejection(sequence, rejected.reason, safe(rejected.detail)))
        else:
            self.more += 1

    def ack(self) -> wire.Ack:
        """Return the acknowledgement that is due, and forget what it tells."""
        told = wire.Ack(self.mark, tuple(self.rejected), self.more)
        self.rejected, self.more = [], 0
        return told


@dataclass(frozen=True)
class Claim:
    """The system ids somebody may write under."""

    exact: frozenset[str]
    prefixes: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Claim | None:
        """Return what a credential's `systems` allows; None: everything."""
        patterns = text.split()
        if "*" in patterns:
            return None
        return cls(
            frozenset(pattern for pattern in patterns if not pattern.endswith("*")),
            tuple(pattern[:-1] for pattern in patterns if pattern.endswith("*")),
        )

    def allows(self, system_id: str) -> bool:
        return system_id in self.exact or (bool(self.prefixes) and system_id.startswith(self.prefixes))


@dataclass(eq=False)
class Conversation:
    """One connection that has said hello. `sender` is None where no acknowledgements are wanted.

    `last` is the number of the last record on this connection; once `is_over`, whatever else came on it is left.
    """

    line: Line
    sender: Sender | None
    claim: Claim | None
    own: str
    heard: Heard | None = None
    last: Mark = store.NOWHERE
    is_over: bool = False

    def reader(self, received: datetime) -> Callable[[bytes], Record]:
        """Return what makes records of payloads that were received together; see `to_record`."""
        if self.heard is None and self.claim is None:
            return partial(to_record, received=received, peer=self.line.peer)
        return partial(self.to_record, received=received)

    def to_record(self, payload: bytes, received: datetime) -> Record:
        """Return the record in `payload`; raises Rejected."""
        if self.heard is None:
            record = to_record(payload, received=received, peer=self.line.peer)
        else:
            record, origin = relay.decode(payload, received=received, peer=self.line.peer, own=self.own)
            self.heard.row(origin, received)
        if self.claim is not None and not self.claim.allows(record.system_id):
            raise Rejected(
                Reason.NOT_ITS_SYSTEM, f"the credential does not allow the system id {record.system_id[:100]!r}"
            )
        return record


class Refused(Exception):
    """A hello that is answered with a refusal."""

    def __init__(self, refusal: wire.Refusal) -> None:
        super().__init__(refusal.text)
        self.refusal = refusal


@dataclass(frozen=True)
class Caller:
    """Who says hello: the payload, the connection, and the name in its verified certificate (empty: none)."""

    payload: bytes
    line: Line
    certificate_name: str
    answer: Callable[[wire.Welcome | wire.Refusal, Conversation | None], None]


def new_secret() -> str:
    """Return a secret for a credential, which nobody guesses."""
    return secrets.token_urlsafe(32)


def secret_hash(secret: str) -> str:
    """Return what is kept of a credential's secret. It is random and long, so a quick hash does."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Greeter(threading.Thread):
    """Answers hellos, one after the other."""

    def __init__(self, figures: Figures, journal: Journal, hops: Hops, frame_max: int) -> None:
        super().__init__(name="bridge greeter", daemon=True)
        self._figures = figures
        self._journal = journal
        self._hops = hops
        self._frame_max = frame_max
        self._callers: queue.SimpleQueue[Caller | None] = queue.SimpleQueue()
        self._senders: OrderedDict[str, Sender] = OrderedDict()
        self._own = ""
        self._seen: dict[str, float] = {}

    def greet(self, caller: Caller) -> None:
        """Have a hello answered; `caller.answer` is called from the greeter's thread."""
        self._callers.put(caller)

    def stop(self) -> None:
        self._callers.put(None)

    def run(self) -> None:
        while (caller := self._callers.get()) is not None:
            try:
                welcome, conversation = self._welcome(caller)
            except Refused as refused:
                self._figures.reject(
                    refused.refusal.reason,
                    refused.refusal.text,
                    peer=caller.line.peer,
                    data=_without_secret(caller.payload),
                    at=datetime.now(UTC),
                )
                caller.answer(refused.refusal, None)
            except DatabaseTrouble as trouble:
                logger.debug("a hello could not be answered: %s", trouble)
                connection.close()
                caller.answer(wire.Refusal("not ready", "the database does not answer; come again later"), None)
            except Exception:
                logger.exception("a bug of herald's, please report it; a sender is sent away")
                caller.answer(wire.Refusal("not ready", "a fault of herald's own; come again later"), None)
            else:
                caller.answer(welcome, conversation)
        connection.close()

    # --- One hello ---------------------------------------------------------------------------------------

    def _welcome(self, caller: Caller) -> tuple[wire.Welcome, Conversation]:
        try:
            hello = wire.Hello.parse(caller.payload)
        except wire.ProtocolError as error:
            raise Refused(wire.Refusal(error.reason, error.text)) from None
        self._own = self._own or BridgeId.own()
        credential = self._authenticate(hello, caller)
        heard = self._as_bridge(hello, credential, caller) if hello.kind == "bridge" else None
        owner = credential.name if credential is not None else ""
        sender = self._sender(hello, caller.line, owner) if hello.ack else None
        conversation = Conversation(
            line=caller.line,
            sender=sender,
            claim=Claim.parse(credential.systems) if credential is not None else None,
            own=self._own,
            heard=heard,
        )
        welcome = wire.Welcome(
            acked=sender.mark if sender is not None else wire.START,
            bridge=self._own,
            name=settings.BRIDGE_NAME,
            level=settings.BRIDGE_LEVEL,
            time=time.time(),
            frame_max=self._frame_max,
        )
        return welcome, conversation

    def _authenticate(self, hello: wire.Hello, caller: Caller) -> Credential | None:
        """Return the credential by which somebody comes in; None where none is needed."""
        if hello.login:
            credential = Credential.objects.filter(name=hello.login).first()
            expected = credential.secret_hash if credential is not None else secret_hash("nobody")
            good = hmac.compare_digest(expected, secret_hash(hello.secret))
            if credential is None or not good or not credential.enabled:
                # One answer for all three: a stranger learns no names.
                raise Refused(wire.Refusal("wrong credentials", "these credentials are not accepted here"))
            return self._seen_now(credential, caller)
        if caller.certificate_name:
            credential = Credential.objects.filter(name=caller.certificate_name).first()
            if credential is not None and not credential.enabled:
                raise Refused(wire.Refusal("wrong credentials", "these credentials are not accepted here"))
            if credential is not None:
                return self._seen_now(credential, caller)
        if settings.BRIDGE_CREDENTIALS_REQUIRED and not caller.certificate_name:
            raise Refused(
                wire.Refusal("no credentials", "this bridge takes records from senders with credentials only")
            )
        return None

    def _seen_now(self, credential: Credential, caller: Caller) -> Credential:
        """Note that a credential is in use, once a minute at most."""
        now = time.monotonic()
        if now - self._seen.get(credential.name, float("-inf")) > SEEN_EVERY_SECONDS:
            self._seen[credential.name] = now
            Credential.objects.filter(pk=credential.pk).update(
                last_seen=datetime.now(UTC), last_peer=caller.line.peer[:200]
            )
        return credential

    def _as_bridge(self, hello: wire.Hello, credential: Credential | None, caller: Caller) -> Heard:
        if credential is not None and not credential.may_relay:
            raise Refused(
                wire.Refusal(
                    Reason.NOT_A_BRIDGE, "these credentials are no bridge's: they may not hand on others' rows"
                )
            )
        if hello.bridge == self._own:
            raise Refused(wire.Refusal("itself", "this bridge is the sender itself: its rows are here already"))
        return self._hops.hear(hello, caller.line.peer)

    def _sender(self, hello: wire.Hello, line: Line, owner: str) -> Sender:
        try:
            mark = store.mark_of(hello.sender, owner)
        except store.NotTheirs:
            raise Refused(
                wire.Refusal("not your sender", "this sender id belongs to other credentials; choose another at random")
            ) from None
        sender = self._senders.get(hello.sender)
        if sender is None:
            sender = self._senders[hello.sender] = Sender(hello.sender, hello.name, mark)
            if len(self._senders) > SENDERS_REMEMBERED:
                self._senders.popitem(last=False)
        self._senders.move_to_end(hello.sender)
        if sender.line is not None and sender.line is not line:
            sender.line.refuse(wire.Refusal("superseded", "the same sender has made another connection"))
        # What the database says counts, also against what this process remembers: it may have been restored.
        sender.mark, sender.line, sender.name = mark, line, hello.name
        if hello.acked > mark:
            self._tell_gap(hello, mark)
        return sender

    def _tell_gap(self, hello: wire.Hello, mark: Mark) -> None:
        """A sender was acknowledged what this database does not hold: it was restored from a backup, most likely."""
        self._figures.gaps += 1
        missing = f"{hello.acked[1] - mark[1]:,} records" if hello.acked[0] == mark[0] else "some records"
        self._journal.say(
            logging.WARNING,
            f"sender {safe(hello.name or hello.sender, 80)} was acknowledged up to {hello.acked[0]}.{hello.acked[1]}, "
            f"but this database ends at {mark[0]}.{mark[1]}: {missing} may be missing here, as after a restored backup",
        )


def _without_secret(payload: bytes) -> bytes:
    """Return what may be shown of a hello that was refused: a wrong secret may be the right one somewhere else."""
    return b"(a hello of %d bytes)" % len(payload)
