"""The encrypted port: what gets in, who does not, and that nothing is lost on the way."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from bridge.authority import Authority, Entry
from bridge.encryption import Encryption, Handshakes, Trouble
from bridge.sources import LARGE, Connection, Fault
from bridge.tls import Files, TLSTrouble, certificates_of, common_name, configured, endings, server_context
from logs.client.tls import client_context
from tests.bridge.test_sources import FRAME_MAX, Listening, framed, listening, until
from tests.certificates import NAME, Papers, make_papers


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return make_papers(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    """Those of another CA."""
    return make_papers(tmp_path_factory.mktemp("other"))


def encrypted_port(bridge: Listening) -> int:
    return int(bridge.intake.encrypted_address.rpartition(":")[2])


async def connect(
    bridge: Listening, context: ssl.SSLContext, name: str = NAME
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", encrypted_port(bridge), ssl=context, server_hostname=name)


async def connect_plainly(bridge: Listening) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", encrypted_port(bridge))


def connections(bridge: Listening) -> list[Connection]:
    return list(bridge.intake._connections)


async def rejection(bridge: Listening, reason: str = Trouble.HANDSHAKE) -> str:
    """Return why a client was turned away, in words, as soon as one was."""
    await until(lambda: bridge.figures.rejected[reason] == 1)
    return bridge.figures.samples[-1]["detail"]


def drained(bridge: Listening) -> list[bytes]:
    """Return what is queued, and make room."""
    chunks, weight = bridge.queue.take(0)
    bridge.queue.release(weight)
    return [payload for chunk in chunks for payload in chunk.payloads]


# --- Records -------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
async def test_frames_are_the_same_however_the_stream_is_cut(papers: Papers, size: int):
    payloads = [b"", b"a", b"bc" * 40, b"", b"x" * 300]
    stream = b"".join(map(framed, payloads))
    async with listening(context=papers.server_context()) as bridge:
        _, client = await connect(bridge, papers.client_context())
        for start in range(0, len(stream), size):
            client.write(stream[start : start + size])
            await client.drain()
        await until(lambda: bridge.figures.bytes == len(stream))

        assert bridge.payloads() == [payload for payload in payloads if payload]
        assert bridge.figures.rejected == {Fault.EMPTY: 2}
        client.close()


@pytest.mark.asyncio
async def test_a_connection_knows_whether_it_is_encrypted_and_for_whom(papers: Papers):
    async with listening(context=papers.server_context(mutual=True)) as bridge:
        plain = await bridge.connect()
        await until(lambda: bridge.figures.clients == 1)
        (first,) = connections(bridge)
        _, client = await connect(bridge, papers.client_context(papers.client))
        await until(lambda: bridge.figures.clients == 2)
        (second,) = set(connections(bridge)) - {first}

        assert (first.is_encrypted, first.certificate_name) == (False, "")
        assert (second.is_encrypted, second.certificate_name) == (True, "shop")
        assert second.peer == "127.0.0.1"
        plain.close()
        client.close()


@pytest.mark.asyncio
async def test_a_certificate_nobody_asks_for_names_nobody(papers: Papers, strangers: Papers):
    context = papers.client_context()
    context.load_cert_chain(strangers.client.path, strangers.client.key)
    async with listening(context=papers.server_context()) as bridge:
        _, client = await connect(bridge, context)
        await until(lambda: bridge.figures.clients == 1)

        assert [connection.certificate_name for connection in connections(bridge)] == [""]
        client.close()


@pytest.mark.asyncio
async def test_a_frame_at_the_limit_is_taken_and_one_byte_more_is_not(papers: Papers):
    async with listening(context=papers.server_context()) as bridge:
        _, client = await connect(bridge, papers.client_context())
        client.write(framed(b"y" * FRAME_MAX) + framed(b"small") + (FRAME_MAX + 1).to_bytes(4, "big"))
        await until(lambda: bridge.figures.rejected[Fault.OVERSIZED] == 1)
        await until(lambda: bridge.figures.clients == 0)

        assert bridge.payloads() == [b"y" * FRAME_MAX, b"small"]
        client.close()


@pytest.mark.asyncio
async def test_a_full_queue_stops_the_reading_and_loses_nothing(papers: Papers):
    frames = [b"%06d" % number + b"z" * 994 for number in range(10_000)]
    async with listening(most=200_000, context=papers.server_context()) as bridge:
        _, client = await connect(bridge, papers.client_context())
        client.write(b"".join(map(framed, frames)))
        await until(lambda: bool(bridge.figures.holds))
        (connection,) = connections(bridge)
        transport = cast(asyncio.Transport, connection._transport)
        was_reading = transport.is_reading()
        await asyncio.sleep(0.2)
        held, before = bridge.queue.bytes, bridge.figures.bytes
        taken: list[bytes] = []
        while len(taken) < len(frames):
            taken += drained(bridge)
            await asyncio.sleep(0)

        assert not was_reading
        assert held < 200_000 + 2 * LARGE
        assert before < 200_000 + 2 * LARGE
        assert taken == frames
        client.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("says_farewell", [True, False])
async def test_who_writes_and_leaves_while_herald_does_not_read_loses_nothing(
    papers: Papers, version: ssl.TLSVersion, says_farewell: bool
):
    """The standard library's handler over an `ssl` socket: it never reads, and closes when its program ends."""
    frames = [b"%06d" % number + b"w" * 994 for number in range(3_000)]
    context = papers.client_context()
    context.maximum_version = version

    def write_and_leave(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), 60) as raw:
            client = context.wrap_socket(raw, server_hostname=NAME, suppress_ragged_eofs=True)
            client.sendall(b"".join(map(framed, frames)))
            if says_farewell:
                client.setblocking(False)
                with pytest.raises(ssl.SSLWantReadError):
                    client.unwrap()
            client.close()

    async with listening(most=100_000, context=papers.server_context()) as bridge:
        writing = asyncio.create_task(asyncio.to_thread(write_and_leave, encrypted_port(bridge)))
        await until(lambda: bool(bridge.figures.holds))
        taken: list[bytes] = []
        # When he is done, the sockets still hold as much as they can.
        while not writing.done():
            taken += drained(bridge)
            await asyncio.sleep(0.01)
        await writing
        while bridge.figures.clients or bridge.queue.bytes:
            taken += drained(bridge)
            await asyncio.sleep(0)

        assert taken == frames
        assert bridge.figures.rejected == {}


@pytest.mark.asyncio
async def test_half_a_frame_is_cut_short_with_or_without_a_farewell(papers: Papers):
    async with listening(context=papers.server_context()) as bridge:
        for leave in ("close", "abort"):
            _, client = await connect(bridge, papers.client_context())
            client.write(framed(b"whole") + framed(b"half")[:-1])
            await client.drain()
            await until(lambda: bridge.figures.clients == 1)
            getattr(client.transport, leave)()
            await until(lambda: bridge.figures.clients == 0)

        assert bridge.payloads() == [b"whole"] * 2
        assert bridge.figures.rejected == {Fault.CUT_SHORT: 2}


@pytest.mark.asyncio
async def test_a_stalled_frame_ends_its_connection(papers: Papers):
    async with listening(deadline=0.2, context=papers.server_context()) as bridge:
        _, client = await connect(bridge, papers.client_context())
        client.write(framed(b"never whole")[:-1])
        await until(lambda: bridge.figures.rejected[Fault.STALLED] == 1)
        await until(lambda: bridge.figures.clients == 0)

        assert bridge.figures.rejected == {Fault.STALLED: 1}
        client.close()


@pytest.mark.asyncio
async def test_a_drain_reads_what_was_sent(papers: Papers):
    async with listening(clients=50, context=papers.server_context()) as bridge:
        clients = [(await connect(bridge, papers.client_context()))[1] for _ in range(10)]
        for client in clients:
            client.write(framed(b"q" * 1_000) * 50)
            await client.drain()
        await bridge.intake.drain(20)

        assert bridge.figures.received == 10 * 50
        assert bridge.figures.clients == 0
        for client in clients:
            client.close()


@pytest.mark.asyncio
async def test_a_stream_that_somebody_broke_ends(papers: Papers):
    async with listening(context=papers.server_context()) as bridge:
        _, client = await connect(bridge, papers.client_context())
        client.write(framed(b"before"))
        await until(lambda: bridge.figures.received == 1)
        os.write(client.get_extra_info("socket").fileno(), b"\x17\x03\x03\x00\x20" + b"?" * 32)
        detail = await rejection(bridge, Trouble.STREAM)
        await until(lambda: bridge.figures.clients == 0)

        assert "the encrypted stream broke" in detail
        assert bridge.payloads() == [b"before"]
        client.close()


# --- Who does not get in ---------------------------------------------------------------------------------------


async def turned_away(bridge: Listening, context: ssl.SSLContext, name: str = NAME) -> Exception:
    """Return what a client learns that does not get in. In TLS 1.3 it learns of a refusal when it first reads."""
    try:
        reader, client = await connect(bridge, context, name)
    except (ssl.SSLError, OSError) as error:
        return error
    try:
        assert await reader.read(1) == b""
    except (ssl.SSLError, OSError) as error:
        return error
    finally:
        client.close()
    return EOFError()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("shown", "why"),
    [
        (lambda papers, strangers: None, "shows no certificate, and HERALD_BRIDGE_TLS_CLIENT_CA asks for one"),
        (lambda papers, strangers: strangers.client, "unable to get local issuer certificate"),
        (lambda papers, strangers: papers.ended_client, "certificate has expired"),
        (lambda papers, strangers: papers.server, "certificate purpose"),
    ],
    ids=["none", "another CA's", "ended", "a server's"],
)
async def test_a_client_without_the_right_certificate_does_not_get_in(
    papers: Papers,
    strangers: Papers,
    shown: Callable[[Papers, Papers], Entry | None],
    why: str,
    caplog: pytest.LogCaptureFixture,
):
    async with listening(context=papers.server_context(mutual=True)) as bridge:
        error = await turned_away(bridge, papers.client_context(shown(papers, strangers)))
        detail = await rejection(bridge)

        assert why in detail
        assert isinstance(error, ssl.SSLError)
        assert (bridge.figures.clients, bridge.figures.connections) == (0, 0)
        assert bridge.figures.samples[-1]["peer"] == "127.0.0.1"
        assert caplog.messages == []


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("server", "trusted", "name", "why"),
    [
        ("server", "strangers", NAME, "unable to get local issuer certificate"),
        ("server", "papers", "elsewhere.test", "Hostname mismatch"),
        ("ended_server", "papers", NAME, "certificate has expired"),
    ],
    ids=["another CA", "another name", "ended"],
)
async def test_a_client_turns_away_from_a_herald_it_does_not_know(
    papers: Papers, strangers: Papers, server: str, trusted: str, name: str, why: str
):
    context = papers.server_context(server=getattr(papers, server))
    knows = {"papers": papers, "strangers": strangers}[trusted]
    async with listening(context=context) as bridge:
        error = await turned_away(bridge, knows.client_context(), name)
        detail = await rejection(bridge)

        assert isinstance(error, ssl.SSLCertVerificationError)
        assert why in error.verify_message
        # Whether the client's alert is still read depends on how soon it closed.
        assert "does not accept herald's certificate" in detail


@pytest.mark.asyncio
async def test_tls_that_is_too_old_does_not_get_in(papers: Papers):
    context = papers.client_context()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with listening(context=papers.server_context()) as bridge:
        error = await turned_away(bridge, context)
        detail = await rejection(bridge)

        assert isinstance(error, ssl.SSLError)
        assert "unsupported protocol" in detail


@pytest.mark.asyncio
@pytest.mark.parametrize("sent", [framed(b"a record"), b"GET / HTTP/1.1\r\n\r\n", b"\x15" * 200])
async def test_what_is_no_tls_is_turned_away_with_a_sample(papers: Papers, sent: bytes):
    async with listening(context=papers.server_context()) as bridge:
        reader, client = await connect_plainly(bridge)
        client.write(sent)
        detail = await rejection(bridge)
        ended = await reader.read() == b""

        assert ended
        assert "no TLS" in detail
        assert bridge.figures.samples[-1]["bytes"].startswith(repr(sent[:20])[2:-1])
        client.close()


@pytest.mark.asyncio
async def test_a_hello_that_is_rubbish_is_turned_away(papers: Papers):
    async with listening(context=papers.server_context()) as bridge:
        _, client = await connect_plainly(bridge)
        client.write(b"\x16\x03\x01\x00\x10" + b"?" * 16)

        assert "do not agree" in await rejection(bridge)
        client.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("sent", "what"), [(b"", "did not begin in time"), (b"\x16\x03\x01", "did not come to its end")]
)
async def test_a_handshake_must_end_in_time(papers: Papers, sent: bytes, what: str):
    async with listening(deadline=0.1, context=papers.server_context()) as bridge:
        reader, client = await connect_plainly(bridge)
        client.write(sent)
        ended = await reader.read() == b""

        assert ended
        assert what in await rejection(bridge)
        client.close()


@pytest.mark.asyncio
async def test_who_leaves_within_the_handshake_is_counted_and_who_only_knocks_is_not(papers: Papers):
    async with listening(context=papers.server_context()) as bridge:
        for sent in (b"", b"\x16\x03\x01"):
            _, client = await connect_plainly(bridge)
            client.write(sent)
            await client.drain()
            client.close()
            await client.wait_closed()
        detail = await rejection(bridge)
        handshakes = bridge.intake._handshakes
        await until(lambda: handshakes is not None and not handshakes._pending)

        assert "ended within the handshake" in detail
        assert bridge.figures.rejected == {Trouble.HANDSHAKE: 1}


@pytest.mark.asyncio
async def test_handshakes_are_bounded_and_take_no_client_s_place(papers: Papers):
    async with listening(clients=2, context=papers.server_context()) as bridge:
        knocking = [await connect_plainly(bridge) for _ in range(3)]
        await until(lambda: bridge.figures.refused == 1)
        plain = await bridge.connect()
        plain.write(framed(b"local"))
        await until(lambda: bridge.figures.received == 1)

        assert bridge.figures.clients == 1
        for client in [plain, *(writer for _, writer in knocking)]:
            client.close()


@pytest.mark.asyncio
async def test_one_client_too_many_is_refused_on_either_port(papers: Papers):
    async with listening(clients=2, context=papers.server_context()) as bridge:
        plain = await bridge.connect()
        _, first = await connect(bridge, papers.client_context())
        await until(lambda: bridge.figures.clients == 2)
        await turned_away(bridge, papers.client_context())

        assert bridge.figures.refused == 1
        assert bridge.figures.clients == 2
        plain.close()
        first.close()


@pytest.mark.asyncio
async def test_a_drain_ends_handshakes_and_blames_nobody(papers: Papers):
    async with listening(context=papers.server_context()) as bridge:
        reader, client = await connect_plainly(bridge)
        client.write(b"\x16\x03\x01")
        await client.drain()
        handshakes = bridge.intake._handshakes
        await until(lambda: handshakes is not None and len(handshakes._pending) == 1)
        await bridge.intake.drain(0)
        ended = await reader.read() == b""

        assert ended
        assert bridge.figures.rejected == {}
        client.close()


@pytest.mark.asyncio
async def test_the_plain_port_tells_where_tls_is(papers: Papers):
    async with listening(context=papers.server_context()) as bridge:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", bridge.intake.port, ssl=papers.client_context())
        detail = await rejection(bridge, Fault.TLS)

        assert f"{bridge.intake.encrypted_address} does" in detail


@pytest.mark.asyncio
async def test_the_plain_port_tells_how_to_get_one_that_speaks_tls(papers: Papers):
    async with listening() as bridge:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", bridge.intake.port, ssl=papers.client_context())

        assert "HERALD_BRIDGE_TLS_PORT opens one" in await rejection(bridge, Fault.TLS)


# --- The other direction -------------------------------------------------------------------------------------


class Echo(asyncio.BufferedProtocol):
    """Sends back what it gets, and does not read while it cannot write."""

    def __init__(self) -> None:
        self.buffer = bytearray(1_000)
        self.said: list[str] = []
        self.stays_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.said.append("made")

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.transport.write(bytes(self.buffer[:nbytes]))

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()

    def eof_received(self) -> bool:
        self.said.append("eof")
        return self.stays_open

    def connection_lost(self, exc: Exception | None) -> None:
        self.said.append("lost")


@asynccontextmanager
async def echoing(context: ssl.SSLContext, echo: Echo) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    handshakes = Handshakes(
        context,
        most=1,
        deadline=10,
        view=memoryview(bytearray(5_000)),
        now=loop.time,
        refuse=lambda: None,
        reject=lambda *why: echo.said.append(str(why)),
    )
    server = await loop.create_server(lambda: Encryption(handshakes, echo), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_what_is_written_arrives_whoever_is_slow(papers: Papers, version: ssl.TLSVersion):
    sent = os.urandom(4_000_000)
    context = papers.client_context()
    context.maximum_version = version
    echo = Echo()
    async with echoing(papers.server_context(), echo) as port:
        reader, client = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=NAME)
        client.write(sent)
        came = await reader.readexactly(len(sent))
        client.close()
        await client.wait_closed()
        await until(lambda: "lost" in echo.said)

    assert came == sent
    assert echo.said == ["made", "eof", "lost"]


@pytest.mark.asyncio
async def test_a_farewell_ends_the_reading_and_comes_after_what_was_written(papers: Papers):
    echo = Echo()
    async with echoing(papers.server_context(), echo) as port:
        reader, client = await asyncio.open_connection(
            "127.0.0.1", port, ssl=papers.client_context(), server_hostname=NAME
        )
        await until(lambda: echo.said == ["made"])
        echo.transport.writelines([b"good", b"bye"])
        echo.transport.close()
        echo.transport.write(b"too late")

        assert await reader.read() == b"goodbye"
        client.close()


@pytest.mark.asyncio
async def test_who_sends_no_more_can_still_be_answered(papers: Papers):
    echo = Echo()
    echo.stays_open = True
    async with echoing(papers.server_context(), echo) as port:
        reader, client = await asyncio.open_connection(
            "127.0.0.1", port, ssl=papers.client_context(), server_hostname=NAME
        )
        client.write(b"one")
        await client.drain()
        client.get_extra_info("socket").shutdown(socket.SHUT_WR)
        await until(lambda: "eof" in echo.said)
        echo.transport.write(b" and the answer")
        echo.transport.close()

        assert await reader.read() == b"one and the answer"
        client.close()


# --- Files ---------------------------------------------------------------------------------------------------


def protected(papers: Papers, directory: Path) -> Path:
    key = load_pem_private_key(papers.server.key.read_bytes(), None)
    path = directory / "protected.key"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    return path


@pytest.mark.parametrize("broken", ["certificate", "key", "client_ca"])
@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "there is no file"), ("directory", "cannot be read"), ("notes", "holds no"), ("-----BEGIN", "holds no")],
)
def test_a_file_that_cannot_be_used_is_named_with_its_variable(
    papers: Papers, tmp_path: Path, broken: str, content: str | None, why: str
):
    path = tmp_path / "it.pem"
    if content == "directory":
        path.mkdir()
    elif content is not None:
        path.write_text(content)
    files = papers.files(mutual=True)
    with pytest.raises(TLSTrouble, match=f"HERALD_BRIDGE_TLS_{broken.upper()}: .*{why}") as caught:
        server_context(Files(**{**vars(files), broken: str(path)}))

    assert str(path) in str(caught.value)


def test_the_key_of_another_certificate_is_refused(papers: Papers):
    with pytest.raises(TLSTrouble, match=r"HERALD_BRIDGE_TLS_KEY: .* is not the key of the certificate"):
        server_context(Files(str(papers.server.path), str(papers.client.key)))


def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(papers: Papers, tmp_path: Path):
    with pytest.raises(TLSTrouble, match="protected by a password"):
        server_context(Files(str(papers.server.path), str(protected(papers, tmp_path))))


def test_a_ca_that_is_none_is_refused(papers: Papers):
    with pytest.raises(TLSTrouble, match="not that of a CA"):
        server_context(Files(str(papers.server.path), str(papers.server.key), str(papers.client.path)))


@pytest.mark.parametrize("label", ["CERTIFICATE", "PRIVATE KEY"])
def test_pem_that_holds_rubbish_is_refused(papers: Papers, tmp_path: Path, label: str):
    path = tmp_path / "rubbish.pem"
    path.write_text(f"-----BEGIN {label}-----\nbm90aGluZw==\n-----END {label}-----\n")
    good = papers.files()
    files = Files(str(path), good.key) if label == "CERTIFICATE" else Files(good.certificate, str(path))
    with pytest.raises(TLSTrouble, match="cannot be used together"):
        server_context(files)


def test_without_a_port_no_file_is_asked_for(settings):
    settings.BRIDGE_TLS_CERTIFICATE = "/nowhere"

    assert configured() is None


@pytest.mark.parametrize("missing", ["CERTIFICATE", "KEY"])
def test_a_port_without_files_is_refused(settings, missing: str):
    settings.BRIDGE_TLS_PORT = 9124
    settings.BRIDGE_TLS_CERTIFICATE = settings.BRIDGE_TLS_KEY = "there.pem"
    setattr(settings, f"BRIDGE_TLS_{missing}", "")
    with pytest.raises(TLSTrouble, match=f"HERALD_BRIDGE_TLS_{missing} names no file"):
        configured()


def test_one_port_cannot_be_both(settings):
    settings.BRIDGE_TLS_PORT = settings.BRIDGE_PORT
    with pytest.raises(TLSTrouble, match="a port of its own"):
        configured()


@pytest.mark.parametrize(
    ("later", "said"),
    [
        (timedelta(days=-1), ["is not valid before"]),
        (timedelta(0), []),
        (timedelta(days=59), []),
        (timedelta(days=61), ["in 29 days"]),
        (timedelta(days=91), ["has ended on"]),
        (timedelta(days=366), ["has ended on", "has ended on"]),
    ],
)
def test_it_is_told_in_time_when_a_certificate_ends(tmp_path: Path, now: datetime, later: timedelta, said: list[str]):
    authority = Authority(tmp_path / "ca")
    authority.make_ca("CA", timedelta(days=365), now - timedelta(days=2))
    leaf = authority.sign_server([NAME], timedelta(days=90), now)
    certificates = certificates_of(Files(str(leaf.path), str(leaf.key), str(authority.path)))
    found = list(endings(certificates, now + later))

    assert len(found) == len(said)
    for sentence, part in zip(found, said, strict=True):
        assert part in sentence
    assert [sentence.partition(":")[0] for sentence in found] == [
        "HERALD_BRIDGE_TLS_CERTIFICATE",
        "HERALD_BRIDGE_TLS_CLIENT_CA",
    ][: len(found)]


def test_a_certificate_with_two_common_names_names_nobody():
    def subject(*names: str) -> dict[str, object]:
        return {"subject": tuple((("commonName", name),) for name in names)}

    assert common_name(None) == ""
    assert common_name({}) == ""
    assert common_name(subject("shop")) == "shop"
    assert common_name(subject("shop", "bank")) == ""


# --- Those who send ------------------------------------------------------------------------------------------


def test_a_sender_checks_certificate_and_name_from_tls_1_2_on(papers: Papers):
    for context in (client_context(), client_context(papers.ca)):
        assert context.check_hostname
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert len(client_context(papers.ca).get_ca_certs()) == 1


def test_a_sender_s_files_are_refused_in_words(papers: Papers):
    ca, client, server = papers.ca, papers.client, papers.server
    for given, why in [
        (("/nowhere.pem",), "the CA: there is no file /nowhere.pem"),
        ((str(client.path),), "the CA: .* not that of a CA"),
        ((ca, "/nowhere.pem"), "the certificate: there is no file"),
        ((ca, str(client.path)), "the key: .* holds no private key"),
        ((ca, str(client.path), str(server.key)), "is not the key of the certificate"),
        ((ca, None, str(client.key)), "without the certificate"),
    ]:
        with pytest.raises(TLSTrouble, match=why):
            client_context(*given)


def test_a_sender_s_certificate_and_key_may_be_one_file(papers: Papers, tmp_path: Path):
    both = tmp_path / "both.pem"
    both.write_bytes(papers.client.path.read_bytes() + papers.client.key.read_bytes())

    assert client_context(papers.ca, str(both)).get_ca_certs()
