"""A corpus of labelled log lines: templates of tests/data/patterns.txt, filled with what programs put into them."""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

TEMPLATES = Path(__file__).resolve().parent.parent / "data" / "patterns.txt"
HARD = " !hard"
_SLOT = re.compile(r"\{([a-z0-9]+)\}")


@dataclass(frozen=True, slots=True)
class Template:
    """One thing a program says. A hard one has words that vary, which no shape can tell from others."""

    program: str
    text: str
    hard: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A message and the template it was made from."""

    template: Template
    message: str


def templates() -> list[Template]:
    """Return the templates, in the order of the file."""
    found, program = [], ""
    for line in TEMPLATES.read_text().splitlines():
        if line.startswith("## "):
            program = line[3:]
        elif line and not line.startswith("#"):
            found.append(Template(program, line.removesuffix(HARD), line.endswith(HARD)))
    return found


def corpus(lines: int, seed: int = 1) -> Iterator[Line]:
    """Yield so many lines of each template."""
    for template in templates():
        random = Random(f"{seed} {template.program} {template.text}")
        for _ in range(lines):
            yield Line(template, fill(template.text, random))


def fill(text: str, random: Random) -> str:
    """Return a template with something believable in each slot."""
    return _SLOT.sub(lambda slot: SLOTS[slot[1]](random), text)


# --- What stands in the slots -----------------------------------------------------------------------------------------

Filler = Callable[[Random], str]


def _words(text: str) -> list[str]:
    return text.split()


SLOTS: dict[str, Filler] = {}
WORDS = _words(
    "alpha billing cart delta email field green index jobs kilo lemon market north order price queue red shop"
)
LOGINS = _words(
    "anna bob carla dmitri erik fatima gustav hana ivan julia kofi lena marco nadia olaf priya quentin rosa"
)
PEOPLE = ["Jürgen Groß", "Zoë Ångström", "李小龍", "Ольга Смирнова", "Ana María Peña", "山田太郎", "Siobhán O'Brien"]
ROOMS = _words("kitchen cellar attic office hall garage laboratory")
ALNUM = "abcdefghijklmnopqrstuvwxyz0123456789"
POD = "bcdfghjklmnpqrstvwxz2456789"
DOMAINS = _words("example.com shop.example.org api.partner.net mail.firm.de cdn.images.io db.internal cache.svc.local")


def some(letters: str, number: int, random: Random) -> str:
    return "".join(random.choice(letters) for _ in range(number))


def _hex(random: Random, number: int) -> str:
    return f"{random.getrandbits(4 * number):0{number}x}"


def _moment(random: Random) -> datetime:
    return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(
        seconds=random.randrange(10**8), microseconds=random.randrange(10**6)
    )


for _digits in (4, 7, 8, 10, 32, 40, 64):
    SLOTS[f"hex{_digits}"] = lambda random, digits=_digits: _hex(random, digits)  # type: ignore[misc]

SLOTS |= {
    "num": lambda r: str(r.choice([r.randrange(10), r.randrange(100), r.randrange(10**4), r.randrange(10**7)])),
    "float": lambda r: f"{r.uniform(0, 10 ** r.randrange(4)):.{r.randrange(1, 4)}f}",
    "negative": lambda r: str(-r.randrange(1, 500)),
    "sci": lambda r: f"{r.uniform(1, 9):.2f}e-{r.randrange(3, 9):02}",
    "pct": lambda r: r.choice([f"{r.randrange(101)}%", f"{r.uniform(0, 100):.1f}%"]),
    "money": lambda r: f"{r.choice(['', '', '$', '€'])}{r.randrange(10**5):,}.{r.randrange(100):02}",
    "celsius": lambda r: f"{r.uniform(-20, 12):.1f} °C",
    "range": lambda r: f"{r.randrange(10)}..{r.randrange(10, 90)}",
    "numlist": lambda r: ", ".join(str(r.randrange(10**5)) for _ in range(r.randrange(2, 6))),
    "status": lambda r: r.choice(_words("200 302 400 401 403 404 409 429 500 502 503 504")),
    "port": lambda r: str(r.randrange(1, 65_536)),
    "epoch": lambda r: f"{_moment(r).timestamp():.{r.choice((0, 3))}f}",
    "uuid": lambda r: str(uuid.UUID(int=r.getrandbits(128), version=4)),
    "ulid": lambda r: "01" + some("0123456789ABCDEFGHJKMNPQRSTVWXYZ", 24, r),
    "token": lambda r: _token(r),
    "jwt": lambda r: ".".join(_base64(r, n) for n in (27, 60, 32)),
    "callid": lambda r: f"{_hex(r, 8)}-{_hex(r, 8)}@{_ip(r)}",
    "msgid": lambda r: f"{_moment(r):%Y%m%d%H%M%S}.{r.randrange(10**5)}.{_hex(r, 6)}@{r.choice(DOMAINS)}",
    "ip": lambda r: _ip(r),
    "ip6": lambda r: ":".join(("2001:db8", *(_hex(r, 4) for _ in range(2)), "", _hex(r, 3))),
    "cidr": lambda r: f"{_ip(r)}/{r.randrange(8, 33)}",
    "mac": lambda r: ":".join(_hex(r, 2) for _ in range(6)),
    "host": lambda r: r.choice([*DOMAINS, f"web-{r.randrange(9)}.{r.choice(DOMAINS)}"]),
    "hostport": lambda r: (
        f"{r.choice([_ip(r), r.choice(DOMAINS), f'db-{r.randrange(9)}', 'localhost'])}:{r.randrange(1000, 9999)}"
    ),
    "machine": lambda r: f"{r.choice(('web', 'web', 'web'))}-{r.randrange(1, 30)}",
    "email": lambda r: (
        f"{r.choice(LOGINS)}.{r.choice(WORDS)}{r.choice(['', str(r.randrange(99))])}@{r.choice(DOMAINS)}"
    ),
    "sip": lambda r: f"sip:{r.randrange(10**6)}@{r.choice(DOMAINS)}",
    "phone": lambda r: f"+{r.randrange(1, 99)}{r.randrange(10**9, 10**10)}",
    "url": lambda r: (
        f"http{r.choice(('', 's'))}://{r.choice(DOMAINS)}{_path(r)}{r.choice(['', f'?page={r.randrange(99)}&q=a%20b'])}"
    ),
    "path": lambda r: _path(r),
    "file": lambda r: (
        f"{r.choice(WORDS)}{r.choice(['', f'_{r.randrange(99)}', f'-{_moment(r):%Y%m%d}'])}.{r.choice(('csv', 'html', 'py', 'tar.gz'))}"
    ),
    "topic": lambda r: f"site/{r.choice(ROOMS)}/{r.choice(WORDS)}",
    "dev": lambda r: f"/dev/sd{r.choice('abcd')}{r.choice(['', '1', '2'])}",
    "nic": lambda r: f"eth{r.randrange(8)}",
    "usb": lambda r: f"{r.randrange(9)}-{r.randrange(9)}.{r.randrange(9)}",
    "sku": lambda r: f"K-{r.randrange(10**4)}",
    "sensor": lambda r: f"sensor-{r.randrange(99):02}",
    "invoice": lambda r: f"RE-{r.randrange(2020, 2027)}-{r.randrange(10**5):05}",
    "snapshot": lambda r: f"snap-{_hex(r, 17)}",
    "worker": lambda r: f"celery@{r.choice(('web', 'app'))}-{r.randrange(9)}",
    "pod": lambda r: f"payments-{some('0123456789abcdef', r.choice((9, 10)), r)}-{some(POD, 5, r)}",
    "cronpod": lambda r: f"nightly-{r.randrange(10**7, 10**8)}",
    "pvc": lambda r: f"pvc-{uuid.UUID(int=r.getrandbits(128), version=4)}",
    "image": lambda r: f"registry.example.com/team/app:{r.randrange(9)}.{r.randrange(99)}.{r.randrange(9)}",
    "version": lambda r: (
        f"{r.choice(('', 'v'))}{r.randrange(9)}.{r.randrange(20)}.{r.randrange(30)}{r.choice(['', '', 'rc1', '-beta.2'])}"
    ),
    "iso": lambda r: (
        _moment(r)
        .isoformat(timespec=r.choice(("seconds", "milliseconds")))
        .replace("+00:00", r.choice(("Z", "+00:00")))
    ),
    "datetime": lambda r: f"{_moment(r):%Y-%m-%d %H:%M:%S}{r.choice(['', ',123', '.123456'])}",
    "date": lambda r: f"{_moment(r):%Y-%m-%d}",
    "germandate": lambda r: f"{_moment(r):%d.%m.%Y}",
    "clock": lambda r: f"{_moment(r):%H:%M}",
    "clf": lambda r: f"{_moment(r):%d/%b/%Y:%H:%M:%S} +0000",
    "syslogtime": lambda r: f"{_moment(r):%b %e %H:%M:%S}",
    "uptime": lambda r: f"{r.uniform(1, 10**6):12.6f}",
    "duration": lambda r: r.choice(
        [
            f"{r.randrange(999)} ms",
            f"{r.uniform(0, 99):.2f}s",
            f"{r.randrange(9)}m{r.randrange(60)}s",
            f"{r.randrange(99)} min",
        ]
    ),
    "size": lambda r: r.choice(
        [f"{r.uniform(0, 999):.1f} {u}" for u in ("KB", "MB", "GiB")] + [f"{r.randrange(9999)} bytes"]
    ),
    "addr": lambda r: f"0x{r.getrandbits(r.choice((32, 48))):x}",
    "lsn": lambda r: f"{r.randrange(16):X}/{_hex(r, 7).upper()}",
    "iban": lambda r: f"DE{r.randrange(10**19, 10**20)}",
    "key": lambda r: f"user:{r.randrange(10**6)}:cart",
    "dotted": lambda r: "shop.tasks.send_invoice",
    "word": lambda r: r.choice(WORDS),
    "login": lambda r: r.choice(LOGINS),
    "person": lambda r: r.choice(PEOPLE),
    "room": lambda r: r.choice(ROOMS),
    "method": lambda r: "GET",
    "quoted": lambda r: f"{_quotes(r)}",
    "bytes": lambda r: repr(bytes(r.randrange(256) for _ in range(r.randrange(1, 9)))),
    "list": lambda r: repr([r.choice([r.choice(WORDS), r.randrange(99)]) for _ in range(r.randrange(1, 5))]),
    "tuple": lambda r: repr(tuple(r.randrange(512) for _ in range(r.randrange(2, 5)))),
    "dict": lambda r: repr(
        {r.choice(WORDS): r.choice([r.randrange(99), None, [1, "a"]]) for _ in range(r.randrange(1, 4))}
    ),
    "json": lambda r: f'{{"error": "{r.choice(WORDS)} {r.choice(WORDS)}", "code": {r.randrange(99)}}}',
    "object": lambda r: f"<{'shop.models.Order'} object at 0x{r.getrandbits(48):x}>",
    "sql": lambda r: (
        f"SELECT id, name FROM orders WHERE id IN ({', '.join(str(r.randrange(999)) for _ in range(r.randrange(1, 6)))})"
    ),
}


def _ip(random: Random) -> str:
    return ".".join(str(random.randrange(1, 255)) for _ in range(4))


def _path(random: Random) -> str:
    parts = [
        random.choice([random.choice(WORDS), str(random.randrange(9999)), f"v{random.randrange(9)}"]) for _ in range(3)
    ]
    return "/" + "/".join(parts[: random.randrange(1, 4)])


def _base64(random: Random, number: int) -> str:
    return base64.urlsafe_b64encode(random.randbytes(number)).decode().rstrip("=")


def _token(random: Random) -> str:
    return random.choice([_hex(random, 24), some(ALNUM + ALNUM.upper(), 22, random), some(ALNUM, 20, random)])


def _quotes(random: Random) -> str:
    text = random.choice(
        [random.choice(WORDS), " ".join(random.sample(WORDS, 3)), f"{random.choice(LOGINS)} {random.randrange(99)}"]
    )
    return random.choice(['"{}"', "'{}'"]).format(text)
