"""What lies between a socket of the encrypted port and its connection: to the one a protocol, to the other a transport.

asyncio's own TLS does not serve here. It tells nobody that a handshake failed, or why; it bounds the number of
handshakes by nothing and holds more than a quarter of a megabyte for each; and where a client closes while its data are
waiting to be decrypted, it hands over no more than one buffer of them.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, cast

from logs.client.tls import in_words

OPENING_BYTES = 100
"""How much of what a client said first is kept as a sample until its handshake is over."""
HANDSHAKE_RECORD = 0x16
BYTES_LIKE = bytes | bytearray | memoryview


class Trouble(StrEnum):
    """Why the encrypted port parts from a client."""

    HANDSHAKE = "TLS handshake"
    STREAM = "TLS stream"


class Handshakes:
    """The clients of the encrypted port whose handshake is not over: bounded in number and in time.

    They are no clients yet, and take no client's place: else strangers who only knock could keep all others out.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        most: int,
        deadline: float,
        view: memoryview,
        now: Callable[[], float],
        refuse: Callable[[], None],
        reject: Callable[[Trouble, str, str, bytes], None],
    ) -> None:
        """`view` is a buffer that all reads share; `reject` takes why, the same in words, the peer, and a sample."""
        self.context = context
        self.view = view
        self.now = now
        self.reject = reject
        self._most = most
        self._deadline = deadline
        self._refuse = refuse
        self._pending: set[Encryption] = set()

    def admit(self, client: Encryption) -> bool:
        """Whether there is room for one more handshake."""
        if len(self._pending) >= self._most:
            self._refuse()
            return False
        self._pending.add(client)
        return True

    def dismiss(self, client: Encryption) -> None:
        self._pending.discard(client)

    def end_stalled(self, now: float) -> None:
        """Close where a handshake did not come to its end in time."""
        for client in list(self._pending):
            if now - client.began > self._deadline:
                client.expire()

    def end_all(self) -> None:
        for client in list(self._pending):
            client.leave()


class Encryption(asyncio.BufferedProtocol, asyncio.Transport):
    """TLS for one connection, which hears of its client when the handshake is over."""

    def __init__(self, handshakes: Handshakes, connection: asyncio.BufferedProtocol) -> None:
        super().__init__()
        self.began = handshakes.now()
        self._handshakes = handshakes
        self._connection = connection
        self._transport: asyncio.Transport
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = handshakes.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._opening = b""
        self._is_open = False
        self._is_paused = False
        self._has_failed = False
        self._has_ended = False
        self._stays_open: bool | None = False
        self._peer = ""

    # --- What asyncio calls ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        address = transport.get_extra_info("peername")
        self._peer = str(address[0]) if address else ""
        if not self._handshakes.admit(self):
            self._transport.abort()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._handshakes.view

    def buffer_updated(self, nbytes: int) -> None:
        if self._has_ended:
            return  # whatever comes after a farewell is nobody's
        data = self._handshakes.view[:nbytes]
        if not (self._is_open or self._opening):
            self._opening = bytes(data[:OPENING_BYTES])
        self._incoming.write(data)
        if self._is_open or self._shake_hands():
            self._hand_over()

    def eof_received(self) -> bool | None:
        # Without TLS's own farewell too: frames know their length, so nobody can cut one short unseen.
        return self._end() if self._is_open else None

    def connection_lost(self, exc: Exception | None) -> None:
        self._handshakes.dismiss(self)
        if self._is_open:
            self._connection.connection_lost(exc)
        elif self._opening:
            self._fail(
                "the connection ended within the handshake, as with a client that does not accept herald's certificate"
            )

    def pause_writing(self) -> None:
        if self._is_open:
            self._connection.pause_writing()

    def resume_writing(self) -> None:
        if self._is_open:
            self._connection.resume_writing()

    # --- The handshake ---------------------------------------------------------------------------------

    def _shake_hands(self) -> bool:
        """Go on with the handshake; whether it is over, and well."""
        if self._opening[0] != HANDSHAKE_RECORD:
            self._fail("what came is no TLS, and this port takes nothing else")
            return False
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except ssl.SSLError as error:
            # OpenSSL has an alert ready, by which the client learns it too.
            self._flush()
            self._fail(why_failed(error))
            return False
        self._flush()
        self._handshakes.dismiss(self)
        self._is_open = True
        self._opening = b""
        self._connection.connection_made(self)
        return True

    def expire(self) -> None:
        """Give up waiting for the handshake."""
        what = "did not come to its end" if self._opening else "did not begin"
        self._fail(f"the handshake {what} in time (HERALD_FRAME_DEADLINE_SECONDS)")

    def leave(self) -> None:
        """Part from the client, whose handshake is not over, for no fault of his."""
        self._has_failed = True
        self._transport.abort()

    def _fail(self, why: str) -> None:
        """Count the handshake as failed, once, and part from the client."""
        self._handshakes.dismiss(self)
        if self._has_failed:
            return
        self._has_failed = True
        self._handshakes.reject(Trouble.HANDSHAKE, why, self._peer, self._opening)
        if self._transport.get_write_buffer_size():
            # Who reads nothing would keep a connection that is no longer counted.
            self._transport.abort()
        else:
            self._transport.close()

    # --- What comes in ---------------------------------------------------------------------------------

    def _hand_over(self) -> None:
        """Give the connection what has come, until it wants no more or nothing is left."""
        while not (self._is_paused or self._has_ended or self.is_closing()):
            if not self._hand_over_once():
                break
        if not self.is_closing():
            self._flush()

    def _hand_over_once(self) -> bool:
        """Fill the connection's buffer once; whether there may be more."""
        buffer = memoryview(self._connection.get_buffer(-1))
        filled, has_ended, fault = 0, False, ""
        try:
            # One read gives one record of TLS, at most 16 KiB.
            while filled < len(buffer) and not has_ended:
                taken = cast(int, self._tls.read(len(buffer) - filled, buffer[filled:]))
                has_ended = taken == 0
                filled += taken
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            has_ended = True
        except ssl.SSLError as error:
            fault = in_words(error)
        if filled:
            self._connection.buffer_updated(filled)
        if fault:
            self._break(fault)
        elif has_ended and not self.is_closing() and not self._end():
            self.close()
        return filled == len(buffer)

    def _end(self) -> bool | None:
        """Tell the connection, once, that no more will come; whether it wants to stay open to write."""
        if not self._has_ended:
            self._has_ended = True
            self._stays_open = self._connection.eof_received()
        return self._stays_open

    def _break(self, fault: str) -> None:
        if not self.is_closing():
            self._handshakes.reject(Trouble.STREAM, f"the encrypted stream broke: {fault}", self._peer, b"")
            self.abort()

    # --- What the connection calls ---------------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As asyncio's transports do; `ssl_object` tells that this one is encrypted, `peercert` was verified."""
        if name == "ssl_object":
            return self._tls
        if name == "peercert":
            return self._tls.getpeercert()
        return self._transport.get_extra_info(name, default)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def is_reading(self) -> bool:
        return not (self._is_paused or self.is_closing())

    def pause_reading(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._is_paused:
            self._is_paused = False
            # Not at once: the connection does not expect to be given data while it asks for them.
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        """Hand over what came before the pause, then read on: in this order, or an end could overtake data."""
        self._hand_over()
        if not self._is_paused and not self.is_closing():
            self._transport.resume_reading()

    def write(self, data: BYTES_LIKE) -> None:
        if self.is_closing():
            return
        rest = memoryview(data)
        while rest:
            rest = rest[self._tls.write(rest) :]
        self._flush()

    def writelines(self, list_of_data: Iterable[BYTES_LIKE]) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._transport.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._transport.set_write_buffer_limits(high, low)

    def close(self) -> None:
        """Part from the client when it has been sent what was written, TLS's farewell included."""
        if self.is_closing():
            return
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            # Its own farewell need not be waited for.
            pass
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def _flush(self) -> None:
        if encrypted := self._outgoing.read():
            self._transport.write(encrypted)


def why_failed(error: ssl.SSLError) -> str:
    """Return in a sentence why a handshake failed."""
    words = in_words(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the client's certificate is not accepted: {words}"
    if error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "the client shows no certificate, and HERALD_BRIDGE_TLS_CLIENT_CA asks for one"
    if " alert " in f" {words} ":
        return f"the client does not accept herald's certificate, or what is offered: {words}"
    return f"client and herald do not agree: {words}"
