from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest

from bridge.batcher import Queue
from bridge.hops import Hops
from bridge.journal import Journal
from bridge.sources import LARGE, CannotListen, Fault, Intake, Limits, recognise
from bridge.status import Figures

pytestmark = pytest.mark.asyncio

FRAME_MAX = 1_048_576


def framed(payload: bytes) -> bytes:
    return struct.pack(">L", len(payload)) + payload


@dataclass
class Listening:
    """A listener on a port of its own, and the queue it fills; nobody stores what it takes."""

    intake: Intake
    queue: Queue
    figures: Figures
    journal: Journal

    async def connect(self) -> asyncio.StreamWriter:
        _, writer = await asyncio.open_connection("127.0.0.1", self.intake.port)
        return writer

    def payloads(self) -> list[bytes]:
        """Return everything queued so far, and leave it where it is counted."""
        chunks, _ = self.queue.take(0)
        return [payload for chunk in chunks for payload in chunk.payloads]


@asynccontextmanager
async def listening(
    *,
    clients: int = 10,
    deadline: float = 10,
    large_frames: int = 10 * FRAME_MAX,
    most: int = 100 * FRAME_MAX,
    is_full: Callable[[], bool] = lambda: False,
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[Listening]:
    figures, journal = Figures(), Journal("here")
    intake: Intake
    queue = Queue(most=most, rows=10**9, age=timedelta(0), on_room=lambda: intake.room_in_queue())
    limits = Limits(frame=FRAME_MAX, clients=clients, deadline=deadline, large_frames=large_frames)
    intake = Intake(queue, figures, journal, limits, is_full, lambda caller: None, Hops())
    await intake.open("127.0.0.1", 0)
    if context is not None:
        await intake.open_encrypted("127.0.0.1", 0, context)
    await intake.start()
    try:
        yield Listening(intake, queue, figures, journal)
    finally:
        await intake.drain(0)


async def until(holds: Callable[[], bool], seconds: float = 20) -> bool:
    """Return whether `holds` becomes true in that time."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.01)
    return True


# --- Frames --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 64, 10_000])
async def test_frames_are_the_same_however_the_stream_is_cut(size: int):
    payloads = [b"", b"a", b"bc" * 40, b"", b"x" * 300]
    stream = b"".join(map(framed, payloads))
    async with listening() as bridge:
        client = await bridge.connect()
        for start in range(0, len(stream), size):
            client.write(stream[start : start + size])
            await client.drain()
            await asyncio.sleep(0.0005)
        await until(lambda: bridge.figures.bytes == len(stream))

        assert bridge.payloads() == [payload for payload in payloads if payload]
        assert bridge.figures.rejected == {Fault.EMPTY: 2}
        client.close()


async def test_a_frame_at_the_limit_is_taken_and_one_byte_more_is_not():
    async with listening() as bridge:
        client = await bridge.connect()
        client.write(framed(b"y" * FRAME_MAX) + framed(b"small") + struct.pack(">L", FRAME_MAX + 1))
        await until(lambda: bridge.figures.rejected[Fault.OVERSIZED] == 1)
        await until(lambda: bridge.figures.clients == 0)

        assert bridge.payloads() == [b"y" * FRAME_MAX, b"small"]
        assert "1,048,577 bytes" in bridge.figures.samples[0]["detail"]
        client.close()


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        (b"\x16\x03\x01\x02", Fault.TLS),
        (b"GET ", Fault.HTTP),
        (b"POST", Fault.HTTP),
        (b"\xff\xff\xff\xff", Fault.OVERSIZED),
        (b"SSH-", Fault.OVERSIZED),
    ],
)
async def test_what_is_no_length_is_recognised(header: bytes, fault: Fault):
    assert recognise(header) is fault


async def test_a_frame_must_end_in_time_and_silence_between_frames_need_not():
    async with listening(deadline=0.2) as bridge:
        idle, stalled = await bridge.connect(), await bridge.connect()
        idle.write(framed(b"one"))
        stalled.write(framed(b"two")[:-1])
        await until(lambda: bridge.figures.rejected[Fault.STALLED] == 1)
        await asyncio.sleep(1)
        idle.write(framed(b"three"))
        await until(lambda: bridge.figures.received == 2)

        assert bridge.payloads() == [b"one", b"three"]
        assert bridge.figures.rejected == {Fault.STALLED: 1}
        idle.close()
        stalled.close()


async def test_the_time_in_which_herald_does_not_read_is_not_the_sender_s():
    async with listening(deadline=0.4, most=200) as bridge:
        slow, other = await bridge.connect(), await bridge.connect()
        slow.write(framed(b"slow")[:-1])
        await until(lambda: bridge.figures.bytes == 7)
        other.write(framed(b"f" * 200))
        await until(lambda: bool(bridge.figures.holds))
        await asyncio.sleep(1.5)
        slow.write(b"w")
        chunks, weight = bridge.queue.take(0)
        bridge.queue.release(weight)
        await until(lambda: bridge.figures.received == 2)

        assert len(chunks) == 1
        assert bridge.figures.rejected == {}
        slow.close()
        other.close()


# --- Back-pressure -------------------------------------------------------------------------------------------


async def test_a_full_queue_stops_the_reading_and_loses_nothing():
    frames = [b"%06d" % number + b"z" * 994 for number in range(20_000)]
    async with listening(most=200_000) as bridge:
        client = await bridge.connect()
        client.write(b"".join(map(framed, frames)))
        await until(lambda: bool(bridge.figures.holds))
        await asyncio.sleep(0.3)
        held = bridge.queue.bytes
        taken: list[bytes] = []
        while len(taken) < len(frames):
            chunks, weight = bridge.queue.take(0)
            taken += [payload for chunk in chunks for payload in chunk.payloads]
            bridge.queue.release(weight)
            await asyncio.sleep(0)

        assert held < 200_000 + 100_000
        assert taken == frames
        assert bridge.figures.paused > 0.2
        client.close()


async def test_a_full_disk_stops_the_reading_until_there_is_room():
    full = True
    async with listening(is_full=lambda: full) as bridge:
        client = await bridge.connect()
        client.write(framed(b"waits"))
        await asyncio.sleep(1.2)
        before = bridge.figures.received
        full = False
        await until(lambda: bridge.figures.received == 1)
        told = [row.message for row in bridge.journal.take()]

        assert before == 0
        assert any("takes no more records" in line for line in told)
        assert any("has room again" in line for line in told)
        client.close()


async def test_large_frames_wait_for_room_while_small_ones_pass():
    size = 5 * LARGE
    async with listening(large_frames=size + 100) as bridge:
        large = [await bridge.connect() for _ in range(3)]
        small = await bridge.connect()
        for number, client in enumerate(large):
            client.write(framed(b"%d" % number * size)[:-1])
        await asyncio.sleep(0.5)
        held = bridge.figures.bytes
        small.write(framed(b"small"))
        await until(lambda: bridge.figures.received == 1)
        for number, client in enumerate(large):
            client.write(b"%d" % number)
        await until(lambda: bridge.figures.received == 4)

        # One is there but for its last byte; of each of the others no more than one read.
        assert held < size + 2 * LARGE + 100
        assert sorted(len(payload) for payload in bridge.payloads()) == [5, size, size, size]
        for client in [*large, small]:
            client.close()


async def test_a_large_frame_that_never_ends_gives_its_room_back():
    async with listening(large_frames=5 * LARGE, deadline=0.3) as bridge:
        first, second = await bridge.connect(), await bridge.connect()
        first.write(framed(b"1" * 4 * LARGE)[:-1])
        await until(lambda: bridge.figures.bytes >= 4 * LARGE)
        second.write(framed(b"2" * 4 * LARGE))
        await until(lambda: bridge.figures.received == 1)

        assert bridge.figures.rejected == {Fault.STALLED: 1}
        first.close()
        second.close()


# --- Clients -------------------------------------------------------------------------------------------------


async def test_one_client_too_many_is_refused_and_a_place_that_is_left_can_be_taken():
    async with listening(clients=2) as bridge:
        first, second = await bridge.connect(), await bridge.connect()
        reader, third = await asyncio.open_connection("127.0.0.1", bridge.intake.port)
        try:
            refused = await reader.read(1) == b""
        except ConnectionResetError:
            refused = True
        second.close()
        await until(lambda: bridge.figures.clients == 1)
        fourth = await bridge.connect()
        fourth.write(framed(b"in"))
        await until(lambda: bridge.figures.received == 1)

        assert refused
        assert bridge.figures.refused == 1
        for client in (first, third, fourth):
            client.close()


async def test_a_drain_reads_what_was_sent_also_by_who_is_not_yet_accepted():
    async with listening(clients=50) as bridge:
        clients = [await bridge.connect() for _ in range(20)]
        for client in clients:
            client.write(framed(b"q" * 1_000) * 50)
            await client.drain()
        await bridge.intake.drain(20)

        assert bridge.figures.received == 20 * 50
        assert bridge.figures.clients == 0
        for client in clients:
            client.close()


async def test_a_taken_port_is_told_in_words():
    async with listening() as bridge:
        other = Intake(
            bridge.queue,
            bridge.figures,
            bridge.journal,
            bridge.intake.limits,
            lambda: False,
            lambda caller: None,
            Hops(),
        )
        with pytest.raises(CannotListen, match="another program listens there already"):
            await other.open("127.0.0.1", bridge.intake.port)


async def test_an_address_this_machine_does_not_have_is_told_in_words():
    async with listening() as bridge:
        other = Intake(
            bridge.queue,
            bridge.figures,
            bridge.journal,
            bridge.intake.limits,
            lambda: False,
            lambda caller: None,
            Hops(),
        )
        with pytest.raises(CannotListen, match="this machine has no such address"):
            await other.open("192.0.2.1", 9020)
