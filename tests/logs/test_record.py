"""What becomes of a sender's fields: which column each goes to, what is cut, what is kept aside, what is flagged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logs.record import COLUMN_OF, ID_MAX, LABEL_MAX, SENT, TEXT_MAX, Layout, NotARecord, Record, build
from tests import corpus

RECEIVED = datetime(2026, 11, 22, 13, tzinfo=UTC)
CREATED = 1795312000.25
IDS = ("SYSTEM_ID", "SUB_SYSTEM_ID", "SUB_SUB_SYSTEM_ID", "PRODUKT_ID", "USER_SPEC_1", "USER_SPEC_2")


def made(**changes: object) -> Record:
    return build(corpus.stock_record(**changes), received=RECEIVED)


def extra_of(record: Record) -> dict[str, object]:
    told: dict[str, object] = json.loads(record.extra)
    return told


def test_stock_record_goes_to_its_columns_and_leaves_nothing_over():
    record = made(taskName="Task-1", SYSTEM_ID="shop", package_version="1.0", api_version="2")

    assert record == Record(
        created=datetime.fromtimestamp(CREATED, UTC),
        received=RECEIVED,
        system_id="shop",
        package_version="1.0",
        api_version="2",
        name="app.db",
        levelno=20,
        levelname="INFO",
        message="hello",
        pathname="/srv/app/db.py",
        filename="db.py",
        module="db",
        funcname="save",
        lineno=42,
        process=4711,
        processname="MainProcess",
        thread=140713635085184,
        threadname="MainThread",
        taskname="Task-1",
        msecs=250.0,
        relativecreated=12.5,
    )


def test_column_names_themselves_are_accepted_as_keys():
    fields = {"message": "m", "system_id": "s", "funcname": "f", "threadname": "t", "levelname": "INFO", "summary": "u"}
    record = build(fields, received=RECEIVED)

    assert (record.message, record.system_id, record.funcname) == ("m", "s", "f")
    assert (record.threadname, record.summary, record.levelno) == ("t", "u", 20)
    assert record.extra == "{}"


def test_every_column_a_sender_may_fill_is_a_column_and_has_a_spelling():
    assert set(SENT) <= set(Record._fields)
    assert set(COLUMN_OF.values()) == set(SENT)


@pytest.mark.parametrize("key", ["received", "peer", "origin", "flags", "extra", "id", "tx"])
def test_what_only_herald_may_say_is_kept_aside_when_a_sender_says_it(key: str):
    record = made(**{key: "forged"})

    assert extra_of(record) == {key: "forged"}
    assert (record.received, record.peer, record.origin) == (RECEIVED, "", "[]")


@pytest.mark.parametrize("key", IDS)
def test_id_that_was_never_set_is_empty(key: str):
    assert getattr(made(**{key: "None"}), key.lower()) == ""
    assert getattr(made(**{key: None}), key.lower()) == ""
    assert getattr(made(**{key: "Nones"}), key.lower()) == "Nones"


def test_package_version_stays_as_it_was_sent():
    assert made(package_version="undef").package_version == "undef"
    assert made(package_version="None").package_version == "None"


def test_the_word_none_is_never_made_from_none():
    record = build({"msg": None, "name": None, "levelname": "INFO", "SYSTEM_ID": None}, received=RECEIVED)

    assert (record.message, record.name, record.system_id, record.lineno, record.msecs) == ("", "", "", None, None)
    assert "None" not in repr([value for value in record if value is not None])


def test_keys_without_a_column_are_kept_in_extra():
    record = made(order=7, ratio=0.5, ok=True, no=None, tags=["a", {"b": 1}])

    assert extra_of(record) == {"order": 7, "ratio": 0.5, "ok": True, "no": None, "tags": ["a", {"b": 1}]}
    assert record.flags == ""


def test_second_key_for_a_column_is_kept_in_extra():
    record = made(SYSTEM_ID="shop", system_id="other", func="x", funcname="late")

    assert (record.system_id, record.funcname) == ("shop", "save")
    assert extra_of(record) == {"system_id": "other", "func": "x", "funcname": "late"}


def test_formatted_copy_of_the_message_is_dropped_and_another_text_is_kept():
    assert made(message="hello").extra == "{}"
    assert extra_of(made(message="something else")) == {"message": "something else"}
    before = build({"message": "hello", **corpus.stock_record()}, received=RECEIVED)
    assert (before.message, before.extra) == ("hello", "{}")


@pytest.mark.parametrize(
    ("fields", "missing"),
    [
        ({}, "`msg` or `message`"),
        ({"name": "x", "levelno": 10}, "`msg` or `message`"),
        ({"msg": "x"}, "at least one of name"),
        ({"msg": "x", "SYSTEM_ID": "s"}, "at least one of name"),
    ],
)
def test_fields_that_are_no_record_are_refused_with_what_is_missing(fields: dict[str, object], missing: str):
    with pytest.raises(NotARecord, match=missing):
        build(fields, received=RECEIVED)


@pytest.mark.parametrize("key", ["name", "levelno", "levelname", "created"])
def test_message_and_one_more_field_are_enough(key: str):
    assert build({"message": "x", key: corpus.stock_record()[key]}, received=RECEIVED).message == "x"


# Values that do not fit


def test_value_of_the_wrong_type_is_told_as_text_and_kept():
    record = made(msg={"a": 1}, name=5, SYSTEM_ID=7.5, funcName=True)

    assert (record.message, record.name, record.system_id, record.funcname) == ('{"a":1}', "5", "7.5", "True")
    assert extra_of(record) == {"msg": {"a": 1}, "name": 5, "SYSTEM_ID": 7.5, "funcName": True}
    assert record.flags == "odd"


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 2**80, True, "42", 1.5, [1]])
@pytest.mark.parametrize("column", ["lineno", "process"])
def test_number_that_does_not_fit_its_column_is_kept_in_extra(column: str, value: object):
    record = made(**{column: value})

    assert getattr(record, column) is None
    assert column in extra_of(record)
    assert record.flags == "odd"


@pytest.mark.parametrize("value", [2**31 - 1, -(2**31), 0])
def test_number_at_the_edge_of_its_column_fits(value: int):
    assert made(lineno=value).lineno == value


def test_thread_takes_64_bits_and_not_more():
    assert made(thread=2**63 - 1).thread == 2**63 - 1
    assert made(thread=2**63).thread is None
    assert extra_of(made(thread=2**63)) == {"thread": str(2**63)}


def test_whole_number_written_as_a_float_is_a_number():
    assert made(lineno=42.0).lineno == 42
    assert made(lineno=float("inf")).lineno is None
    assert made(lineno=float("nan")).lineno is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "1.5", True, 10**400])
@pytest.mark.parametrize("column", ["msecs", "relativeCreated"])
def test_real_number_that_is_none_is_kept_in_extra(column: str, value: object):
    record = made(**{column: value})

    assert getattr(record, column.lower()) is None
    assert column in extra_of(record)


# Levels


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({"levelno": 30, "levelname": "WARNING"}, (30, "WARNING")),
        ({"levelno": None, "levelname": "ERROR"}, (40, "ERROR")),
        ({"levelno": None, "levelname": "warn"}, (30, "warn")),
        ({"levelno": None, "levelname": "TRACE"}, (0, "TRACE")),
        ({"levelno": None, "levelname": None}, (0, "NOTSET")),
        ({"levelno": 40, "levelname": None}, (40, "ERROR")),
        ({"levelno": 35, "levelname": ""}, (35, "Level 35")),
        ({"levelno": True, "levelname": "INFO"}, (20, "INFO")),
        ({"levelno": 2**70, "levelname": "INFO"}, (20, "INFO")),
        ({"levelno": -5, "levelname": "INFO"}, (-5, "INFO")),
    ],
)
def test_level_is_a_number_and_a_word_whatever_was_sent(changes: dict[str, object], level: tuple[int, str]):
    record = made(**changes)

    assert (record.levelno, record.levelname) == level


# Times


@pytest.mark.parametrize(
    "created",
    [
        *(-1.0, 0, 5e-324, 1e308, 10**400, float("nan"), float("inf"), True, "now", "1795312000.25", [1], None),
        pytest.param(datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp(), id="before-2000"),
        pytest.param((RECEIVED + timedelta(hours=24, seconds=1)).timestamp(), id="a-day-ahead"),
    ],
)
def test_absurd_time_is_replaced_by_the_time_of_receipt_flagged_and_kept(created: object):
    record = made(created=created)

    assert record.created == RECEIVED
    assert record.flags.split()[0] == "created"
    assert ("created" in extra_of(record)) is (created is not None)


@pytest.mark.parametrize(
    "created",
    [datetime(2000, 1, 1, tzinfo=UTC), RECEIVED - timedelta(days=365), RECEIVED + timedelta(hours=24)],
)
def test_time_that_may_be_true_is_kept(created: datetime):
    record = made(created=created.timestamp())

    assert (record.created, record.flags) == (created, "")


def test_absent_time_is_the_time_of_receipt():
    record = build({"msg": "x", "name": "y"}, received=RECEIVED)

    assert (record.created, record.flags, record.extra) == (RECEIVED, "created", "{}")


def test_moments_are_in_utc_whatever_zone_they_were_given_in():
    record = build(corpus.stock_record(), received=RECEIVED.astimezone(timezone(timedelta(hours=2))))

    assert record.received == RECEIVED
    assert record.received.tzinfo is UTC
    assert record.created.tzinfo is UTC


# Lengths


@pytest.mark.parametrize("key", [*IDS, "package_version", "api_version"])
def test_long_id_is_cut_with_a_mark(key: str):
    record = made(**{key: "i" * (ID_MAX + 1)})

    assert getattr(record, key.lower()) == "i" * (ID_MAX - 1) + "…"
    assert record.flags == "cut"
    assert made(**{key: "i" * ID_MAX}).flags == ""


def test_long_label_is_cut_with_a_mark():
    assert made(name="n" * (LABEL_MAX + 1)).name == "n" * (LABEL_MAX - 1) + "…"
    assert made(pathname="n" * LABEL_MAX).pathname == "n" * LABEL_MAX


@pytest.mark.parametrize("column", ["msg", "exc_text", "stack_info"])
def test_long_text_is_cut_and_says_how_much_is_missing(column: str):
    record = made(**{column: "m" * (TEXT_MAX + 1_000)})
    text = getattr(record, COLUMN_OF[column])
    kept = text.count("m")

    assert len(text) <= TEXT_MAX
    assert text.endswith(f"… [{TEXT_MAX + 1_000 - kept} characters cut]")
    assert record.flags == "cut"
    assert made(**{column: "m" * TEXT_MAX}).flags == ""


def test_text_limit_can_be_set():
    record = build(corpus.stock_record(msg="a" * 100), received=RECEIVED, text_max=50)

    assert len(record.message) <= 50
    assert record.message.startswith("aaa")


def test_large_extra_loses_length_before_it_loses_keys():
    record = made(big="x" * 200_000, small="kept")

    told = extra_of(record)
    assert told["small"] == "kept"
    assert str(told["big"]).endswith("characters cut]")
    assert record.flags == "cut"
    assert len(record.extra) < 65_536


def test_extra_of_too_many_keys_says_how_many_are_missing():
    record = made(**{f"key_{number:05}": "v" * 20 for number in range(5_000)})

    told = extra_of(record)
    assert len(record.extra) <= 65_536
    assert told["…"] == f"{5_000 - (len(told) - 1)} keys cut"
    assert "key_00000" in told


# Text that databases refuse


@pytest.mark.parametrize("key", ["msg", "name", "SYSTEM_ID", "exc_text", "my_extra"])
def test_nul_and_lone_surrogates_become_visible(key: str):
    record = made(**{key: "a\0b\ud800c"})

    shown = extra_of(record)[key] if key == "my_extra" else getattr(record, COLUMN_OF[key])
    assert shown == "a␀b\\ud800c"
    assert record.flags == "odd"


def test_keys_of_extra_are_made_storable_and_stay_apart():
    record = made(**{"k\0": 1, "k␀": 2, "k\udfff": 3})

    assert extra_of(record) == {"k␀": 1, "k␀~2": 2, "k\\udfff": 3}


def test_numbers_that_json_readers_round_are_kept_as_text():
    record = made(exact=2**53, wide=2**53 + 1, huge=2**300, nan=float("nan"), low=float("-inf"), nested=[2**64])

    assert extra_of(record) == {
        **{"exact": 2**53, "wide": str(2**53 + 1), "huge": str(2**300)},
        **{"nan": "NaN", "low": "-Infinity", "nested": [str(2**64)]},
    }
    assert record.flags == "odd"


def test_peer_is_made_storable_and_bounded():
    assert build(corpus.stock_record(), received=RECEIVED, peer="10.0.0.7").peer == "10.0.0.7"
    assert len(build(corpus.stock_record(), received=RECEIVED, peer="p\0" * 500).peer) == ID_MAX


def test_what_decoding_made_inert_is_flagged():
    assert build(corpus.stock_record(), received=RECEIVED, odd=True).flags == "odd"


def test_flags_are_in_a_fixed_order():
    assert made(created=None, name="n" * 2_000, lineno=True).flags == "created cut odd"


# Unmerged messages


def test_unmerged_message_is_merged_and_args_are_empty():
    record = made(msg="%s has %d items", args=["cart", 3])

    assert (record.message, record.args, record.flags) == ("cart has 3 items", "", "")


def test_message_that_is_not_safely_merged_keeps_its_args():
    record = made(msg="%999999999d", args=[1])

    assert (record.message, record.args) == ("%999999999d", "[1]")


@pytest.mark.parametrize("args", [None, [], {}])
def test_message_without_args_is_left_as_it_is(args: object):
    record = made(msg="100 % sure", args=args)

    assert (record.message, record.args) == ("100 % sure", "")


def test_exc_info_that_was_not_text_is_kept_as_json():
    assert made(exc_info=["<ValueError>", "bad", None]).exc_info == '["<ValueError>","bad",null]'
    assert made(exc_info=None).exc_info == ""


# The fast way

values = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.lists(st.integers(), max_size=2)
)
odd_values = st.sampled_from(
    ["None", "", "a\0b", "bad \ud800", "x" * 300, "y" * 1_100, 2**31, CREATED, 1e300, -1e300, {}]
)
keys = st.sampled_from([*corpus.stock_record(), *IDS, "package_version", "message", "taskName", "own", "extra", "peer"])


@settings(deadline=None, max_examples=400)
@given(st.dictionaries(keys, values | odd_values, max_size=6))
def test_layout_builds_exactly_what_build_builds(changes: dict[str, object]):
    fields = corpus.stock_record(**changes)

    fast = Layout(tuple(fields)).build(list(fields.values()), received=RECEIVED, peer="10.0.0.7")

    assert repr(fast) == repr(build(fields, received=RECEIVED, peer="10.0.0.7"))


@settings(deadline=None)
@given(st.dictionaries(keys, values | odd_values, max_size=8))
def test_layout_refuses_what_build_refuses(fields: dict[str, object]):
    try:
        slow = repr(build(fields, received=RECEIVED))
    except NotARecord as error:
        with pytest.raises(NotARecord, match=str(error)[:20]):
            Layout(tuple(fields)).build(list(fields.values()), received=RECEIVED)
    else:
        assert repr(Layout(tuple(fields)).build(list(fields.values()), received=RECEIVED)) == slow


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=20) | keys, values | odd_values, max_size=10))
def test_every_record_can_be_written_to_a_database(changes: dict[str, object]):
    record = build({**corpus.stock_record(), **changes}, received=RECEIVED)

    for column, value in record._asdict().items():
        if isinstance(value, str):
            assert "\0" not in value, column
            value.encode()
    json.loads(record.extra, parse_constant=pytest.fail)
    assert -(2**31) <= record.levelno < 2**31
    assert set(record.flags.split()) <= {"created", "cut", "odd"}


@pytest.mark.parametrize(("limit", "flags"), [("1000", "cut"), ("3000", "")])
def test_the_operator_says_how_long_a_text_may_be(limit: str, flags: str):
    code = (
        "import pickle; from datetime import UTC, datetime; from tests import corpus; from bridge.codecs import to_record\n"
        "payload = pickle.dumps(corpus.stock_record(msg='x' * 2000), 1)\n"
        "for _ in range(3): print(to_record(payload, received=datetime.now(UTC)).flags)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"HERALD_TEXT_MAX": limit}, capture_output=True, text=True
    )

    assert (run.stdout.splitlines(), run.stderr) == ([flags] * 3, "")
