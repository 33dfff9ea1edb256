"""What decoding makes of payloads: of honest clients of every Python, of odd ones, of hostile ones, of JSON."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import json
import pickle
import struct
import uuid

import pytest

from bridge.codecs import PAYLOAD_MAX, Reason, Rejected, decode, is_hello, pickles, to_record
from bridge.codecs.inert import DEPTH_MAX, NODES_MAX
from logs.record import build
from tests import corpus

RECEIVED = dt.datetime(2026, 11, 22, 13, tzinfo=dt.UTC)
PROTOCOLS = range(6)


def reason_of(payload: bytes) -> Reason:
    with pytest.raises(Rejected) as caught:
        decode(payload)
    return caught.value.reason


def decoded_extra(value: object, protocol: int = 1) -> object:
    return decode(pickle.dumps(corpus.stock_record(val=value), protocol))["val"]


class Order:
    """A class of the sender's program."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.parent: Order | None = None


class Slotted:
    __slots__ = ("left", "right")

    def __init__(self) -> None:
        self.left = 1
        self.right = "two"


@pytest.mark.parametrize("payload", corpus.psbasic_payloads())
def test_frames_of_an_unmodified_psbasic_are_what_pickle_says_they_are(payload: bytes):
    assert decode(payload) == pickle.loads(payload)
    assert to_record(payload, received=RECEIVED).message == decode(payload)["msg"]


def test_psbasic_frames_become_whole_records():
    record = to_record(corpus.psbasic_payloads()[9], received=RECEIVED, peer="10.0.0.7")

    assert record.created == dt.datetime(2026, 11, 22, 2, 10, 2, 678296, tzinfo=dt.UTC)
    assert (record.system_id, record.sub_system_id, record.sub_sub_system_id) == ("psclient", "vm", "sss")
    assert (record.produkt_id, record.user_spec_1, record.user_spec_2) == ("PROD1", "u1", "")
    assert (record.package_version, record.levelno, record.levelname) == ("9.9.9", 20, "INFO")
    assert (record.message, record.funcname, record.lineno) == ("extra field", "<module>", 51)
    assert (record.process, record.thread) == (15575, 139947961420672)
    assert json.loads(record.extra) == {"my_extra": 1}
    assert (record.peer, record.flags, record.args, record.exc_info) == ("10.0.0.7", "", "", "")


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.13"])
def test_stock_handler_of_old_and_new_pythons_loses_nothing(version: str):
    payloads = corpus.payloads_of((corpus.DATA / "clients" / f"python-{version}.bin").read_bytes())
    records = [to_record(payload, received=RECEIVED) for payload in payloads]

    plain, named, unicode, boom, extras, objects, mine = records
    assert plain.message == "plain text and 7"
    assert named.message == "named 1"
    assert unicode.message == "grüße €"
    assert boom.exc_text.startswith("Traceback (most recent call last):")
    assert "ZeroDivisionError" in boom.exc_text
    assert json.loads(extras.extra) == {
        **{"b": "ÿ␀raw", "u": "你", "s": [1], "fs": [2], "t": [1, [2, 3]], "big": "1180591620717411303424"},
        **{"neg": -3, "neg_big": -(2**40), "f": 1.5, "yes": True, "no": False, "c": "<complex 0.0 1.0>"},
    }
    told = json.loads(objects.extra)
    assert told.pop("frac").startswith("<fractions.Fraction 1")
    assert told == {
        "d": "<datetime.datetime 2026-11-22 01:02:03.000004>",
        "day": "<datetime.date 2026-11-22>",
        "tm": "<datetime.time 01:02:03>",
        "delta": "<datetime.timedelta 1 day, 0:00:02.000003>",
        "dec": "<decimal.Decimal 1.50>",
        "uuid": "<uuid.UUID 00000000-0000-0000-0000-000000000005>",
        **{"od": {"x": 1, "y": [2]}, "dd": {"k": [1]}, "dq": [1, 2], "cnt": {"a": 2, "b": 1}},
        **{"exc": "<ValueError bad 3>", "cls": "<dict>", "fn": "<len>"},
    }
    own = json.loads(mine.extra)
    assert own["obj"] == "<__main__.Old me=old back=<cycle>>"
    assert own["keys"] == {"1": "d", "1~2": "a", "None": "b", "[1,2]": "c"}
    assert own["ba"] == "ba"
    assert "odd" in objects.flags


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_tells_the_same(protocol: int):
    fields = corpus.stock_record(
        a=[1, (2, {"b": None})], t="ü€🐍\n'\"\\", big=-(2**70), x=1e-300, long="z" * 300, yes=True
    )

    assert decode(pickle.dumps(fields, protocol)) == {**fields, "a": [1, [2, {"b": None}]]}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("value", "told"),
    [
        pytest.param(decimal.Decimal("1.50"), "<decimal.Decimal 1.50>", id="decimal"),
        pytest.param({1}, [1], id="set"),
        pytest.param(frozenset("a"), ["a"], id="frozenset"),
        pytest.param(b"caf\xc3\xa9", "café", id="utf-8-bytes"),
        pytest.param(b"caf\xe9", "café", id="latin-1-bytes"),
        pytest.param(b"", "", id="no-bytes"),
        pytest.param(bytearray(b"xy"), "xy", id="bytearray"),
        pytest.param(1 + 2j, "<complex 1.0 2.0>", id="complex"),
        pytest.param(uuid.UUID(int=5), "<uuid.UUID 00000000-0000-0000-0000-000000000005>", id="uuid"),
        pytest.param(dt.date(2026, 11, 22), "<datetime.date 2026-11-22>", id="date"),
        pytest.param(
            dt.datetime(2026, 11, 22, 1, 2, 3, tzinfo=dt.timezone(-dt.timedelta(hours=3, minutes=30))),
            "<datetime.datetime 2026-11-22 01:02:03-03:30>",
            id="aware-datetime",
        ),
        pytest.param(dt.timedelta(days=-1), "<datetime.timedelta -1 day, 0:00:00>", id="timedelta"),
        pytest.param(collections.OrderedDict(a=1), {"a": 1}, id="ordered-dict"),
        pytest.param(collections.deque([1]), [1], id="deque"),
        pytest.param(KeyError("k"), "<KeyError k>", id="exception"),
        pytest.param(dict, "<dict>", id="class"),
        pytest.param({2: "two", (1, 2): "pair"}, {"2": "two", "[1,2]": "pair"}, id="odd-keys"),
    ],
)
def test_value_of_any_type_becomes_inert(value: object, told: object, protocol: int):
    assert decoded_extra(value, protocol) == told


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_object_of_the_senders_own_class_becomes_text(protocol: int):
    assert decoded_extra(Order(7), protocol) == f"<{__name__}.Order number=7 parent=None>"


@pytest.mark.parametrize("protocol", range(2, 6))
def test_object_with_slots_becomes_text(protocol: int):
    assert decoded_extra(Slotted(), protocol) == f"<{__name__}.Slotted left=1 right=two>"


def test_time_in_a_named_zone_keeps_the_name():
    zoneinfo = pytest.importorskip("zoneinfo")
    moment = dt.datetime(2026, 7, 1, 12, tzinfo=zoneinfo.ZoneInfo("UTC"))

    assert decoded_extra(moment, 4) == "<datetime.datetime 2026-07-01 12:00:00[UTC]>"


def test_objects_that_refer_to_each_other_keep_the_record():
    parent, child = Order(1), Order(2)
    parent.parent, child.parent = child, parent

    told = decoded_extra(parent)

    assert isinstance(told, str)
    assert "<cycle>" in told


def test_chain_of_objects_is_told_to_a_depth_and_no_further():
    first = last = Order(0)
    for number in range(50):
        last.parent = Order(number)
        last = last.parent

    told = decoded_extra(first)

    assert isinstance(told, str)
    assert "…" in told
    assert len(told) <= 1_000


def test_list_that_contains_itself_keeps_the_record():
    loop: list[object] = [1]
    loop.append(loop)

    assert decoded_extra(loop) == [1, "<cycle>"]


def test_keys_that_print_alike_are_all_kept():
    assert decoded_extra({5: "int", "5": "text", 5.5: "float", None: "none", "None": "word"}) == {
        **{"5": "text", "5~2": "int", "5.5": "float", "None": "word", "None~2": "none"}
    }


def test_nothing_a_pickle_names_is_imported(monkeypatch: pytest.MonkeyPatch):
    imported: list[str] = []

    def refuse(name: str, *args: object, **options: object) -> object:
        imported.append(name)
        raise AssertionError(f"imports {name}")

    payload = b"}(" + b"X\x01\x00\x00\x00mcantigravity\nfly\n)R" + b"X\x04\x00\x00\x00namecposix\nsystem\nu."
    with monkeypatch.context() as patch:
        patch.setattr("builtins.__import__", refuse)
        told = pickles.read(payload)

    assert told.value == {"m": "<antigravity.fly>", "name": "<posix.system>"}
    assert imported == []


def test_python_2_byte_strings_are_utf_8_where_they_can_be():
    payload = b"}q\x01(U\x04nameq\x02U\x02\xc3\xbcU\x03msgT\x01\x00\x00\x00\xfcU\x01s(lp9\nu."

    assert decode(payload) == {"name": "ü", "msg": "ü", "s": []}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (rb"S'a\'b'", "a'b"),
        (rb'S"a\'b"', "a'b"),
        (rb"S'\n\t\\'", "\n\t\\"),
        (rb"S'\xc3\xbc'", "ü"),
        (rb"S'\101'", "A"),
        (rb"S'\q\9'", r"\q\9"),
        (rb"V\u20ac", "€"),
        (rb"I01", True),
        (rb"I00", False),
        (rb"I-7", -7),
        (rb"L12L", 12),
        (rb"F1.5", 1.5),
    ],
)
def test_protocol_0_lines_are_read(line: bytes, told: object):
    assert pickles.read(line + b"\n.").value == told


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        pytest.param(b"", Reason.EMPTY, id="empty"),
        pytest.param(b"}" * (PAYLOAD_MAX + 1), Reason.TOO_LONG, id="over-the-cap"),
        pytest.param(b"GET / HTTP/1.1\r\n", Reason.UNKNOWN_CODEC, id="http"),
        pytest.param(b'{"herald": 1}', Reason.HELLO, id="hello"),
        pytest.param(b'{"herald": 1, "msg": "x", "name": "y"}', Reason.HELLO, id="hello-in-a-record"),
        pytest.param(b'{"msg": ', Reason.MALFORMED, id="half-json"),
        pytest.param(b'{"msg": "\xff"}', Reason.MALFORMED, id="json-not-utf-8"),
        pytest.param(b'{"a":' + b"[" * 200_000 + b"}", Reason.TOO_DEEP, id="deep-json"),
        pytest.param(b'{"a":1111111111111111111,"b":' + b"[" * 200_000 + b"}", Reason.TOO_DEEP, id="deep-wide-json"),
        pytest.param(b'{"a":' + b"[" * 70 + b"]" * 70 + b"}", Reason.TOO_DEEP, id="json-over-our-depth"),
        pytest.param(b'{"a":[' + b"0," * 30_000 + b"0]}", Reason.TOO_MANY_NODES, id="many-json-values"),
        pytest.param(b'{"a":' + b"9" * 700 + b"}", Reason.NUMBER_TOO_LONG, id="long-json-number"),
        pytest.param(b"}", Reason.MALFORMED, id="no-stop"),
        pytest.param(b"}..", Reason.MALFORMED, id="bytes-behind-stop"),
        pytest.param(b"}}.", Reason.MALFORMED, id="two-results"),
        pytest.param(b"}(.", Reason.MALFORMED, id="open-mark"),
        pytest.param(b"}0s.", Reason.MALFORMED, id="empty-stack"),
        pytest.param(b"}\xff.", Reason.MALFORMED, id="no-opcode"),
        pytest.param(b"}\x85\x86.", Reason.MALFORMED, id="short-tuple"),
        pytest.param(b"}(X\xff\xff\xff\x7fab.", Reason.MALFORMED, id="length-beyond-the-end"),
        pytest.param(b"}Ix\n.", Reason.MALFORMED, id="no-number"),
        pytest.param(b"}I0x10\n.", Reason.MALFORMED, id="hexadecimal"),
        pytest.param(b"}Sabc\n.", Reason.MALFORMED, id="no-quotes"),
        pytest.param(b"}S'abc", Reason.MALFORMED, id="endless-line"),
        pytest.param(b"}c" + b"a" * 300 + b"\nb\n.", Reason.MALFORMED, id="long-name"),
        pytest.param(b"}Nb.", Reason.MALFORMED, id="state-for-a-dict"),
        pytest.param(b"}\x8b\xff\xff\xff\xff.", Reason.MALFORMED, id="negative-length"),
        pytest.param(b"}Pid\n.", Reason.FORBIDDEN, id="persistent-id"),
        pytest.param(b"}\x82\x01.", Reason.FORBIDDEN, id="extension"),
        pytest.param(b"}q\x00h\x01.", Reason.MEMO, id="nothing-in-the-memo"),
        pytest.param(b"}pxx\n.", Reason.MEMO, id="memo-index-no-number"),
        pytest.param(b"}r\xff\xff\xff\xff.", Reason.MEMO, id="memo-index-too-great"),
        pytest.param(b"(l.", Reason.NOT_A_RECORD, id="a-list"),
        pytest.param(b"(c__builtin__\ndict\no.", Reason.NOT_A_RECORD, id="an-object"),
    ],
)
def test_payload_is_rejected_for_the_reason_it_deserves(payload: bytes, reason: Reason):
    assert reason_of(payload) is reason


def test_json_that_is_no_object_or_no_record_is_rejected():
    assert reason_of(b'["msg"]') is Reason.UNKNOWN_CODEC
    with pytest.raises(Rejected, match="not a record: a record needs `msg`"):
        to_record(b"{}", received=RECEIVED)
    with pytest.raises(Rejected, match="at least one of name, levelno"):
        to_record(b'{"msg": "x", "SYSTEM_ID": "y"}', received=RECEIVED)


def test_value_is_taken_to_the_depth_that_is_allowed_and_not_deeper():
    def nested(depth: int) -> list[object]:
        value: list[object] = []
        for _ in range(depth - 1):
            value = [value]
        return value

    assert decoded_extra(nested(DEPTH_MAX - 1)) == nested(DEPTH_MAX - 1)
    assert reason_of(pickle.dumps(corpus.stock_record(val=nested(DEPTH_MAX)), 1)) is Reason.TOO_DEEP


def test_shared_text_counts_each_time_it_is_written_out():
    text = "x" * 100_000

    assert reason_of(pickle.dumps(corpus.stock_record(val=[text] * 100), 1)) is Reason.TOO_MUCH_TEXT
    assert decoded_extra([text] * 5) == [text] * 5


def test_shared_list_counts_each_time_it_is_written_out():
    shared = list(range(1_000))

    assert reason_of(pickle.dumps(corpus.stock_record(val=[shared] * 100), 1)) is Reason.TOO_MANY_NODES


def test_as_many_values_as_the_budget_allows_are_taken():
    assert decoded_extra(list(range(NODES_MAX // 2))) == list(range(NODES_MAX // 2))


def test_text_that_is_no_utf_8_is_kept_with_replacements():
    payload = pickle.dumps(corpus.stock_record(), 1).replace(b"hello", b"he\xff\xfeo")

    assert decode(payload)["msg"] == "he\ufffd\ufffdo"


def test_lone_surrogates_survive_decoding():
    assert decoded_extra("bad \ud800 end") == "bad \ud800 end"


def test_json_record_is_the_same_record_as_its_pickle():
    fields = corpus.stock_record(SYSTEM_ID="shop", order=7, nested={"a": [1, None, True]})

    by_json = to_record(json.dumps(fields).encode(), received=RECEIVED)

    assert by_json == to_record(pickle.dumps(fields, 1), received=RECEIVED)


def test_json_of_pythons_own_writer_is_read_where_the_fast_reader_refuses():
    told = decode(
        b'{"msg": "\\ud800", "name": "x", "nan": NaN, "inf": -Infinity, "wide": 123456789012345678901234567890}'
    )

    assert told["msg"] == "\ud800"
    assert told["nan"] != told["nan"]
    assert told["inf"] == float("-inf")
    assert told["wide"] == 123456789012345678901234567890


@pytest.mark.parametrize(
    ("payload", "hello"),
    [
        (b'{"herald": 1}', True),
        (b'{ \n"herald" :{}}', True),
        (b'{"msg": "x", "herald": 1}', False),
        (b'{"heralds": 1}', False),
        (b'["herald"]', False),
        (b"}q\x00.", False),
        (b"", False),
    ],
)
def test_hello_is_a_json_object_whose_first_key_is_herald(payload: bytes, hello: bool):
    assert is_hello(payload) is hello


def test_herald_as_a_later_key_of_a_record_is_data():
    assert decode(b'{"msg": "x", "name": "y", "herald": 1}')["herald"] == 1


def test_detail_says_where_in_the_payload_it_went_wrong():
    with pytest.raises(Rejected, match=r"malformed: pickle: 100 bytes are announced, 2 are left \(at byte 6\)"):
        decode(b"}X" + struct.pack("<L", 100) + b"ab")


USUAL = {
    "msg": "a message",
    "name": "shop",
    "levelno": 20,
    "levelname": "INFO",
    "created": 1_795_262_400.25,
    "msecs": 250.5,
    "lineno": 3,
    "thread": 140_000_000_000_000,
    "SYSTEM_ID": "svc",
    "exc_text": None,
}


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"msg": "zwölf"},
        {"msg": "nul \0 and \ud800"},
        {"msg": "x" * 300_000},
        {"msg": ["a", "list"]},
        {"name": None},
        {"name": {"an": "object"}},
        {"SYSTEM_ID": "None"},
        {"levelno": True},
        {"levelno": 20.0},
        {"levelno": None},
        {"levelname": ""},
        {"lineno": 2**31},
        {"thread": 2**63},
        {"thread": 2**70},
        {"msecs": 2**53 + 1},
        {"msecs": 2**64},
        {"msecs": 10**30},
        {"msecs": float("nan")},
        {"msecs": "250"},
        {"created": 2**64},
        {"created": 1_795_262_400},
        {"created": -1.0},
        {"exc_text": "Traceback …"},
    ],
    ids=str,
)
def test_json_whose_keys_came_before_becomes_the_same_record_as_by_the_long_way(changed: dict[str, object]):
    fields = {**USUAL, **changed}
    payload = json.dumps(fields).encode()
    to_record(json.dumps(USUAL).encode(), received=RECEIVED)

    expected = build(decode(payload), received=RECEIVED, peer="127.0.0.1")
    assert to_record(payload, received=RECEIVED, peer="127.0.0.1") == expected
    assert repr(to_record(payload, received=RECEIVED, peer="127.0.0.1")) == repr(expected)


def test_json_that_is_no_object_is_rejected_whatever_came_before():
    to_record(json.dumps(USUAL).encode(), received=RECEIVED)
    with pytest.raises(Rejected):
        to_record(json.dumps(list(USUAL)).encode(), received=RECEIVED)
