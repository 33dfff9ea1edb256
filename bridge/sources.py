"""How records come in: TCP listeners, plain and encrypted, that split frames and do nothing else.

A frame is four bytes of length, big endian, and a payload. Payloads are queued as they are, with the peer and the
moment they were read; what they mean is the batcher's business. Only a hello, which may be the first frame of a
connection, is looked at here, and answered by the greeter.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import cast

from bridge.addresses import shown
from bridge.batcher import Chunk, Queue
from bridge.codecs import is_hello
from bridge.conversations import Caller, Conversation
from bridge.encryption import Encryption, Handshakes, Trouble
from bridge.hops import Hops
from bridge.journal import Acquaintances, Journal
from bridge.status import Figures
from bridge.tls import common_name
from logs.client import wire

LENGTH_BYTES = 4
READ_BYTES = 65_536
"""What one read takes at most. All connections share one buffer: a read is used up before the next begins."""
LARGE = READ_BYTES
"""A frame above this needs room of its own before it is read on; see `_LargeFrames`."""
SWEEP_SECONDS = 0.5
QUIET_SECONDS = 0.15
"""A drain ends when no client has sent anything for this long."""
BACKLOG = 512
KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
)


class Fault(StrEnum):
    """Why a frame was rejected before anybody looked into it."""

    EMPTY = "empty"
    OVERSIZED = "over the frame limit"
    TLS = "TLS"
    HTTP = "HTTP"
    STALLED = "stalled"
    CUT_SHORT = "cut short"
    NO_HELLO = "no credentials"


class Hold(StrEnum):
    """Why herald does not read from anybody."""

    QUEUE = "queue is full"
    DISK = "disk is full"


_HTTP = (b"GET ", b"POST", b"PUT ", b"HEAD", b"OPTI", b"PATC", b"DELE", b"CONN", b"TRAC", b"PRI ")
_TLS_HANDSHAKE = b"\x16\x03"

_DETAILS = {
    Fault.EMPTY: "a frame of no bytes",
    Fault.HTTP: "the record port speaks no HTTP; the web pages have a port of their own",
    Fault.STALLED: "the rest of a frame did not come in time",
    Fault.CUT_SHORT: "the connection ended within a frame",
    Fault.NO_HELLO: "this bridge takes records from senders with credentials only (HERALD_BRIDGE_CREDENTIALS)",
}


def recognise(header: bytes) -> Fault:
    """Return what somebody speaks whose first four bytes are the length of no frame."""
    if header.startswith(_TLS_HANDSHAKE):
        return Fault.TLS
    return Fault.HTTP if header in _HTTP else Fault.OVERSIZED


@dataclass(frozen=True)
class Limits:
    """What a stranger may ask of the listener. Lengths in bytes, the deadline in seconds."""

    frame: int
    clients: int
    deadline: float
    large_frames: int
    """How much may be held of frames above 64 KiB that are still coming."""
    must_say_hello: bool = False
    """Whether records are taken only from senders that have shown a credential."""


class CannotListen(Exception):
    """The address cannot be listened on; the text is for the operator."""


class _LargeFrames:
    """The room for large frames that have begun to come.

    Small ones are bounded by the number of clients. A large one waits, unread, until there is room for all of it, so
    that a thousand clients that begin a megabyte each cost no gigabyte; one that has room can always be finished,
    so nothing waits for ever.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[Connection, int] = {}
        self._waiting: OrderedDict[Connection, int] = OrderedDict()

    def ask(self, connection: Connection, size: int) -> bool:
        """Whether `connection` may read a frame of `size` now; if not, it is told when it may."""
        if connection in self._held:
            return True
        if self._held and sum(self._held.values()) + size > self._most:
            self._waiting[connection] = size
            return False
        self._held[connection] = size
        return True

    def give_back(self, connection: Connection) -> None:
        """The frame is there, or will never be."""
        self._waiting.pop(connection, None)
        if self._held.pop(connection, None) is None:
            return
        while self._waiting:
            waiting, size = next(iter(self._waiting.items()))
            if self._held and sum(self._held.values()) + size > self._most:
                return
            del self._waiting[waiting]
            self._held[waiting] = size
            waiting.room_granted()


class Connection(asyncio.BufferedProtocol):
    """One client: splits its stream into payloads."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._transport: asyncio.Transport | None = None
        self._begun = bytearray()
        self._needed = 0
        self._begun_at = 0.0
        self._paused_at: float | None = None
        self._waits_for_room = False
        self._frame_max = intake.limits.frame
        # Until its first frame is there, a connection may be anybody's.
        self._is_new = True
        self._waits_for_answer = False
        self._after_hello = b""
        # Who has not said hello reads nothing: it would break the connection when it closes.
        self._says_nothing = False
        self._conversation: Conversation | None = None
        self._acked = wire.START
        self._answered_at = 0.0
        self._unwritten: wire.Ack | None = None
        self._is_clogged = False
        self.peer = ""
        self.is_encrypted = False
        self.certificate_name = ""
        """For whom the client's verified certificate was made; empty where none was asked for, or it names nobody."""

    # --- What asyncio calls ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        address = transport.get_extra_info("peername")
        self.peer = str(address[0]) if address else ""
        self.is_encrypted = transport.get_extra_info("ssl_object") is not None
        self.certificate_name = common_name(transport.get_extra_info("peercert"))
        if not self._intake.admit(self):
            self._transport.abort()
            return
        sock = transport.get_extra_info("socket")
        for option in KEEPALIVE:
            sock.setsockopt(*option)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._intake.buffer

    def buffer_updated(self, nbytes: int) -> None:
        intake = self._intake
        intake.figures.bytes += nbytes
        if self._begun:
            self._begun += intake.view[:nbytes]
            if len(self._begun) < self._needed:
                return
            data = bytes(self._begun)
        else:
            data = bytes(intake.view[:nbytes])
        self._split(data)

    def eof_received(self) -> None:
        """Let the transport close; what had begun to come is dealt with when it has."""

    def connection_lost(self, exc: Exception | None) -> None:
        # A sender with acknowledgements sends again what has not come whole: that is no loss.
        if self._begun and not self.is_acknowledged:
            self._reject(Fault.CUT_SHORT, bytes(self._begun[:100]))
        self._forget_begun()
        self._transport = None
        self._intake.dismiss(self)
        if self._conversation is not None:
            self._intake.part(self._conversation)

    def pause_writing(self) -> None:
        self._is_clogged = True

    def resume_writing(self) -> None:
        self._is_clogged = False
        if self._unwritten is not None:
            unwritten, self._unwritten = self._unwritten, None
            self._write_ack(unwritten)

    # --- Frames ----------------------------------------------------------------------------------------

    def _split(self, data: bytes) -> None:
        if self._is_new and self._opens_protocol(data):
            return
        payloads: list[bytes] = []
        position, end = 0, len(data)
        frame_max = self._frame_max
        fault: Fault | None = None
        while (start := position + LENGTH_BYTES) <= end:
            stop = start + int.from_bytes(data[position:start], "big")
            if stop > end or stop == start or stop - start > frame_max:
                if stop - start > frame_max:
                    fault = recognise(data[position:start])
                    break
                if stop > end:
                    break
                self._reject(Fault.EMPTY, b"")
            else:
                payloads.append(data[start:stop])
            position = stop
        if payloads:
            self._intake.take(payloads, self.peer, self._conversation)
        if fault is not None:
            self._end(fault, data[position:])
        else:
            self._keep(data, position, end)

    def _keep(self, data: bytes, position: int, end: int) -> None:
        """Keep the beginning of a frame until the rest comes."""
        continues = position == 0 and bool(self._begun)
        if not continues:
            self._forget_begun()
            self._begun_at = self._intake.now()
        if position == end:
            return
        if not continues:
            self._begun = bytearray(data[position:])
        self._needed = LENGTH_BYTES
        if end - position >= LENGTH_BYTES:
            self._needed += int.from_bytes(data[position : position + LENGTH_BYTES], "big")
        if self._needed > LARGE and not self._intake.large_frames.ask(self, self._needed):
            self._waits_for_room = True
            self.settle()

    def _forget_begun(self) -> None:
        self._begun = bytearray()
        self._waits_for_room = False
        self._intake.large_frames.give_back(self)

    def _reject(self, fault: Fault, data: bytes) -> None:
        if fault is Fault.TLS:
            detail = self._intake.where_tls_is
        else:
            detail = _DETAILS.get(fault) or (
                f"a length of {int.from_bytes(data[:LENGTH_BYTES], 'big'):,} bytes; "
                f"at most {self._intake.limits.frame:,} are taken (HERALD_FRAME_MAX)"
            )
        self._intake.reject(fault, detail, self.peer, data)

    def _end(self, fault: Fault, data: bytes) -> None:
        self._reject(fault, data)
        self._forget_begun()
        if self.is_acknowledged and fault is Fault.OVERSIZED:
            self._part_with(wire.Refusal(fault, f"a frame may have {self._frame_max:,} bytes at most"))
        else:
            self.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def leave(self) -> None:
        """Close once what has been written is on its way."""
        if self._transport is not None:
            self._transport.close()

    # --- The acknowledged protocol -----------------------------------------------------------------------

    @property
    def is_acknowledged(self) -> bool:
        """Whether the sender gets acknowledgements."""
        return self._conversation is not None and self._conversation.sender is not None

    @property
    def is_open(self) -> bool:
        """Whether an answer still reaches anybody."""
        return self._transport is not None and not self._transport.is_closing()

    def _opens_protocol(self, data: bytes) -> bool:
        """Whether the first frame is a hello; then it is being answered, and what follows waits."""
        if len(data) < LENGTH_BYTES:
            return False
        stop = LENGTH_BYTES + int.from_bytes(data[:LENGTH_BYTES], "big")
        if stop > len(data):
            return False  # it is not there yet, or never will be
        self._is_new = False
        payload = data[LENGTH_BYTES:stop]
        if is_hello(payload):
            self._after_hello = data[stop:]
        elif self.certificate_name:
            # A certificate says who this is, as a hello would: what its holder may write is looked up all the same.
            self._says_nothing = True
            payload = wire.Hello(sender="certificate", name=self.certificate_name[:200], ack=False).encode()
            self._after_hello = data
        elif self._intake.limits.must_say_hello:
            self._end(Fault.NO_HELLO, b"")
            return True
        else:
            return False
        self._forget_begun()
        self._waits_for_answer = True
        self.settle()
        self._intake.greet(self, payload)
        return True

    def answered(self, answer: wire.Welcome | wire.Refusal, conversation: Conversation | None) -> None:
        """Take the greeter's answer to the hello; called in the event loop."""
        if self._transport is None or self._transport.is_closing():
            if conversation is not None:
                self._intake.part(conversation)
            return
        if isinstance(answer, wire.Refusal):
            self._part_with(answer)
            return
        self._conversation = conversation
        if self.is_acknowledged:
            self._frame_max += wire.NUMBER_BYTES
            self._acked = answer.acked
        if not self._says_nothing:
            self._transport.write(wire.framed(answer.encode()))
        self._answered_at = self._intake.now()
        self._waits_for_answer = False
        following, self._after_hello = self._after_hello, b""
        if following:
            self._split(following)
        self.settle()

    def reply(self, answer: wire.Ack) -> None:
        """Send an acknowledgement; from any thread."""
        self._intake.in_loop(self._write_ack, answer)

    def refuse(self, refusal: wire.Refusal) -> None:
        """Say why herald will not go on with this connection, and close it; from any thread."""
        self._intake.in_loop(self._part_with, refusal)

    def _write_ack(self, ack: wire.Ack) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._acked = ack.acked
        if self._is_clogged:
            # The newest stands for all; what it leaves out of earlier ones is counted.
            before = self._unwritten
            if before is not None:
                rejected = (*before.rejected, *ack.rejected)
                left_out = max(0, len(rejected) - wire.REJECTED_MAX)
                ack = wire.Ack(ack.acked, rejected[: wire.REJECTED_MAX], before.more + ack.more + left_out)
            self._unwritten = ack
            return
        self._transport.write(wire.framed(ack.encode()))
        self._answered_at = self._intake.now()

    def _part_with(self, refusal: wire.Refusal) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if not self._says_nothing:
            self._transport.write(wire.framed(refusal.encode()))
        self._forget_begun()
        self._transport.close()

    def beat_if_due(self, now: float) -> None:
        """Let the sender know that herald is there, also while it reads nothing."""
        if self.is_acknowledged and now - self._answered_at >= wire.BEAT_SECONDS:
            self._write_ack(wire.Ack(self._acked))

    # --- Reading and not reading -----------------------------------------------------------------------

    def room_granted(self) -> None:
        self._waits_for_room = False
        self.settle()

    def settle(self) -> None:
        """Read, or do not, as the intake and the room for large frames want it."""
        if self._transport is None or self._transport.is_closing():
            return
        now = self._intake.now()
        if self._intake.is_held or self._waits_for_room or self._waits_for_answer or self._is_done():
            if self._paused_at is None:
                self._paused_at = now
                self._transport.pause_reading()
        elif self._paused_at is not None:
            # The client could not go on while herald did not read.
            self._begun_at += now - self._paused_at
            self._paused_at = None
            self._transport.resume_reading()

    def _is_done(self) -> bool:
        """Whether the intake drains: what an acknowledged sender has not sent yet, it sends to the next one."""
        return self._intake.is_draining and self.is_acknowledged

    def end_if_stalled(self, now: float) -> None:
        """Close when a frame that has begun did not come to its end in time."""
        if not self._begun or self._paused_at is not None:
            return
        if now - self._begun_at > self._intake.limits.deadline:
            self._end(Fault.STALLED, bytes(self._begun[:100]))


class Intake:
    """The listeners and their connections. Everything here happens in the event loop's thread."""

    def __init__(
        self,
        queue: Queue,
        figures: Figures,
        journal: Journal,
        limits: Limits,
        is_disk_full: Callable[[], bool],
        greet: Callable[[Caller], None],
        hops: Hops,
    ) -> None:
        self.figures = figures
        self.limits = limits
        self.buffer = bytearray(READ_BYTES)
        self.view = memoryview(self.buffer)
        self.large_frames = _LargeFrames(limits.large_frames)
        self.address = ""
        self.encrypted_address = ""
        """Empty where there is no encrypted port."""
        self.now = asyncio.get_running_loop().time
        self._queue = queue
        self._journal = journal
        self._is_disk_full = is_disk_full
        self._greet = greet
        self._hops = hops
        self._loop = asyncio.get_running_loop()
        self.is_draining = False
        self._connections: set[Connection] = set()
        self._known = Acquaintances()
        self._holds: set[Hold] = set()
        self._held_since = 0.0
        self._servers: list[asyncio.Server] = []
        self._handshakes: Handshakes | None = None
        self._sweeper: asyncio.Task[None] | None = None

    # --- Life ------------------------------------------------------------------------------------------

    async def open(self, host: str, port: int) -> None:
        """Take the address, without accepting anybody yet; raises CannotListen."""
        taken = await self._take_address(lambda: Connection(self), host, port, "HERALD_BRIDGE")
        self.address = shown(host, taken)

    async def open_encrypted(self, host: str, port: int, context: ssl.SSLContext) -> None:
        """Take a second address, at which clients speak TLS; after `open()`. Raises CannotListen."""
        handshakes = Handshakes(
            context,
            most=self.limits.clients,
            deadline=self.limits.deadline,
            view=self.view,
            now=self.now,
            refuse=self._refuse,
            reject=self.reject,
        )
        taken = await self._take_address(
            lambda: Encryption(handshakes, Connection(self)), host, port, "HERALD_BRIDGE_TLS"
        )
        self.encrypted_address = shown(host, taken)
        self._handshakes = handshakes

    async def _take_address(
        self, client: Callable[[], asyncio.BaseProtocol], host: str, port: int, variable: str
    ) -> int:
        """Return the port that was really taken, which matters where 0 was asked for; raises CannotListen."""
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(client, host, port, backlog=BACKLOG, start_serving=False)
        except (OSError, OverflowError) as error:
            raise CannotListen(why_not(error, host, port, variable)) from error
        self._servers.append(server)
        return _port_of(server)

    @property
    def port(self) -> int:
        """The plain port that was really taken."""
        return _port_of(self._servers[0])

    async def start(self) -> None:
        """Accept clients from now on; raises CannotListen."""
        self._look_at_disk()
        for server, variable in zip(self._servers, ("HERALD_BRIDGE", "HERALD_BRIDGE_TLS"), strict=False):
            try:
                await server.start_serving()
            except OSError as error:
                host, port = server.sockets[0].getsockname()[:2]
                raise CannotListen(why_not(error, host, port, variable)) from error
        self._sweeper = asyncio.create_task(self._sweep_for_ever())

    async def drain(self, seconds: float) -> None:
        """Accept nobody more, read what clients have already sent, at most for `seconds`, then part from them."""
        deadline = self.now() + seconds
        self.is_draining = True
        # Who has connected already waits to be accepted, with what he has sent.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for server in self._servers:
            server.close()
        self._settle_all()
        while self.now() < deadline and self._connections and Hold.DISK not in self._holds:
            before = self.figures.bytes
            await asyncio.sleep(QUIET_SECONDS)
            if self.figures.bytes == before and not self._holds:
                break
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._handshakes is not None:
            self._handshakes.end_all()
        for connection in list(self._connections):
            if not connection.is_acknowledged:
                connection.close()
        await asyncio.sleep(0)
        self._account_pause()

    async def leave(self) -> None:
        """Part from those who waited for their last acknowledgements."""
        for connection in list(self._connections):
            connection.leave()
        await asyncio.sleep(0)

    # --- Clients ---------------------------------------------------------------------------------------

    def admit(self, connection: Connection) -> bool:
        """Whether there is room for one more client."""
        if len(self._connections) >= self.limits.clients:
            self._refuse()
            return False
        self._connections.add(connection)
        self.figures.connections += 1
        self.figures.clients = len(self._connections)
        connection.settle()
        now = datetime.now(UTC)
        if self._known.is_new(connection.peer, now):
            address = self.encrypted_address if connection.is_encrypted else self.address
            self._journal.say(logging.DEBUG, f"client connected from {connection.peer} on {address}", now)
        return True

    def _refuse(self) -> None:
        self.figures.refused += 1

    def dismiss(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self.figures.clients = len(self._connections)

    def greet(self, connection: Connection, payload: bytes) -> None:
        """Have a hello answered."""
        caller = Caller(
            payload=payload,
            line=connection,
            certificate_name=connection.certificate_name,
            answer=lambda answer, conversation: self.in_loop(connection.answered, answer, conversation),
        )
        self._greet(caller)

    def part(self, conversation: Conversation) -> None:
        """A connection that had said hello has ended."""
        if conversation.heard is not None:
            self._hops.leave(conversation.heard)
        sender = conversation.sender
        if sender is not None and sender.line is conversation.line:
            sender.line = None

    def in_loop(self, call: Callable[..., None], *arguments: object) -> None:
        """Have `call` run in the event loop's thread; from any thread."""
        # The loop is closed when the drain took too long; nobody is left to be told.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *arguments)

    def take(self, payloads: list[bytes], peer: str, conversation: Conversation | None = None) -> None:
        """Queue payloads that came together."""
        self.figures.received += len(payloads)
        if self._queue.put(Chunk(payloads, datetime.now(UTC), peer, self.now(), conversation)):
            self.hold(Hold.QUEUE)

    @property
    def where_tls_is(self) -> str:
        """What to tell who speaks TLS to the plain port."""
        return "the plain record port speaks no TLS; " + (
            f"{self.encrypted_address} does (HERALD_BRIDGE_TLS_PORT)"
            if self.encrypted_address
            else "HERALD_BRIDGE_TLS_PORT opens one that does"
        )

    def reject(self, fault: Fault | Trouble, detail: str, peer: str, data: bytes) -> None:
        self.figures.reject(fault, detail, peer=peer, data=data, at=datetime.now(UTC))

    # --- Back-pressure ---------------------------------------------------------------------------------

    @property
    def is_held(self) -> bool:
        return bool(self._holds)

    def hold(self, reason: Hold) -> None:
        """Stop reading from everybody."""
        if not self._holds:
            self._held_since = self.now()
        if reason not in self._holds:
            self._holds.add(reason)
            self._settle_all()

    def room_in_queue(self) -> None:
        """Read again: the batcher has made room."""
        self.let_go(Hold.QUEUE)

    def let_go(self, reason: Hold) -> None:
        """Read again, unless there is another reason not to."""
        if reason in self._holds:
            self._account_pause()
            self._holds.discard(reason)
            self._settle_all()

    def _settle_all(self) -> None:
        self.figures.holds = sorted(self._holds)
        for connection in list(self._connections):
            connection.settle()

    def _account_pause(self) -> None:
        if self._holds:
            now = self.now()
            self.figures.paused += now - self._held_since
            self._held_since = now

    # --- What is looked at again and again ---------------------------------------------------------------

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._account_pause()
            self._look_at_disk()
            now = self.now()
            for connection in list(self._connections):
                connection.end_if_stalled(now)
                connection.beat_if_due(now)
            if self._handshakes is not None:
                self._handshakes.end_stalled(now)

    def _look_at_disk(self) -> None:
        is_full = self._is_disk_full()
        if is_full and Hold.DISK not in self._holds:
            self.hold(Hold.DISK)
            self._journal.say(
                logging.CRITICAL,
                "the disk of the database is almost full: herald takes no more records until there is room again "
                "(HERALD_DISK_FREE_MIN_PERCENT)",
            )
        elif not is_full and Hold.DISK in self._holds:
            self.let_go(Hold.DISK)
            self._journal.say(logging.WARNING, "the disk of the database has room again: herald takes records")


def _port_of(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


def why_not(error: Exception, host: str, port: int, variable: str) -> str:
    """Return what an operator can do about an address that cannot be listened on, set by `variable`_HOST and _PORT."""
    where = shown(host, port)
    number = getattr(error, "errno", None)
    if isinstance(error, OverflowError):
        return f"cannot listen on {where}: a port is a number from 0 to 65535 ({variable}_PORT)"
    if number == errno.EADDRINUSE:
        return (
            f"cannot listen on {where}: another program listens there already "
            f"(`ss -ltnp` names it); stop it, or set {variable}_PORT"
        )
    if number in (errno.EACCES, errno.EPERM):
        return f"cannot listen on {where}: not permitted; ports below 1024 are for root ({variable}_PORT)"
    if number == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"cannot listen on {where}: this machine has no such address ({variable}_HOST)"
    return f"cannot listen on {where}: {error}"
