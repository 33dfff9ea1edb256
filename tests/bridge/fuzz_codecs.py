"""Frames nobody would send, by the million: `python -m tests.bridge.fuzz_codecs --seconds 120`.

Whatever the bytes, decoding may end in two ways only: a storable record, or Rejected. It takes less than 250 ms and no
more memory than a frame deserves. Where a frame is safe (pickled here from plain values), the machine, the short way
through a known shape, and the standard library must agree. The first payload that breaks a rule is saved, its place is
printed, and the run ends non-zero.
"""

from __future__ import annotations

import argparse
import json
import pickle
import resource
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from random import Random

from bridge.codecs import Rejected, decode, pickles, to_record
from bridge.codecs.shapes import Shape, sketch
from tests import corpus

RECEIVED = datetime(2026, 11, 22, 13, tzinfo=UTC)
SECONDS_MAX = 0.250
ATTEMPTS = 8
GROWTH_MAX_MIB = 128
OPCODES = [bytes([code]) for code in range(256) if pickles.knows(code)]


class Broken(Exception):
    """A rule that decoding must keep did not hold."""


def check(payload: bytes) -> str:
    """Decode `payload` in every way there is; return what became of it, or raise Broken."""
    fates = [fate_within_time(way, payload) for way in (decode, pickles.read, record)]
    return fates[-1]


def record(payload: bytes) -> None:
    made = to_record(payload, received=RECEIVED, peer="127.0.0.1")
    for column, value in made._asdict().items():
        if isinstance(value, str) and (value.encode() and "\0" in value):
            raise Broken(f"NUL in {column}")
    json.loads(made.extra, parse_constant=refuse)


def refuse(constant: str) -> None:
    raise Broken(f"{constant} in extra")


def fate_within_time(way: Callable[[bytes], object], payload: bytes) -> str:
    for _ in range(ATTEMPTS):
        start = time.perf_counter()
        fate = fate_of(way, payload)
        taken = time.perf_counter() - start
        if taken <= SECONDS_MAX:
            return fate
        time.sleep(0.3)  # the machine may stall for a moment; a slow decoder is slow every time
    raise Broken(f"{way.__name__} took {taken * 1000:.0f} ms, the {ATTEMPTS}th time too")


def fate_of(way: Callable[[bytes], object], payload: bytes) -> str:
    try:
        way(payload)
    except Rejected as rejected:
        return str(rejected.reason)
    except Broken:
        raise
    except Exception as error:
        raise Broken(f"{way.__name__} raised {error!r}") from error
    return "stored"


def check_agreement(fields: dict[str, object], protocol: int) -> None:
    """Raise Broken unless all who read a frame of plain values read the same."""
    payload = pickle.dumps(fields, protocol)
    expected = repr(plain(pickle.loads(payload)))
    if repr(pickles.read(payload).value) != expected:
        raise Broken(f"the machine reads protocol {protocol} differently: {fields!r}")
    if repr(decode(payload)) != expected:
        raise Broken(f"decode reads protocol {protocol} differently: {fields!r}")
    drawn = sketch(payload)
    if drawn is not None:
        shape = Shape(drawn)
        values = shape.values(payload)
        if values is not None and repr(dict(zip(shape.keys, values, strict=True))) != expected:
            raise Broken(f"the short way reads protocol {protocol} differently: {fields!r}")


def plain(value: object) -> object:
    """Return `value` with its tuples as the lists that decoding makes of them."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


# Payloads


@cache
def honest() -> list[bytes]:
    """Payloads to begin with: every small frame of the corpus and of the real clients, whatever its fate."""
    small = [entry.payload for entry in corpus.entries() if entry.is_one_frame and entry.size <= 2_000]
    clients = [
        payload
        for path in sorted((corpus.DATA / "clients").glob("*.bin"))
        for payload in corpus.payloads_of(path.read_bytes())
    ]
    stock = [pickle.dumps(corpus.stock_record(), protocol) for protocol in range(6)]
    return [*small, *clients, *corpus.psbasic_payloads(), *stock, json.dumps(corpus.stock_record()).encode()]


def noise(random: Random) -> bytes:
    """Bytes of no meaning behind a byte that promises one."""
    return random.choice([b"}", b"(", b"\x80\x04", b"{", b""]) + random.randbytes(random.randrange(200))


def mutated(random: Random) -> bytes:
    """An honest payload with a few things done to it."""
    payload = random.choice(honest())
    for _ in range(random.randrange(1, 6)):
        at = random.randrange(len(payload) + 1)
        until = min(len(payload), at + random.choice([0, 1, 1, 4, 30]))
        payload = payload[:at] + random.choice(MUTATIONS)(random, payload[at:until]) + payload[until:]
    return payload


MUTATIONS: list[Callable[[Random, bytes], bytes]] = [
    lambda random, piece: b"",
    lambda random, piece: piece * random.choice([2, 3, 50]),
    lambda random, piece: random.randbytes(len(piece)),
    lambda random, piece: bytes(byte ^ 1 << random.randrange(8) for byte in piece),
    lambda random, piece: piece + random.choice(OPCODES),
    lambda random, piece: operation(random) + piece,
    lambda random, piece: struct.pack("<I", random.choice([0, 1, 255, 2**16, 2**31 - 1, 2**32 - 1])),
    lambda random, piece: random.choice(honest())[:60],
    lambda random, piece: piece[::-1],
]


def soup(random: Random) -> bytes:
    """Opcodes with operands that make sense, in an order that need not."""
    body = b"".join(operation(random) for _ in range(random.randrange(1, random.choice([10, 100, 3_000]))))
    return random.choice([b"}", b"(", b"\x80\x02", b"\x80\x04", b""]) + body + b"."


def crafted(random: Random) -> bytes:
    """A record that the machine reads to its end, with objects nobody's program would make."""
    pairs = b"".join(short_text(random) + built(random, 0) for _ in range(random.randrange(1, 5)))
    return b"}(" + pairs + b"X\3\0\0\0msgX\1\0\0\0xX\4\0\0\0nameNu."


def built(random: Random, depth: int) -> bytes:
    """Opcodes that put exactly one value on the stack, and often into the memo."""
    if depth > 8 or random.random() < 0.3:
        made = random.choice([short_text, lambda _: b"K\7", lambda _: b"C\4\7\xea\x0b\x16", again, lambda _: b"N"])(
            random
        )
    else:
        made = random.choice(BUILDERS)(random, depth + 1)
    return made + random.choice([b"", b"\x94"])


def again(random: Random) -> bytes:
    """A value from the memo, which may or may not be there, and may be the one being built."""
    return b"h" + small_byte(random) if random.random() < 0.5 else b"N"


def several(random: Random, depth: int) -> bytes:
    return b"".join(built(random, depth) for _ in range(random.randrange(4)))


def pairs_of(random: Random, depth: int) -> bytes:
    return b"".join(built(random, depth) + built(random, depth) for _ in range(random.randrange(3)))


def short_text(random: Random) -> bytes:
    return b"X" + sized("<I")(random)


BUILDERS: list[Callable[[Random, int], bytes]] = [
    lambda random, depth: b"(" + several(random, depth) + random.choice([b"l", b"t", b"\x91"]),
    lambda random, depth: b"]\x94(" + several(random, depth) + b"e",
    lambda random, depth: b"\x8f\x94(" + several(random, depth) + b"\x90",
    lambda random, depth: b"}\x94(" + pairs_of(random, depth) + b"u",
    lambda random, depth: b"c" + name_lines(random) + b"(" + several(random, depth) + b"tR",
    lambda random, depth: b"c" + name_lines(random) + b")R\x94(" + pairs_of(random, depth) + b"u",
    lambda random, depth: b"c" + name_lines(random) + b")R\x94(" + several(random, depth) + b"e",
    lambda random, depth: b"c" + name_lines(random) + b")\x81\x94" + built(random, depth) + b"b",
    lambda random, depth: b"c" + name_lines(random) + b"(" + several(random, depth) + b"t}\x92",
    lambda random, depth: b"(i" + name_lines(random) + b"}\x94" + built(random, depth) + built(random, depth) + b"sb",
    lambda random, depth: b"(c" + name_lines(random) + several(random, depth) + b"o",
]


def operation(random: Random) -> bytes:
    opcode = random.choice(OPCODES)
    return opcode + OPERANDS.get(opcode, no_operand)(random)


def no_operand(random: Random) -> bytes:
    return b""


def small_byte(random: Random) -> bytes:
    return bytes([random.randrange(6)])


def number_line(random: Random) -> bytes:
    return random.choice([b"0", b"1", b"01", b"00", b"-7", b"9" * 30, b"9" * 700, b"1.5", b"nan", b"x", b""]) + b"\n"


def name_lines(random: Random) -> bytes:
    names = [b"builtins\nset", b"__builtin__\nbytearray", b"_codecs\nencode", b"datetime\ndatetime", b"uuid\nUUID"]
    names += [b"collections\nOrderedDict", b"copy_reg\n_reconstructor", b"builtins\ngetattr", b"shop\nOrder", b"a\n"]
    names += [b"datetime\ntimezone", b"datetime\ntimedelta", b"collections\ndeque", b"zoneinfo\nZoneInfo._unpickle"]
    return random.choice(names) + b"\n"


def sized(form: str) -> Callable[[Random], bytes]:
    def make(random: Random) -> bytes:
        text = random.choice([b"", b"a", b"msg", b"name", b"\xc3\xbc", b"\xff", b"\0", b"int", b"latin1", b"x" * 200])
        return struct.pack(form, len(text)) + text

    return make


OPERANDS: dict[bytes, Callable[[Random], bytes]] = {
    **dict.fromkeys((b"q", b"h", b"K", b"\x80"), small_byte),
    **dict.fromkeys((b"I", b"L", b"F", b"p", b"g"), number_line),
    **dict.fromkeys((b"c", b"i"), name_lines),
    **{opcode: sized("<I") for opcode in (b"X", b"B", b"T")},
    **{opcode: sized("<B") for opcode in (b"U", b"C", b"\x8c", b"\x8a")},
    **{opcode: sized("<Q") for opcode in (b"\x8d", b"\x8e", b"\x96")},
    b"J": lambda random: random.randbytes(4),
    b"M": lambda random: random.randbytes(2),
    b"G": lambda random: random.choice([struct.pack(">d", 1795312000.25), random.randbytes(8)]),
    b"S": lambda random: random.choice([b"'a'\n", b"'\\x41\\n'\n", b'"\n', b"a\n"]),
    b"V": lambda random: random.choice([b"a\n", b"\\u20ac\n", b"\\ud800\n", b"\\uzz\n"]),
    b"r": lambda random: struct.pack("<I", random.choice([0, 1, 300, 2**31])),
    b"j": lambda random: struct.pack("<I", random.choice([0, 1, 300, 2**31])),
    b"\x8b": lambda random: struct.pack("<i", random.choice([-1, 0, 2, 2**30])) + b"ab",
    b"\x95": lambda random: struct.pack("<Q", random.choice([0, 1, 2**62])),
}


def text(random: Random) -> str:
    letters = random.choice(["abc", "äöü€", "🐍\u202e", "\0\x1b\n", "q\x04X\x04\0\0\0args"])
    return "".join(random.choices(letters, k=random.randrange(random.choice([3, 30, 300]))))


def value(random: Random, depth: int = 0) -> object:
    """A plain value of any kind."""
    kinds: list[Callable[[], object]] = [
        lambda: None,
        lambda: random.random() < 0.5,
        lambda: random.randrange(-(2 ** random.choice([4, 8, 16, 31, 63, 200])), 2**62),
        lambda: struct.unpack(">d", random.randbytes(8))[0],
        lambda: text(random),
    ]
    if depth < 4:
        kinds.append(lambda: [value(random, depth + 1) for _ in range(random.randrange(4))])
        kinds.append(lambda: tuple(value(random, depth + 1) for _ in range(random.randrange(4))))
        kinds.append(lambda: {text(random): value(random, depth + 1) for _ in range(random.randrange(4))})
    return random.choice(kinds)()


def fields(random: Random) -> dict[str, object]:
    """A record of plain values, some where they do not belong."""
    told = corpus.stock_record(msg=text(random), created=random.choice([1795312000.25, random.random() * 2e9]))
    for _ in range(random.randrange(5)):
        told[random.choice([text(random), *told])] = value(random)
    return told


SOURCES: list[Callable[[Random], bytes]] = [noise, mutated, mutated, soup, crafted, crafted]


def one_round(random: Random) -> str:
    """Make one payload and check it; raise Broken, with the payload, if a rule does not hold."""
    payload = random.choice(SOURCES)(random)
    try:
        return check(payload)
    except Broken as broken:
        broken.add_note(f"saved as {saved(payload)}")
        raise


def saved(payload: bytes) -> Path:
    path = Path(tempfile.mkdtemp(prefix="herald-fuzz-")) / "payload.bin"
    path.write_bytes(payload)
    return path


def resident_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None, help="repeat an earlier run")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else time.time_ns() % 2**32
    print(f"seed {seed}", flush=True)
    try:
        run(Random(seed), options.seconds)
    except Broken as broken:
        print(f"BROKEN (seed {seed}): {broken}", *getattr(broken, "__notes__", []), sep="\n", file=sys.stderr)
        return 1
    return 0


def run(random: Random, seconds: float) -> None:
    fates: Counter[str] = Counter()
    honest()
    begun = told = time.monotonic()
    at_first = resident_mib()
    while time.monotonic() - begun < seconds:
        fates[one_round(random)] += 1
        if random.random() < 0.2:
            check_agreement(fields(random), random.randrange(6))
            fates["agreed"] += 1
        if resident_mib() - at_first > GROWTH_MAX_MIB:
            raise Broken(f"the process grew by {resident_mib() - at_first:.0f} MiB")
        if time.monotonic() - told > 10:
            told = time.monotonic()
            print(f"{told - begun:4.0f} s", dict(fates.most_common()), flush=True)
    print("done", fates.total(), "payloads", dict(fates.most_common()), flush=True)


if __name__ == "__main__":
    sys.exit(main())
