"""The query language by example: what the reference shows, and what the tests prove, is this table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from logs.query.fields import EXTRA, FIELDS
from logs.query.lexer import LENGTH_MAX, NESTING_MAX
from logs.query.parsing import CONDITIONS_MAX

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
"""What `now` means in every example."""


@dataclass(frozen=True, slots=True)
class Example:
    """A query, how it is read back, and rows it finds and does not find. A row names what differs from `ORDINARY`."""

    query: str
    reads: str
    finds: Sequence[Mapping[str, Any]] = ()
    misses: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A text that is no query: the character (from 0) at which it goes wrong, and a part of what is said about it."""

    text: str
    start: int
    says: str


@dataclass(frozen=True, slots=True)
class Section:
    """Examples of one thing, with what is to be said about it."""

    title: str
    explains: str
    examples: Sequence[Example]


ORDINARY: dict[str, Any] = {
    **{column: "" for field in FIELDS for column in field.columns},
    **dict.fromkeys(("lineno", "process", "thread", "msecs", "relativecreated")),
    **{"created": NOW, "received": NOW, "id": 1, "levelno": 20, "levelname": "INFO", "message": "hello"},
    **{EXTRA.name: {}, "origin": []},
}
"""A row with every column of Log, most of them empty."""


def _said(*messages: str) -> list[dict[str, Any]]:
    return [{"message": message} for message in messages]


def _each(column: str, *values: object) -> list[dict[str, Any]]:
    return [{column: value} for value in values]


def _extra(*values: dict[str, Any]) -> list[dict[str, Any]]:
    return _each("extra", *values)


def _at(*clocks: str) -> list[dict[str, Any]]:
    return [{"created": datetime.fromisoformat(clock).replace(tzinfo=UTC)} for clock in clocks]


def _ago(**past: float) -> dict[str, Any]:
    return {"created": NOW - timedelta(**past)}


_TRACEBACK = {"message": "failed", "exc_text": "ConnectionRefusedError: [Errno 111]"}
_CARD = {"levelno": 40, "system_id": "billing", "message": "Card declined for order 7"}

SECTIONS: tuple[Section, ...] = (
    Section(
        "Words and phrases",
        "A word finds the rows whose message or traceback contains it, in any case. Quotes hold several words "
        'together and take the meaning from every sign; inside them, `\\"` is a quotation mark. Several conditions side '
        "by side must all hold.",
        (
            Example("", "everything", _said("hello")),
            Example("  \n ", "everything", _said("hello")),
            Example("*", "everything", _said("hello")),
            Example("declined", 'text contains "declined"', _said("Card DECLINED", "undeclined"), _said("decline")),
            Example("refused", 'text contains "refused"', [_TRACEBACK], _said("failed")),
            Example(
                "card declined",
                'text contains "card" and text contains "declined"',
                _said("declined: the card", "Card declined"),
                _said("the card"),
            ),
            Example(
                '"card declined"', 'text contains "card declined"', _said("Card declined."), _said("declined card")
            ),
            Example('"a  b"', 'text contains "a  b"', _said("a  b"), _said("a b")),
            Example("ÜBER", 'text contains "ÜBER"', _said("Zahlung über 5 €"), _said("uber")),
            Example("жар", 'text contains "жар"', _said("ПОЖАР"), _said("map")),
            Example("straße", 'text contains "straße"', _said("STRAßE"), _said("STRASSE", "strasse")),
            Example("istanbul", 'text contains "istanbul"', _said("ISTANBUL"), _said("İstanbul", "\u0131stanbul")),
            Example("kelvin", 'text contains "kelvin"', _said("KELVIN"), _said("\u212aelvin")),
            Example("\u212a", 'text contains "\u212a"', _said("300 \u212a"), _said("300 K", "300 k")),
            Example("ΟΔΟΣ", 'text contains "ΟΔΟΣ"', _said("οδοσ"), _said("οδος")),
            Example("50%", 'text contains "50%"', _said("at 50% now"), _said("at 500 now")),
            Example("a_b", 'text contains "a_b"', _said("x a_b"), _said("a-b")),
            Example("it's", 'text contains "it\'s"', _said("It's"), _said("its")),
            Example("🙂", 'text contains "🙂"', _said("done 🙂"), _said("done 🙁")),
            Example('"say \\"hi\\""', 'text contains "say \\"hi\\""', _said('Say "hi"'), _said("say hi")),
            Example('"C:\\temp"', 'text contains "C:\\\\temp"', _said("in C:\\TEMP"), _said("in C:temp")),
            Example('"a\\\\b"', 'text contains "a\\\\b"', _said("a\\b"), _said("a\\\\b")),
            Example('"*"', 'text contains "*"', _said("2 * 3"), _said("2 x 3")),
            Example('"AND"', 'text contains "AND"', _said("this and that"), _said("or")),
            Example("and", 'text contains "and"', _said("this AND that"), _said("or")),
            Example("temp\\file", 'text contains "temp\\\\file"', _said("temp\\file"), _said("tempfile")),
            Example("two\\ words", 'text contains "two words"', _said("two words"), _said("words two")),
            Example("a\\:b", 'text contains "a:b"', _said("a:b"), _said("a b")),
            Example("wow!", 'text contains "wow!"', _said("Wow!"), _said("wow")),
            Example("x-ray", 'text contains "x-ray"', _said("X-ray"), _said("x ray")),
            Example("a&&b", 'text contains "a&&b"', _said("a&&b"), _said("a b")),
            Example("x>y", 'text contains "x>y"', _said("x>y"), _said("x y")),
            Example("list[0]", 'text contains "list[0]"', _said("list[0] is None"), _said("list 0")),
            Example("/srv/a/b.py", 'text contains "/srv/a/b.py"', _said("in /srv/a/b.py"), _said("in /srv/a/b_py")),
            Example("漢字", 'text contains "漢字"', _said("これは漢字です"), _said("漢 字")),
        ),
    ),
    Section(
        "Wildcards",
        "In a word, `*` stands for any characters, also none, and `?` for exactly one. Behind a field's name they make a "
        "pattern for the whole value; without a field, for a piece of text. A backslash takes their meaning away, and so "
        "do quotes.",
        (
            Example(
                "conn*refused",
                'text contains something like "conn*refused"',
                _said("connection was refused"),
                _said("refused conn"),
            ),
            Example("-a*b", 'not (text contains something like "a*b")', _said("ba"), _said("aab")),
            Example("fail*", 'text contains "fail"', _said("it FAILED"), _said("fai")),
            Example(
                "order?7",
                'text contains something like "order?7"',
                _said("order 7", "order\n7"),
                _said("order7", "order  7"),
            ),
            Example(
                "host:web-*",
                "host is like web-*",
                _each("sub_system_id", "WEB-1", "web-"),
                _each("sub_system_id", "a-web-1", ""),
            ),
            Example(
                "host:web-?",
                "host is like web-?",
                _each("sub_system_id", "web-1"),
                _each("sub_system_id", "web-12", "web-"),
            ),
            Example(
                "host:*-1", "host is like *-1", _each("sub_system_id", "web-1", "-1"), _each("sub_system_id", "web-11")
            ),
            Example(
                "host:w*1*", "host is like w*1*", _each("sub_system_id", "web-1b"), _each("sub_system_id", "web-2")
            ),
            Example(
                "host:???",
                "host is like ???",
                _each("sub_system_id", "abc", "🙂🙂🙂"),
                _each("sub_system_id", "ab", "abcd"),
            ),
            Example("message:Payment*", "message is like Payment*", _said("payment failed"), _said("a payment")),
            Example("message:*", "message is present", _said("x"), _said("")),
            Example("text:*due", "text is like *due", _said("over\ndue"), _said("due now")),
            Example(
                "user1:50\\%*",
                'user1 is like "50%*"',
                _each("user_spec_1", "50%", "50% off"),
                _each("user_spec_1", "500"),
            ),
            Example("user1:a\\*b", 'user1 = "a*b"', _each("user_spec_1", "A*B"), _each("user_spec_1", "axb")),
            Example("user1:a\\?*", 'user1 is like "a\\\\?*"', _each("user_spec_1", "a?b"), _each("user_spec_1", "axb")),
            Example("user1:_*", "user1 is like _*", _each("user_spec_1", "_x"), _each("user_spec_1", "x_")),
            Example("user1:ü*", "user1 is like ü*", _each("user_spec_1", "ÜBER", "ü"), _each("user_spec_1", "u")),
            Example("host:**", "host is present", _each("sub_system_id", "a"), _each("sub_system_id", "")),
        ),
    ),
    Section(
        "Fields",
        "`field:value` asks for one field. `message`, `exc_text` and `text` contain the value; every other text is equal to "
        "it, whatever the case. Behind the colon the value reaches to the next white space, so that paths and URLs need no "
        "quotes. A field that is missing or empty is equal to nothing.",
        (
            Example(
                "system:billing",
                "system = billing",
                _each("system_id", "billing", "Billing"),
                _each("system_id", "billing2", "bill", ""),
            ),
            Example("system_id:billing", "system = billing", _each("system_id", "BILLING"), _each("system_id", "x")),
            Example(
                'system:"my shop"', 'system = "my shop"', _each("system_id", "My Shop"), _each("system_id", "my  shop")
            ),
            Example("system: billing", "system = billing", _each("system_id", "billing"), _each("system_id", "")),
            Example(
                "message:declined", 'message contains "declined"', _said("Card declined"), [{"exc_text": "declined"}]
            ),
            Example("exc_text:refused", 'exc_text contains "refused"', [_TRACEBACK], _said("refused")),
            Example("text:refused", 'text contains "refused"', [_TRACEBACK, *_said("refused")], _said("x")),
            Example("host:web-1", "host = web-1", _each("sub_system_id", "web-1"), _each("sub_system_id", "web-10")),
            Example("sub_system_id:web-1", "host = web-1", _each("sub_system_id", "web-1"), _each("sub_system_id", "")),
            Example(
                "sub:worker/2",
                "sub = worker/2",
                _each("sub_sub_system_id", "Worker/2"),
                _each("sub_sub_system_id", "worker"),
            ),
            Example("product:till", "product = till", _each("produkt_id", "till"), _each("produkt_id", "tills")),
            Example(
                "user1:a user2:b",
                "user1 = a and user2 = b",
                [{"user_spec_1": "a", "user_spec_2": "b"}],
                _each("user_spec_1", "a"),
            ),
            Example(
                "version:1.2.3",
                "version = 1.2.3",
                _each("package_version", "1.2.3"),
                _each("package_version", "1.2.30"),
            ),
            Example("api_version:2", "api_version = 2", _each("api_version", "2"), _each("api_version", "2.0")),
            Example(
                "logger:shop.cart", "logger = shop.cart", _each("name", "shop.cart"), _each("name", "shop.cart.items")
            ),
            Example("func:__init__", "func = __init__", _each("funcname", "__init__"), _each("funcname", "init")),
            Example("file:cart.py", "file = cart.py", _each("filename", "cart.py"), _each("filename", "cartXpy")),
            Example(
                "pathname:/srv/a/b.py",
                "pathname = /srv/a/b.py",
                _each("pathname", "/srv/a/b.py"),
                _each("pathname", "/srv/a"),
            ),
            Example("module:cart", "module = cart", _each("module", "cart"), _each("module", "carts")),
            Example("levelname:Notice", "levelname = Notice", _each("levelname", "NOTICE"), _each("levelname", "NOTE")),
            Example(
                "threadname:MainThread",
                "threadname = MainThread",
                _each("threadname", "mainthread"),
                _each("threadname", ""),
            ),
            Example("taskname:Task-1", "taskname = Task-1", _each("taskname", "Task-1"), _each("taskname", "Task-11")),
            Example("processname:Main", "processname = Main", _each("processname", "main"), _each("processname", "m")),
            Example(
                "peer:10.0.0.1:4711", "peer = 10.0.0.1:4711", _each("peer", "10.0.0.1:4711"), _each("peer", "10.0.0.1")
            ),
            Example("flags:*cut*", "flags is like *cut*", _each("flags", "created cut", "cut"), _each("flags", "odd")),
            Example("user1:-x", "user1 = -x", _each("user_spec_1", "-X"), _each("user_spec_1", "x")),
            Example("user1:ÄÖ", "user1 = ÄÖ", _each("user_spec_1", "äö", "Äö"), _each("user_spec_1", "ao", "äöü")),
            Example("user1:%", 'user1 = "%"', _each("user_spec_1", "%"), _each("user_spec_1", "x", "")),
            Example("user1:a'b", 'user1 = "a\'b"', _each("user_spec_1", "A'B"), _each("user_spec_1", "ab")),
            Example("user1:AND", "user1 = AND", _each("user_spec_1", "and"), _each("user_spec_1", "or")),
            Example(
                "origin:bridge-1",
                "origin = bridge-1",
                _each("origin", [["Bridge-1", "2026"]], ["bridge-1"]),
                _each("origin", [], ["b"]),
            ),
        ),
    ),
    Section(
        "Levels and numbers",
        "Levels are compared by number, whether they are written by name or as one. `>`, `>=`, `<`, `<=` compare; "
        "`[a TO b]` is a range with both ends, `{` and `}` leave an end out, `*` leaves it open. A missing number "
        "matches nothing.",
        (
            Example("level:ERROR", "level = ERROR", _each("levelno", 40), _each("levelno", 41, 50, 30)),
            Example("level:error", "level = ERROR", _each("levelno", 40), _each("levelno", 20)),
            Example("level:warn", "level = WARNING", _each("levelno", 30), _each("levelno", 20)),
            Example("level:35", "level = 35", _each("levelno", 35), _each("levelno", 30)),
            Example("level:>=WARNING", "level ≥ WARNING", _each("levelno", 30, 35, 50), _each("levelno", 29)),
            Example("level:>WARNING", "level > WARNING", _each("levelno", 31), _each("levelno", 30)),
            Example("level:<=30", "level ≤ WARNING", _each("levelno", 30, 0, -5), _each("levelno", 31)),
            Example("levelno:<30", "level < WARNING", _each("levelno", 29), _each("levelno", 30)),
            Example('level:"CRITICAL"', "level = CRITICAL", _each("levelno", 50), _each("levelno", 40)),
            Example(
                "level:[WARNING TO ERROR]",
                "WARNING ≤ level ≤ ERROR",
                _each("levelno", 30, 40),
                _each("levelno", 20, 50),
            ),
            Example(
                "level:{WARNING TO ERROR}", "WARNING < level < ERROR", _each("levelno", 35), _each("levelno", 30, 40)
            ),
            Example("line:10", "line = 10", _each("lineno", 10), _each("lineno", 100, None)),
            Example("line:<10", "line < 10", _each("lineno", 9, -1), _each("lineno", 10, None)),
            Example("line:>-5", "line > -5", _each("lineno", -4, 0), _each("lineno", -5, None)),
            Example("line:-5", "line = -5", _each("lineno", -5), _each("lineno", 5)),
            Example("line:>= 10", "line ≥ 10", _each("lineno", 10), _each("lineno", 9)),
            Example("line:[-5 TO 10}", "-5 ≤ line < 10", _each("lineno", -5, 9), _each("lineno", 10, -6)),
            Example("line:{5 TO 7]", "5 < line ≤ 7", _each("lineno", 6, 7), _each("lineno", 5, 8)),
            Example("line:[* TO 5]", "line ≤ 5", _each("lineno", 5), _each("lineno", 6, None)),
            Example("line:[5 TO *]", "line ≥ 5", _each("lineno", 5), _each("lineno", 4, None)),
            Example("line:[* TO *]", "line is present", _each("lineno", 0), _each("lineno", None)),
            Example("line:[5 TO 5]", "line = 5", _each("lineno", 5), _each("lineno", 6)),
            Example("line:>99999999999999999999", "line > 99999999999999999999", (), _each("lineno", 2**31 - 1, None)),
            Example(
                "line:<99999999999999999999", "line < 99999999999999999999", _each("lineno", 1), _each("lineno", None)
            ),
            Example("line:99999999999999999999", "line = 99999999999999999999", (), _each("lineno", 1, None)),
            Example("process:4711", "process = 4711", _each("process", 4711), _each("process", 471)),
            Example("thread:140735219", "thread = 140735219", _each("thread", 140735219), _each("thread", 1)),
            Example("msecs:>1.5", "msecs > 1.5", _each("msecs", 1.75), _each("msecs", 1.5, None)),
            Example(
                "relativecreated:<1e3",
                "relativecreated < 1000.0",
                _each("relativecreated", 999.5),
                _each("relativecreated", 1000.0),
            ),
        ),
    ),
    Section(
        "Times",
        "A time stands for all of what it names: `2026-11-20` for that day, `2026-11-20T10:00` for that minute. Without a "
        "zone it is UTC. `now` may be followed by steps back or forth in seconds, minutes, hours, days or weeks: "
        "`now-1h30m` is written `now-1h-30m`. Quotes allow a space between date and clock. `time` is the sender's clock, "
        "`received` herald's.",
        (
            Example(
                "time:>now-15m", "time > now-15m (2026-11-22 11:45:00 UTC)", [_ago(minutes=14)], [_ago(minutes=15)]
            ),
            Example(
                "time:>=now-1h-30m", "time ≥ now-1h-30m (2026-11-22 10:30:00 UTC)", [_ago(hours=1.5)], [_ago(hours=2)]
            ),
            Example("time:<now+1d", "time < now+1d (2026-11-23 12:00:00 UTC)", [_ago(hours=-1)], [_ago(days=-1)]),
            Example("time:<=now-1w", "time ≤ now-1w (2026-11-15 12:00:00 UTC)", [_ago(days=7)], [_ago(days=6)]),
            Example("time:now", "time = now (2026-11-22 12:00:00 UTC)", [_ago()], [_ago(seconds=1)]),
            Example(
                "time:[2026-11-20T10:00:00+01:00 TO now]",
                "2026-11-20 09:00:00 UTC ≤ time ≤ now (2026-11-22 12:00:00 UTC)",
                [*_at("2026-11-20T09:00"), _ago()],
                [*_at("2026-11-20T08:59:59.999999"), _ago(seconds=-1)],
            ),
            Example(
                "time:2026-11-20",
                "2026-11-20 00:00:00 UTC ≤ time < 2026-11-21 00:00:00 UTC",
                _at("2026-11-20T00:00", "2026-11-20T23:59:59.999999"),
                _at("2026-11-21T00:00", "2026-11-19T23:59:59"),
            ),
            Example(
                "time:[2026-11-19 TO 2026-11-20]",
                "2026-11-19 00:00:00 UTC ≤ time < 2026-11-21 00:00:00 UTC",
                _at("2026-11-20T23:59:59"),
                _at("2026-11-21T00:00"),
            ),
            Example(
                "time:{2026-11-19 TO 2026-11-21}",
                "2026-11-20 00:00:00 UTC ≤ time < 2026-11-21 00:00:00 UTC",
                _at("2026-11-20T00:00"),
                _at("2026-11-19T23:59", "2026-11-21T00:00"),
            ),
            Example(
                "time:>2026-11-20", "time ≥ 2026-11-21 00:00:00 UTC", _at("2026-11-21T00:00"), _at("2026-11-20T23:59")
            ),
            Example(
                "time:<=2026-11-20", "time < 2026-11-21 00:00:00 UTC", _at("2026-11-20T23:59"), _at("2026-11-21T00:00")
            ),
            Example(
                "time:<2026-11-20", "time < 2026-11-20 00:00:00 UTC", _at("2026-11-19T23:59"), _at("2026-11-20T00:00")
            ),
            Example(
                "created:>=2026-11-20",
                "time ≥ 2026-11-20 00:00:00 UTC",
                _at("2026-11-20T00:00"),
                _at("2026-11-19T23:59"),
            ),
            Example(
                "time:2026-11-20T10",
                "2026-11-20 10:00:00 UTC ≤ time < 2026-11-20 11:00:00 UTC",
                _at("2026-11-20T10:59"),
                _at("2026-11-20T11:00"),
            ),
            Example(
                "time:2026-11-20T10:00Z",
                "2026-11-20 10:00:00 UTC ≤ time < 2026-11-20 10:01:00 UTC",
                _at("2026-11-20T10:00:59"),
                _at("2026-11-20T10:01"),
            ),
            Example(
                'time:"2026-11-20 10:00:05"',
                "2026-11-20 10:00:05 UTC ≤ time < 2026-11-20 10:00:06 UTC",
                _at("2026-11-20T10:00:05.5"),
                _at("2026-11-20T10:00:06"),
            ),
            Example(
                "time:2026-11-20T10:00:05,25",
                "2026-11-20 10:00:05.250000 UTC ≤ time < 2026-11-20 10:00:05.260000 UTC",
                _at("2026-11-20T10:00:05.255"),
                _at("2026-11-20T10:00:05.26"),
            ),
            Example(
                "time:2026-11-20T10:00:05.250000",
                "time = 2026-11-20 10:00:05.250000 UTC",
                _at("2026-11-20T10:00:05.250000"),
                _at("2026-11-20T10:00:05.250001"),
            ),
            Example(
                "time:>=2026-11-20T10:00:00-0530",
                "time ≥ 2026-11-20 15:30:00 UTC",
                _at("2026-11-20T15:30"),
                _at("2026-11-20T15:29"),
            ),
            Example(
                "received:>now-1h",
                "received > now-1h (2026-11-22 11:00:00 UTC)",
                [{}],
                [{"received": NOW - timedelta(hours=2)}],
            ),
            Example("time:<0001-01-01T00:00:00.000001", "time < 0001-01-01 00:00:00.000001 UTC", (), [{}]),
        ),
    ),
    Section(
        "What the record carried besides",
        "`extra.key:value` asks for a key that has no column; further keys lead further in, and a key may itself have dots. A "
        "list fits when one of its items does. Numbers are equal by value, everything else by its text. Comparisons find "
        "numbers only.",
        (
            Example(
                "extra.order_id:42",
                "extra.order_id = 42",
                _extra({"order_id": 42}, {"order_id": "42"}, {"order_id": 42.0}),
                _extra({"order_id": 421}, {"order": 42}, {}),
            ),
            Example(
                "extra.order.id:42",
                "extra.order.id = 42",
                _extra({"order": {"id": 42}}, {"order.id": 42}),
                _extra({"order": 42}, {"order": {"ID": 42}}),
            ),
            Example(
                "extra.a.b.c:x",
                "extra.a.b.c = x",
                _extra({"a": {"b.c": "X"}}, {"a.b": {"c": "x"}}),
                _extra({"a": {"b": "x"}}),
            ),
            Example(
                "extra.user:Zoë", "extra.user = Zoë", _extra({"user": "ZOË"}), _extra({"user": "Zoe"}, {"user": None})
            ),
            Example(
                "extra.ok:true",
                "extra.ok = true",
                _extra({"ok": True}, {"ok": "True"}),
                _extra({"ok": False}, {"ok": 1}),
            ),
            Example("extra.n:1", "extra.n = 1", _extra({"n": 1}), _extra({"n": True})),
            Example(
                "extra.tags:red",
                "extra.tags = red",
                _extra({"tags": ["blue", "RED"]}, {"tags": [["red"]]}),
                _extra({"tags": ["darkred"]}, {"tags": []}, {"tags": {"red": 1}}),
            ),
            Example(
                "extra.items.sku:7",
                "extra.items.sku = 7",
                _extra({"items": [{"sku": 1}, {"sku": 7}]}),
                _extra({"items": [{"sku": 1}]}),
            ),
            Example(
                "extra.took:>1.5",
                "extra.took > 1.5",
                _extra({"took": 2}, {"took": [0, 3]}),
                _extra({"took": 1.5}, {"took": "2"}, {"took": True}, {}),
            ),
            Example(
                "extra.took:[-1 TO 1]", "-1 ≤ extra.took ≤ 1", _extra({"took": 0}, {"took": 0.5}), _extra({"took": 1.1})
            ),
            Example(
                "extra.path:/srv/*", "extra.path is like /srv/*", _extra({"path": "/SRV/a"}), _extra({"path": "a/srv/"})
            ),
            Example(
                "extra.code:4??", "extra.code is like 4??", _extra({"code": 404}, {"code": "4xx"}), _extra({"code": 40})
            ),
            Example(
                'extra.url:"http://x/y?z=1"',
                'extra.url = "http://x/y?z=1"',
                _extra({"url": "http://X/y?z=1"}),
                _extra({"url": "http://x/y0z=1"}),
            ),
            Example(
                "extra.url:/^https?:/",
                "extra.url matches /^https?:/",
                _extra({"url": "http://x"}),
                _extra({"url": "ftp://x"}),
            ),
            Example("extra.two\\ words:x", "extra.two words = x", _extra({"two words": "x"}), _extra({"two": "x"})),
            Example("extra.Größe:5", "extra.Größe = 5", _extra({"Größe": 5}), _extra({"größe": 5})),
            Example("extra.0:x", "extra.0 = x", _extra({"0": "x"}), _extra({"a": "x"})),
            Example(
                "_exists_:extra.a.b",
                "extra.a.b is present",
                _extra({"a": {"b": 0}}, {"a": {"b": False}}),
                _extra({"a": {"b": None}}, {"a": {"b": ""}}, {"a": {}}),
            ),
            Example("_exists_:extra", "extra is present", _extra({"a": None}), _extra({})),
            Example("extra.a:*", "extra.a is present", _extra({"a": "x"}), _extra({"a": []})),
        ),
    ),
    Section(
        "Presence",
        "`_exists_:field` finds the rows where a field is present and not empty; so does `field:*`.",
        (
            Example("_exists_:host", "host is present", _each("sub_system_id", "a"), _each("sub_system_id", "")),
            Example("NOT _exists_:host", "host is missing", _each("sub_system_id", ""), _each("sub_system_id", "a")),
            Example("_exists_:line", "line is present", _each("lineno", 0), _each("lineno", None)),
            Example("-line:*", "line is missing", _each("lineno", None), _each("lineno", 7)),
            Example("_exists_:exc_text", "exc_text is present", [_TRACEBACK], _said("x")),
            Example("_exists_:text", "text is present", _said("x"), _said("")),
            Example("_exists_:(host OR line)", "host is present or line is present", _each("lineno", 1), [{}]),
            Example("_exists_:time", "time is present", [{}], ()),
        ),
    ),
    Section(
        "Regular expressions",
        "Between slashes stands a regular expression as RE2 reads it: it matches anywhere in the value, minds the case (begin "
        "it with `(?i)` where it should not), and has neither look-around nor back-references. A `/` inside is written "
        "`\\/`. Without a field it is asked of message and traceback. It must be followed by a space, `)` or the end: so a "
        "path stays a path.",
        (
            Example(
                "/order [0-9]+/", "text matches /order [0-9]+/", _said("an order 77"), _said("order x", "Order 77")
            ),
            Example("/(?i)order/", "text matches /(?i)order/", _said("ORDER"), _said("odor")),
            Example("/refused/", "text matches /refused/", [_TRACEBACK | {"exc_text": "refused"}], _said("REFUSED")),
            Example(
                "host:/^web-\\d+$/",
                "host matches /^web-\\d+$/",
                _each("sub_system_id", "web-12"),
                _each("sub_system_id", "web-x", "web-1 "),
            ),
            Example(
                "logger:/cart|till/", "logger matches /cart|till/", _each("name", "shop.till"), _each("name", "shop")
            ),
            Example("/a.c/", "text matches /a.c/", _said("abc"), _said("a\nc")),
            Example("/(?s)a.c/", "text matches /(?s)a.c/", _said("a\nc"), _said("ac")),
            Example("/(?m)^b/", "text matches /(?m)^b/", _said("a\nb"), _said("ab")),
            Example("/a\\/b/", "text matches /a\\/b/", _said("a/b"), _said("ab")),
            Example("NOT /x+/", "not (text matches /x+/)", _said("y"), _said("xx")),
            Example("/(a+)+$/", "text matches /(a+)+$/", _said("a"), _said("a" * 50 + "!")),
            Example("host:/^$/", "host matches /^$/", (), _each("sub_system_id", "", "a")),
            Example("/über\\.?/", "text matches /über\\.?/", _said("über"), _said("ÜBER")),
            Example("/50% ?a_b/", "text matches /50% ?a_b/", _said("50% a_b"), _said("50% aXb")),
            Example("(/a/)", "text matches /a/", _said("a"), _said("b")),
        ),
    ),
    Section(
        "And, or, not",
        "`AND`, `OR` and `NOT`, in capitals, or `&&`, `||` and `!`. A space is `AND`. `NOT` binds most, then `AND`, then "
        "`OR`; parentheses group, also the values of one field. `-` before a condition excludes it; `+` changes nothing, "
        "since everything that is not joined by `OR` must hold anyway. `NOT` is the plain complement: it also finds rows "
        "where the field is missing.",
        (
            Example(
                'level:>=ERROR system:billing "card declined"',
                'level ≥ ERROR and system = billing and text contains "card declined"',
                [_CARD],
                [_CARD | {"levelno": 30}, _CARD | {"system_id": "till"}, _CARD | {"message": "declined"}],
            ),
            Example("a AND b", 'text contains "a" and text contains "b"', _said("ba"), _said("a")),
            Example("x OR y", 'text contains "x" or text contains "y"', _said("x", "y"), _said("z")),
            Example(
                "x && y || z",
                '(text contains "x" and text contains "y") or text contains "z"',
                _said("xy", "z"),
                _said("x"),
            ),
            Example(
                "x y OR z",
                '(text contains "x" and text contains "y") or text contains "z"',
                _said("xy", "z"),
                _said("x"),
            ),
            Example(
                "z OR x y",
                'text contains "z" or (text contains "x" and text contains "y")',
                _said("xy", "z"),
                _said("x"),
            ),
            Example(
                "x (y OR z)",
                'text contains "x" and (text contains "y" or text contains "z")',
                _said("xy", "xz"),
                _said("z"),
            ),
            Example("NOT x", 'text does not contain "x"', _said("y"), _said("x")),
            Example("!x", 'text does not contain "x"', _said("y"), _said("x")),
            Example("-x", 'text does not contain "x"', _said("y"), _said("x")),
            Example("a -x", 'text contains "a" and text does not contain "x"', _said("a"), _said("ax", "b")),
            Example("+a +b", 'text contains "a" and text contains "b"', _said("ab"), _said("a")),
            Example("NOT NOT x", 'not (text does not contain "x")', _said("x"), _said("y")),
            Example("!!x", 'not (text does not contain "x")', _said("x"), _said("y")),
            Example("NOT x OR y", 'text does not contain "x" or text contains "y"', _said("a", "xy"), _said("x")),
            Example("NOT(x OR y)", 'not (text contains "x" or text contains "y")', _said("a"), _said("x", "y")),
            Example("-(x y)", 'not (text contains "x" and text contains "y")', _said("x", "y"), _said("xy")),
            Example("((x))", 'text contains "x"', _said("x"), _said("y")),
            Example("NOT line:5", "line ≠ 5", _each("lineno", 6, None), _each("lineno", 5)),
            Example("NOT line:<10", "not (line < 10)", _each("lineno", 10, None), _each("lineno", 9)),
            Example("NOT line:99999999999999999999", "line ≠ 99999999999999999999", _each("lineno", 1, None), ()),
            Example(
                "-system:billing", "system ≠ billing", _each("system_id", "", "till"), _each("system_id", "BILLING")
            ),
            Example(
                "NOT host:web-*",
                "not (host is like web-*)",
                _each("sub_system_id", "", "db"),
                _each("sub_system_id", "web-1"),
            ),
            Example("NOT *", "nothing", (), [{}]),
            Example("NOT extra.a:1", "extra.a ≠ 1", _extra({}, {"a": 2}), _extra({"a": 1})),
            Example("NOT level:>=ERROR", "not (level ≥ ERROR)", _each("levelno", 39), _each("levelno", 40)),
            Example(
                "level:(ERROR OR CRITICAL)",
                "level = ERROR or level = CRITICAL",
                _each("levelno", 40, 50),
                _each("levelno", 30),
            ),
            Example(
                "system:(till billing)", "system = till and system = billing", (), _each("system_id", "till", "billing")
            ),
            Example(
                "host:(web-* -web-9)",
                "host is like web-* and host ≠ web-9",
                _each("sub_system_id", "web-1"),
                _each("sub_system_id", "web-9"),
            ),
            Example("line:(>5 AND <10)", "line > 5 and line < 10", _each("lineno", 6), _each("lineno", 5, 10)),
            Example("line:([1 TO 3] OR 9)", "1 ≤ line ≤ 3 or line = 9", _each("lineno", 2, 9), _each("lineno", 5)),
            Example('line:("-5" OR 7)', "line = -5 or line = 7", _each("lineno", -5, 7), _each("lineno", 5)),
            Example(
                "extra.url:(http://a OR http://b)",
                "extra.url = http://a or extra.url = http://b",
                _extra({"url": "http://b"}),
                _extra({"url": "http"}),
            ),
            Example("NOT über", 'text does not contain "über"', _said("unter"), _said("ÜBER")),
            Example(
                "NOT (/x+/ OR level:ERROR)",
                "not (text matches /x+/ or level = ERROR)",
                [{"message": "y", "levelno": 30}],
                [{"message": "x", "levelno": 30}, {"message": "y", "levelno": 40}],
            ),
            Example("x OR *", 'text contains "x" or everything', _said("y"), ()),
        ),
    ),
)

REFUSALS: tuple[Refusal, ...] = (
    Refusal("ConnectionError: refused", 0, "There is no field “ConnectionError”"),
    Refusal("http://example.org/a?b=c", 0, 'put it in quotes: "http://example.org/a?b=c"'),
    Refusal("2026-11-20 10:00:00,123 ERROR [main] x: y", 11, "There is no field “10”"),
    Refusal("sytem:billing", 0, "Did you mean system:?"),
    Refusal("System:billing", 0, "Did you mean system:?"),
    Refusal("ok AND levle:ERROR", 7, "Did you mean level:?"),
    Refusal("_exist_:host", 0, "Did you mean _exists_:?"),
    Refusal("_exists_:hots", 9, "Did you mean _exists_:host?"),
    Refusal("_exists_:é", 9, "There is no field “é”."),
    Refusal("extra.:x", 0, "Write extra.key:value"),
    Refusal("extra:x", 6, "Name one: extra.key:value."),
    Refusal("extra:>1", 7, "Name one: extra.key:value."),
    Refusal("extra." + "a." * 20 + "a:x", 0, "up to 20 keys"),
    Refusal("level:EROR", 6, "Did you mean ERROR?"),
    Refusal("level:>=loud", 8, "There are DEBUG, INFO, WARNING, ERROR, CRITICAL, and numbers."),
    Refusal("level:ERR*", 6, "has no wildcards"),
    Refusal("level:/ERR/", 6, "Regular expressions are for texts."),
    Refusal("level>=ERROR", 0, "Write level:>=ERROR."),
    Refusal("system=billing", 0, "Write system:billing."),
    Refusal("system==billing", 0, "Write system:billing."),
    Refusal("system!=billing", 0, "Write NOT system:billing."),
    Refusal("line:ten", 5, "“ten” is not a whole number"),
    Refusal("line:1.5", 5, "“1.5” is not a whole number"),
    Refusal("line:٣", 5, "is not a whole number"),
    Refusal("line:[10 TO 5]", 6, "The range holds nothing."),
    Refusal("line:{5 TO 5}", 6, "The range holds nothing."),
    Refusal("time:{2026-11-19 TO 2026-11-20}", 6, "The range holds nothing."),
    Refusal("line:[5 10]", 5, "Write [from TO to]"),
    Refusal("line:[5 TO 10", 5, "This range is not complete."),
    Refusal("line:[TO 5]", 5, "This range is not complete."),
    Refusal("line:[", 5, "This range is not complete."),
    Refusal("line:>", 0, "There is no value behind “line:>”."),
    Refusal("msecs:nan", 6, "“nan” is not a number"),
    Refusal("msecs:1e999", 6, "is not a number"),
    Refusal("system:>billing", 8, "has no order here"),
    Refusal("version:[1.0 TO 2.0]", 9, "has no order here"),
    Refusal("extra.took:>fast", 12, "“fast” is not a number"),
    Refusal("time:2026-02-30", 5, "There is no such moment as “2026-02-30”."),
    Refusal("time:2026-13-01", 5, "There is no such moment"),
    Refusal("time:2026-11-20T25:00", 5, "There is no such moment"),
    Refusal("time:yesterday", 5, "Write 2026-11-20, 2026-11-20T10:00"),
    Refusal("time:now-5y", 5, "is not a moment"),
    Refusal("time:now-999999999d", 5, "There is no such moment"),
    Refusal("time:9999-12-31", 5, "There is no such moment"),
    Refusal("time:0001-01-01T00:00+14:00", 5, "There is no such moment"),
    Refusal("time:2026-*", 5, "A moment has no wildcards"),
    Refusal("time:[now TO now-1h]", 6, "The range holds nothing."),
    Refusal("/(?=x)/", 0, "RE2, which has neither look-around"),
    Refusal("x /(a)\\1/", 2, "nor back-references"),
    Refusal("/(a/", 0, "missing )"),
    Refusal("/a{2000}/", 0, "invalid repetition size"),
    Refusal("/(x{30}){30}y{1000}z{200}/", 0, "too large"),
    Refusal("a AND", 2, "There is nothing behind AND."),
    Refusal("AND a", 0, "There is nothing before AND."),
    Refusal("a OR OR b", 5, "There is nothing before OR."),
    Refusal("NOT", 0, "There is nothing behind NOT."),
    Refusal("(a OR )", 3, "There is nothing behind OR."),
    Refusal("(a", 0, "This parenthesis is never closed."),
    Refusal("a)", 1, "This parenthesis closes none."),
    Refusal("()", 0, "There is nothing between these parentheses."),
    Refusal("level:()", 6, "There is nothing between these parentheses."),
    Refusal("foo(bar)", 0, "Put a space between them."),
    Refusal('key="value"', 0, "Put a space between them."),
    Refusal('"a"b', 0, "Put a space between them."),
    Refusal('"a', 0, "These quotes are never closed."),
    Refusal('""', 0, "There is nothing between these quotes."),
    Refusal('system:""', 7, "NOT _exists_:field"),
    Refusal("level:", 0, "_exists_:level finds the rows that have one."),
    Refusal("system: AND x", 0, "There is no value behind “system:”."),
    Refusal("(system:)", 1, "There is no value behind “system:”."),
    Refusal("level:(ERROR OR system:x)", 16, "system cannot stand among them"),
    Refusal(":x", 0, "A colon stands directly behind the name of a field."),
    Refusal("a - b", 2, "must stand directly before what it excludes"),
    Refusal("--help", 0, "must stand directly before what it excludes"),
    Refusal("a + b", 2, "must stand directly before what it asks for"),
    Refusal("[ERROR] failed", 0, "A range needs a field before it."),
    Refusal("<html>", 0, "A comparison needs a field before it."),
    Refusal("a != b", 2, "Write NOT field:value."),
    Refusal("card~2", 0, "finds what is merely similar"),
    Refusal('"card declined"~3', 0, "finds what is merely similar"),
    Refusal("card^2", 0, "neither ranks"),
    Refusal("(a b)^2", 0, "neither ranks"),
    Refusal("a*" * 21, 0, "at most 20 wildcards"),
    Refusal("x " * (CONDITIONS_MAX + 1), 2 * CONDITIONS_MAX, f"at most {CONDITIONS_MAX} words"),
    Refusal("(" * (NESTING_MAX + 1) + "a" + ")" * (NESTING_MAX + 1), NESTING_MAX, "nested more than 50 deep"),
    Refusal("!" * (NESTING_MAX + 1) + "a", NESTING_MAX, "nested more than 50 deep"),
    Refusal("a" * 100_000, LENGTH_MAX, "at most 4,096 are allowed"),
    Refusal("(" * 10_000, LENGTH_MAX, "at most 4,096 are allowed"),
    Refusal("(" * 4_000, NESTING_MAX, "nested more than 50 deep"),
    Refusal("a\0b", 1, "NUL"),
    Refusal("a\ud800b", 1, "surrogate"),
)
