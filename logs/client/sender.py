"""Sends what a buffer holds to a herald, again and again until it is acknowledged.

One thread, one connection. The buffer decides what is sent; this module decides when, over which connection, and for
how long it believes in one.
"""

from __future__ import annotations

import os
import random
import selectors
import socket
import ssl
import time
from collections import deque
from typing import Any, Callable, NamedTuple

from logs.client import wire
from logs.client.wire import Sequence

CONNECT_SECONDS = 10.0
READ_BYTES = 65_536
WRITE_BYTES = 262_144
WINDOW_BYTES = 8_388_608
"""What may be on its way without an acknowledgement, in bytes."""
RETRY_FIRST = 0.15
RETRY_LONGEST = 30.0
"""The pause before the next connection grows so far; one that brought an acknowledgement lets it begin anew."""

CONNECTING = "connecting"
CONNECTED = "connected"
UNREACHABLE = "unreachable"
SILENT = "silent"
REFUSED = "refused"
LOST = "lost"
STOPPED = "stopped"
"""How the way to the server is. Unreachable: nothing accepts connections at the address. Silent: something accepts them,
but no herald answers. Refused: it answered, and will not have us. Lost: the connection broke."""


class Address(NamedTuple):
    """Where a server listens, and how it is spoken to. `tls` None means unencrypted."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    server_name: str = ""
    """The name its certificate must have; empty: `host`."""


class Trouble(Exception):
    """The connection cannot be had or kept; `state` is one of the words above."""

    def __init__(self, state: str, text: str) -> None:
        super().__init__(text)
        self.state = state
        self.text = text


class Buffer:
    """What a sender sends: records in order, kept until they are acknowledged. Called from the sender's thread alone.

    `sender` is random and born with the buffer; `acked` the highest number ever acknowledged. Both are told in
    each hello.
    """

    sender = ""
    acked: Sequence = wire.START

    def begin(self, welcome: wire.Welcome, hello: wire.Hello) -> None:
        """A connection stands: the next `read` begins after `welcome.acked`. Raises Trouble to leave it again."""
        raise NotImplementedError

    def read(self, bytes_max: int) -> list[tuple[Sequence, bytes]]:
        """Return the next numbered payloads, about `bytes_max` of them at most; empty when there are none now."""
        raise NotImplementedError

    def acknowledge(self, ack: wire.Ack) -> None:
        """Everything up to `ack.acked` need not be kept any longer."""
        raise NotImplementedError

    def idle(self) -> None:
        """Called about once a second while there is no connection."""

    @property
    def is_drained(self) -> bool:
        """Whether `read` will return nothing more before the sender stops."""
        return True


class Sender:
    """Keeps one buffer flowing to one address until `stop` is called. `run` is the body of a thread."""

    def __init__(
        self,
        address: Callable[[], Address],
        buffer: Buffer,
        hello: Callable[[], wire.Hello],
        on_change: Callable[[str, str], None] = lambda state, text: None,
        beat: Callable[[], dict[str, Any]] | None = None,
        beat_seconds: float = 30.0,
        poll_seconds: float = 0.1,
        window_bytes: int = WINDOW_BYTES,
        retry_longest: float = RETRY_LONGEST,
        silence_seconds: float = wire.SILENCE_SECONDS,
    ) -> None:
        self.state = CONNECTING
        self.welcome: wire.Welcome | None = None
        self.clock_offset: float | None = None
        self._address = address
        self._buffer = buffer
        self._hello = hello
        self._on_change = on_change
        self._beat = beat
        self._beat_seconds = beat_seconds
        self._poll_seconds = poll_seconds
        self._window_bytes = window_bytes
        self._retry_longest = retry_longest
        self._silence_seconds = silence_seconds
        self._drain_until: float | None = None
        self._was_answered = False
        self._says_goodbye = True
        self._reconnect = False
        self._waker, self._alarm = os.pipe()
        os.set_blocking(self._waker, False)
        os.set_blocking(self._alarm, False)

    # --- From other threads ----------------------------------------------------------------------------

    def wake(self) -> None:
        """Say that the buffer has something new; harmless at any time, from any thread."""
        try:
            os.write(self._alarm, b"!")
        except OSError:
            pass  # it is awake already, or has ended

    def stop(self, drain: float, goodbye: bool = True) -> None:
        """Stop once everything is acknowledged, at the latest after `drain` seconds; say goodbye if that is one."""
        self._says_goodbye = goodbye
        self._drain_until = time.monotonic() + drain
        self.wake()

    def reconnect(self) -> None:
        """Leave the connection and make another, as after a change of address."""
        self._reconnect = True
        self.wake()

    # --- The thread ------------------------------------------------------------------------------------

    def run(self) -> None:
        """Connect, send, listen; begin anew after a growing pause whenever that fails. Ends after `stop`."""
        delay = RETRY_FIRST
        try:
            while not self._is_over():
                self._change(CONNECTING, "")
                self._was_answered = False
                try:
                    self._converse()
                    return
                except Trouble as trouble:
                    # Who is refused again and again, as another of the same name is, must not come ever faster.
                    self._was_answered &= trouble.state == LOST
                    if self._reconnect:
                        self._reconnect, delay = False, RETRY_FIRST
                        continue
                    self._change(trouble.state, trouble.text)
                if self._was_answered:
                    delay = RETRY_FIRST
                self._pause(delay * (0.5 + random.random() / 2))  # noqa: S311 (it only keeps senders apart)
                delay = min(2 * delay, self._retry_longest)
        finally:
            self._change(STOPPED, "")
            os.close(self._waker)
            os.close(self._alarm)

    def _is_over(self) -> bool:
        return self._drain_until is not None and (
            time.monotonic() >= self._drain_until or (self._buffer.is_drained and self.state != CONNECTED)
        )

    def _change(self, state: str, text: str) -> None:
        self.state = state
        self._on_change(state, text)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._waker, selectors.EVENT_READ)
            while (left := until - time.monotonic()) > 0 and self._drain_until is None and not self._reconnect:
                self._buffer.idle()
                if waiting.select(min(left, 1.0)):
                    self._forget_alarm()

    def _forget_alarm(self) -> None:
        try:
            while os.read(self._waker, 4_096):
                pass
        except BlockingIOError:
            pass

    # --- One connection --------------------------------------------------------------------------------

    def _converse(self) -> None:
        """Serve one connection until the sender is done; raises Trouble when the connection ends before that."""
        address = self._address()
        sock = connect(address)
        try:
            conversation = _Conversation(self, sock, address)
            conversation.greet()
            self._change(CONNECTED, "")
            conversation.serve()
        finally:
            self.welcome = None
            sock.close()


class _Conversation:
    """One connection: what has been written, what is on its way, when the server was last heard of."""

    def __init__(self, sender: Sender, sock: socket.socket, address: Address) -> None:
        self._sender = sender
        self._buffer = sender._buffer
        self._socket = sock
        self._address = address
        self._answers = wire.Answers()
        self._out: deque[memoryview] = deque()
        self._flying: deque[tuple[Sequence, int]] = deque()
        self._flying_bytes = 0
        self._heard_at = time.monotonic()
        self._beat_due = 0.0

    def greet(self) -> None:
        """Say hello and take the answer; raises Trouble."""
        hello = self._sender._hello()
        sent = time.time()
        self._socket.settimeout(CONNECT_SECONDS)
        try:
            self._socket.sendall(wire.framed(hello.encode()))
            welcome = self._first_answer()
        except OSError as error:
            raise unanswered(error) from None
        if isinstance(welcome, wire.Refusal):
            raise Trouble(REFUSED, f"it refused: {welcome.text}")
        if not isinstance(welcome, wire.Welcome):
            raise Trouble(SILENT, "what answers there is no herald")
        self._sender.clock_offset = wire.clock_offset(welcome, sent, time.time())
        self._sender.welcome = welcome
        self._buffer.begin(welcome, hello)
        self._heard_at = time.monotonic()
        self._socket.setblocking(False)

    def _first_answer(self) -> Any:
        deadline = time.monotonic() + CONNECT_SECONDS
        while time.monotonic() < deadline:
            data = self._socket.recv(READ_BYTES)
            if not data:
                raise ConnectionError("closed")
            for answer in self._parsed(data):
                return answer
        raise socket.timeout

    def _parsed(self, data: bytes) -> list[Any]:
        try:
            return self._answers.feed(data)
        except wire.ProtocolError as error:
            raise Trouble(REFUSED, error.text) from None

    def serve(self) -> None:
        """Send and listen until the sender stops; raises Trouble when the connection is no good any more."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._sender._waker, selectors.EVENT_READ)
            while not self._is_done():
                has_more = self._fill()
                self._write()
                self._wait(selector, 0.0 if has_more and not self._out else self._sender._poll_seconds)
                self._listen()
                self._check()

    def _is_done(self) -> bool:
        if self._sender._reconnect:
            raise Trouble(LOST, "another connection is to be made")
        until = self._sender._drain_until
        if until is None:
            return False
        done = (self._buffer.is_drained and not self._flying) or time.monotonic() >= until
        if done and self._sender._beat is not None and self._sender._says_goodbye:
            self._out.append(memoryview(wire.beat(dict(self._sender._beat(), bye=True))))
            self._write()
        return done

    def _fill(self) -> bool:
        """Take what the window has room for; return whether there may be more at once."""
        now = time.monotonic()
        if self._sender._beat is not None and now >= self._beat_due:
            self._beat_due = now + self._sender._beat_seconds
            self._out.append(memoryview(wire.beat(self._sender._beat())))
        room = self._sender._window_bytes - self._flying_bytes
        if room <= 0 or len(self._out) > 1:
            return False
        items = self._buffer.read(min(room, WRITE_BYTES))
        if not items:
            return False
        frames = []
        for sequence, payload in items:
            frame = wire.numbered(sequence, payload)
            frames.append(frame)
            self._flying.append((sequence, len(frame)))
            self._flying_bytes += len(frame)
        self._out.append(memoryview(b"".join(frames)))
        return True

    def _write(self) -> None:
        try:
            while self._out:
                sent = self._socket.send(self._out[0])
                if sent < len(self._out[0]):
                    self._out[0] = self._out[0][sent:]
                    continue
                self._out.popleft()
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            pass
        except OSError as error:
            raise Trouble(LOST, f"the connection broke ({said(error)})") from None

    def _wait(self, selector: selectors.BaseSelector, seconds: float) -> None:
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return
        selector.modify(self._socket, selectors.EVENT_READ | (selectors.EVENT_WRITE if self._out else 0))
        for key, _ in selector.select(seconds):
            if key.fd == self._sender._waker:
                self._sender._forget_alarm()

    def _listen(self) -> None:
        try:
            data = self._socket.recv(READ_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            raise Trouble(LOST, f"the connection broke ({said(error)})") from None
        if not data:
            raise Trouble(LOST, "the other end closed the connection")
        self._heard_at = time.monotonic()
        for answer in self._parsed(data):
            if isinstance(answer, wire.Refusal):
                raise Trouble(REFUSED, f"it refused to go on: {answer.text}")
            if isinstance(answer, wire.Ack):
                self._land(answer)

    def _land(self, ack: wire.Ack) -> None:
        self._sender._was_answered = True
        while self._flying and self._flying[0][0] <= ack.acked:
            self._flying_bytes -= self._flying.popleft()[1]
        self._buffer.acknowledge(ack)

    def _check(self) -> None:
        silent = time.monotonic() - self._heard_at
        if silent > self._sender._silence_seconds:
            raise Trouble(LOST, f"nothing was heard from the other end for {silent:.0f} s")


def connect(address: Address) -> socket.socket:
    """Return a connected socket, encrypted where that is asked for; raises Trouble."""
    try:
        sock = socket.create_connection((address.host, address.port), CONNECT_SECONDS)
    except ConnectionResetError as error:
        # It was accepted, and broken before this end had noticed.
        raise unanswered(error) from None
    except (OSError, OverflowError) as error:
        raise Trouble(UNREACHABLE, f"nothing accepts connections there ({said(error)})") from None
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if address.tls is None:
        return sock
    try:
        return address.tls.wrap_socket(sock, server_hostname=address.server_name or address.host)
    except ssl.SSLCertVerificationError as error:
        sock.close()
        raise Trouble(REFUSED, f"its certificate is not good: {error.verify_message}") from None
    except (OSError, ValueError) as error:
        sock.close()
        raise Trouble(SILENT, f"no encrypted connection can be made ({said(error)})") from None


def unanswered(error: OSError) -> Trouble:
    """Return what it means that a connection came about and brought no answer to our hello.

    A tunnel's end accepts whatever is at the other one. With no bridge there it closes at once (by a reset, where our
    hello lies unread in it); with nobody to carry the bytes over, it stays mute.
    """
    if isinstance(error, socket.timeout):
        text = f"no herald answers within {CONNECT_SECONDS:.0f} s: what listens there hangs, or a tunnel's other end is gone"
    elif isinstance(error, (ConnectionError, ssl.SSLEOFError)):
        text = "closes them, no herald answers: a tunnel that is up, to a bridge that is down?"
    else:
        text = f"no herald answers ({said(error)})"
    return Trouble(SILENT, f"it accepts connections, but {text}")


def said(error: BaseException) -> str:
    if isinstance(error, socket.timeout):
        return "it took too long"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
