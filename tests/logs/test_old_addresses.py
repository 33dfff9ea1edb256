from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from logs.models import Log
from logs.schema import searching
from logs.store import append
from tests.logs.records import record

pytestmark = pytest.mark.django_db

KEYS = [
    "id",
    "api_version",
    "args",
    "asctime",
    "created",
    "exc_info",
    "exc_text",
    "filename",
    "funcname",
    "levelname",
    "levelno",
    "lineno",
    "message",
    "module",
    "msecs",
    "name",
    "package_version",
    "pathname",
    "process",
    "processname",
    "produkt_id",
    "relativecreated",
    "stack_info",
    "sub_sub_system_id",
    "sub_system_id",
    "summary",
    "system_id",
    "thread",
    "threadname",
    "user_spec_1",
    "user_spec_2",
]
UNSELECTED = dict.fromkeys(
    [
        *("system_id", "sub_system_id", "sub_sub_system_id", "user_spec_1", "user_spec_2", "produkt_id"),
        *("pattern", "starting_at", "notify_level", "num_records"),
    ],
    "not_selected",
) | {"order": "desc"}


@pytest.fixture
def anna(client: Client) -> Client:
    client.force_login(User.objects.create_user("anna"), "django.contrib.auth.backends.ModelBackend")
    return client


def listed(client: Client, **parameters: Any) -> list[dict[str, Any]]:
    answer = client.get("/angular/list", UNSELECTED | parameters)
    assert answer.status_code == 200, answer.content
    found: list[dict[str, Any]] = answer.json()
    return found


def messages(client: Client, **parameters: Any) -> list[str]:
    return [row["message"] for row in listed(client, **parameters)]


def test_a_row_has_the_31_keys_and_their_types(anna: Client, now):
    append([record("hello", at=now, thread=140735286908888, lineno=7, msecs=1.5, process=3, exc_text="Traceback")])

    (row,) = listed(anna)

    assert len(KEYS) == 31
    assert sorted(row) == sorted(KEYS)
    assert row["id"] == Log.objects.get().id
    assert row["created"] == "2026-11-22 12:00:00.000000"
    assert (row["levelno"], row["lineno"], row["process"], row["thread"]) == (20, 7, 3, 140735286908888)
    assert (row["msecs"], row["exc_text"], row["stack_info"]) == (1.5, "Traceback", None)


@pytest.mark.parametrize(
    "column", ["system_id", "sub_system_id", "sub_sub_system_id", "user_spec_1", "user_spec_2", "produkt_id"]
)
def test_each_id_selects_by_its_value(anna: Client, column: str):
    def fields(value: str) -> dict[str, Any]:
        return {column: value}

    append([record("one")._replace(**fields("wanted")), record("two")._replace(**fields("wanted too"))])

    assert messages(anna, **{column: "wanted"}) == ["one"]
    assert messages(anna, **{column: "not_selected"}) == ["two", "one"]
    assert messages(anna, **{column: "absent"}) == []


def test_a_pattern_is_looked_for_in_message_function_and_module(anna: Client):
    append([record("a needle here"), record("b", funcname="needle_in"), record("c", module="myNeedle"), record("d")])
    append([record("e", exc_text="needle")])

    assert messages(anna, pattern="needle") == ["c", "b", "a needle here"]
    assert messages(anna, pattern="n%e") == []


def test_rows_are_selected_by_time_and_level(anna: Client, now):
    hour = timedelta(hours=1)
    append([record("early", at=now - hour, levelno=50), record("late", at=now, levelno=30)])

    assert messages(anna, starting_at="2026-11-22 11:30:00") == ["late"]
    assert messages(anna, starting_at="2026-11-22 12:00:00.000000") == ["late"]
    assert messages(anna, starting_at="2026-11-22T12:30:00+01:00") == ["late"]
    assert messages(anna, notify_level="40") == ["early"]
    assert messages(anna, notify_level="WARNING") == ["late", "early"]


def test_the_order_is_by_time_from_either_end(anna: Client, now):
    append([record(str(number), at=now + timedelta(seconds=number)) for number in range(5)])
    append([record("held up", at=now + timedelta(seconds=3.5))])

    assert messages(anna, order="asc", num_records="2") == ["0", "1"]
    assert messages(anna, order="desc", num_records="3") == ["4", "held up", "3"]
    assert messages(anna, order="asc") == ["0", "1", "2", "3", "held up", "4"]


def test_the_number_of_records_is_bounded(anna: Client):
    append([record("x") for _ in range(1_100)])

    assert len(listed(anna)) == 1_000
    assert len(listed(anna, num_records="5000")) == 1_000
    assert len(listed(anna, num_records="99999999999999999999")) == 1_000
    assert len(listed(anna, num_records="7", order="asc")) == 7
    assert listed(anna, num_records="0") == []


def test_an_absent_parameter_does_not_filter(anna: Client):
    append([record("x")])

    assert [row["message"] for row in anna.get("/angular/list").json()] == ["x"]


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"starting_at": "yesterday"}, "starting_at is 'yesterday'"),
        ({"starting_at": "0001-01-01T00:00+10:00"}, "starting_at is"),
        ({"notify_level": "loud"}, "notify_level is 'LOUD'"),
        ({"num_records": "-1"}, "num_records is '-1'"),
        ({"pattern": "a\0b"}, "NUL"),
        ({"system_id": "x" * 5_000}, "at most 4,096"),
    ],
)
def test_what_cannot_be_understood_is_answered_with_a_sentence(anna: Client, parameters: dict[str, str], says: str):
    answer = anna.get("/angular/list", UNSELECTED | parameters)

    assert answer.status_code == 400
    assert says in answer.content.decode()


def test_the_list_neither_counts_nor_skips(anna: Client):
    append([record(str(number)) for number in range(30)])
    with CaptureQueriesContext(connection) as queries:
        listed(anna, order="asc", pattern="2")

    said = " ".join(query["sql"].upper() for query in queries)
    assert "COUNT(" not in said
    assert " OFFSET " not in said


def test_a_list_that_ran_out_of_time_says_so(anna: Client, settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("logs.search.walk.FIRST_SLICE", 10)
    append([record(str(number)) for number in range(60)])
    settings.SEARCH_DEADLINE = timedelta(0)

    answer = anna.get("/angular/list", UNSELECTED | {"pattern": "absent"})

    assert answer.json() == []
    assert "time ran out" in answer["Herald-Incomplete"]


def test_a_list_that_would_be_too_long_is_cut_and_says_so(anna: Client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(searching, "TEXT_MAX", 25)
    append([record("x" * 10, exc_text=str(number)) for number in range(4)])

    answer = anna.get("/angular/list", UNSELECTED)

    assert [row["exc_text"] for row in answer.json()] == ["3", "2"]
    assert "too long" in answer["Herald-Incomplete"]


def test_the_options_hold_what_was_seen_and_the_word_for_no_choice(anna: Client):
    append([record(produkt_id="p1", user_spec_1="u"), record(system_id="till", sub_system_id="web-2", produkt_id="p0")])

    assert anna.get("/angular/options").json() == {
        "produkt_ids": ["p0", "p1", "not_selected"],
        "system_ids": ["shop", "till", "not_selected"],
        "sub_system_ids": ["web-1", "web-2", "not_selected"],
        "sub_sub_system_ids": ["not_selected"],
        "user_spec_1s": ["u", "not_selected"],
        "user_spec_2s": ["not_selected"],
    }


def test_hello_answers_and_leaves_no_trace(anna: Client):
    assert anna.get("/hello").content == b"Hello, World!"
    assert not Log.objects.exists()


def test_hello_to_the_logger_stores_a_record(anna: Client):
    assert anna.get("/hello_to_ps_basic_logger").content == b"Hello, World!"

    row = Log.objects.get()
    assert (row.message, row.levelname, row.system_id) == ("Hello World called by anna", "INFO", "herald.web")


@pytest.mark.parametrize("path", ["/angular/list", "/angular/options", "/hello", "/hello_to_ps_basic_logger"])
def test_the_old_addresses_are_only_read(anna: Client, path: str):
    assert anna.post(path).status_code == 405
    assert not Log.objects.exists()
