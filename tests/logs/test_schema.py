from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from logs.models import Log
from logs.schema import asking, searching
from logs.store import append
from tests.logs.records import record

pytestmark = pytest.mark.django_db

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def chief(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("chief"), "django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def no_time(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """Ten rows are looked at, and the time is over."""
    monkeypatch.setattr("logs.search.walk.FIRST_SLICE", 10)
    monkeypatch.setattr(asking.Asking, "begin", lambda self: None)
    settings.SEARCH_DEADLINE = timedelta(0)


@pytest.fixture
def answer(chief: Client) -> Ask:
    """Ask and return the whole answer."""

    def ask(query: str, /, **variables: Any) -> dict[str, Any]:
        body = {"query": query, "variables": variables}
        found: dict[str, Any] = chief.post("/graph_ql", body, content_type="application/json").json()
        return found

    return ask


@pytest.fixture
def ask(answer: Ask) -> Ask:
    """Ask and return the data of an answer without errors."""

    def asked(query: str, /, **variables: Any) -> dict[str, Any]:
        found = answer(query, **variables)
        assert "errors" not in found, found["errors"]
        data: dict[str, Any] = found["data"]
        return data

    return asked


def message_of(answer: dict[str, Any]) -> str:
    (error,) = answer["errors"]
    return str(error["message"])


# --- What the old herald answered -------------------------------------------------------------------------------


def test_hello_and_goodbye(ask: Ask):
    assert ask('{ hello goodbye named: hello(name: "Anna") }') == {
        "hello": "Hello stranger!",
        "goodbye": "See ya!",
        "named": "Hello Anna!",
    }


def test_a_row_of_the_old_herald_has_its_names_and_types(ask: Ask, now: datetime):
    given = {
        **{"thread": 140735286908888, "threadname": "MainThread", "process": 7, "processname": "MainProcess"},
        **{"funcname": "charge", "lineno": 88, "module": "pay", "filename": "pay.py", "pathname": "/srv/pay.py"},
        **{"msecs": 616.5, "relativecreated": 10.5, "package_version": "1.0", "api_version": "2", "produkt_id": "p"},
        **{"sub_sub_system_id": "w", "user_spec_1": "u1", "user_spec_2": "u2", "exc_text": "T", "summary": "s"},
        **{"asctime": "12:00", "args": "[1]", "exc_info": "E", "stack_info": "S"},
    }
    append([record("hello", at=now, **given)])

    (row,) = ask(
        """{ getLogs { id created threadname apiVersion packageVersion name relativecreated process args module
        funcname levelno processname thread msecs message excText excInfo stackInfo pathname filename asctime
        levelname lineno produktId systemId subSystemId subSubSystemId userSpec1 userSpec2 summary } }"""
    )["getLogs"]

    assert row == {
        **{"id": str(Log.objects.get().id), "created": "2026-11-22 12:00:00.000000", "threadname": "MainThread"},
        **{"apiVersion": "2", "packageVersion": "1.0", "name": "shop", "relativecreated": 10.5, "process": 7},
        **{"args": "[1]", "module": "pay", "funcname": "charge", "levelno": 20, "processname": "MainProcess"},
        **{"thread": 140735286908888.0, "msecs": 616.5, "message": "hello", "excText": "T", "excInfo": "E"},
        **{"stackInfo": "S", "pathname": "/srv/pay.py", "filename": "pay.py", "asctime": "12:00"},
        **{"levelname": "INFO", "lineno": 88, "produktId": "p", "systemId": "shop", "subSystemId": "web-1"},
        **{"subSubSystemId": "w", "userSpec1": "u1", "userSpec2": "u2", "summary": "s"},
    }


def test_what_a_sender_did_not_set_is_null(ask: Ask):
    append([record("", exc_text="")])
    (row,) = ask("{ getLogs { message excText produktId lineno } }")["getLogs"]
    assert row == {"message": "", "excText": None, "produktId": None, "lineno": None}


def found(data: dict[str, Any]) -> list[str]:
    (rows,) = data.values()
    return [row["message"] for row in rows]


def found_in(answer: dict[str, Any]) -> list[str]:
    """Return the messages of an answer without errors."""
    assert "errors" not in answer
    return found(answer["data"])


def test_get_logs_searches_a_piece_of_the_message_oldest_first(ask: Ask):
    append(
        [record("Payment failed"), record("fine"), record("payment done", exc_text="x"), record("x", exc_text="paym")]
    )

    assert found(ask('{ getLogs(search: "payment") { message } }')) == ["Payment failed", "payment done"]
    assert found(ask('{ getLogs(search: "p%t") { message } }')) == []
    assert len(found(ask("{ getLogs { message } }"))) == 4
    assert len(found(ask('{ getLogs(search: "", first: 0, skip: 0) { message } }'))) == 4
    assert len(found(ask("{ getLogs(search: null, first: null, skip: null) { message } }"))) == 4


def test_get_logs_skips_and_then_takes_the_first(ask: Ask):
    append([record(f"n{number}") for number in range(1_300)])

    assert found(ask('{ getLogs(search: "n", first: 3, skip: 2) { message } }')) == ["n2", "n3", "n4"]
    assert found(ask('{ getLogs(search: "n1", first: 2, skip: 110) { message } }')) == ["n199", "n1000"]
    assert found(ask("{ getLogs(skip: 1298) { message } }")) == ["n1298", "n1299"]
    assert found(ask("{ getLogs(skip: 1300) { message } }")) == []
    assert len(found(ask("{ getLogs { message } }"))) == 1_000


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("first: -1", "first is -1; it must be from 1 to 1,000"),
        ("first: 1001", "it must be from 1 to 1,000"),
        ("skip: -1", "skip is -1; it must be from 0 to 100,000"),
        ("skip: 100001", "it must be from 0 to 100,000"),
        (r'search: "a\u0000"', "NUL"),
    ],
)
def test_get_logs_says_what_it_cannot_do(answer: Ask, arguments: str, says: str):
    told = answer(f"{{ goodbye getLogs({arguments}) {{ id }} }}")

    assert says in message_of(told)
    assert told["data"] == {"goodbye": "See ya!", "getLogs": None}


def test_get_by_system_id_searches_a_piece_of_the_id(ask: Ask):
    append([record("1", system_id="shop.orders"), record("2", system_id="till"), record("3", system_id="my.shop")])

    assert found(ask('{ getBySystemId(systemId: "shop") { message } }')) == ["1", "3"]
    assert found(ask('{ getBySystemId(systemId: "") { message } }')) == ["1", "2", "3"]
    assert found(ask("{ getBySystemId { message } }")) == []


def test_the_search_options_are_a_text(ask: Ask):
    append([record(produkt_id="p1")])

    options = json.loads(ask("{ getSearchOptions }")["getSearchOptions"])

    assert options["produkt_ids"] == ["p1", "not_selected"]
    assert list(options) == [
        *("produkt_ids", "system_ids", "sub_system_ids", "sub_sub_system_ids", "user_spec_1s", "user_spec_2s")
    ]


ADD = "mutation($input: AddGLogFields!) { addLog(input: $input) { log { id message systemId levelno lineno thread created } } }"


def test_add_log_takes_texts_and_stores_a_typed_row(ask: Ask):
    given = {
        **{"id": 5, "message": "hello", "systemId": "shop", "levelno": "40", "levelname": "ERROR", "lineno": "7"},
        **{"thread": "140735286908888", "msecs": "1.5", "created": "2026-11-22 12:00:00.250000", "userSpec1": "u"},
        **{"process": "12", "relativecreated": "3.25", "excText": "Traceback"},
    }
    log = ask(ADD, input=given)["addLog"]["log"]

    row = Log.objects.get()
    assert log == {
        **{"id": str(row.id), "message": "hello", "systemId": "shop", "levelno": 40, "lineno": 7},
        **{"thread": 140735286908888.0, "created": "2026-11-22 12:00:00.250000"},
    }
    assert (row.user_spec_1, row.process, row.msecs, row.relativecreated) == ("u", 12, 1.5, 3.25)
    assert (row.extra, row.flags, row.peer) == ({"id": 5}, "", "127.0.0.1")
    assert row.created == datetime(2026, 11, 22, 12, 0, 0, 250_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("created", "seconds"),
    [("1764072000.5", 1764072000.5), ("2025-11-25T13:00:00+01:00", 1764072000), ("2025-11-25", 1764028800)],
)
def test_add_log_reads_a_moment_in_each_form(ask: Ask, created: str, seconds: float):
    ask(ADD, input={"message": "x", "created": created})
    assert Log.objects.get().created.timestamp() == seconds


def test_add_log_keeps_what_fits_no_column(ask: Ask):
    ask(ADD, input={"message": "x\0y", "lineno": "many", "created": "once", "levelno": "9" * 40, "msecs": "1e999"})

    row = Log.objects.get()
    assert row.extra == {"lineno": "many", "created": "once", "levelno": "9" * 40, "msecs": row.extra["msecs"]}
    assert (row.message, row.lineno, row.levelno, row.msecs) == ("x␀y", None, 0, None)
    assert set(row.flags.split()) == {"created", "odd"}


def test_add_log_needs_nothing(ask: Ask):
    before = timezone.now()
    assert ask("mutation { addLog(input: {}) { log { message } } }") == {"addLog": {"log": {"message": ""}}}
    assert before <= Log.objects.get().created <= timezone.now()


def test_nothing_is_added_by_get(chief: Client):
    query = 'mutation { addLog(input: {message: "x"}) { log { id } } }'
    told = chief.get("/graph_ql", {"query": query})

    assert (told.status_code, told["Allow"]) == (405, "POST")
    assert not Log.objects.exists()


# --- Rows by herald's language ----------------------------------------------------------------------------------


def messages(connection: dict[str, Any]) -> list[str]:
    return [node["message"] for node in connection["nodes"]]


LOGS = """query($query: String, $first: Int, $after: String, $last: Int, $before: String) {
  logs(query: $query, first: $first, after: $after, last: $last, before: $before) {
    nodes { message } edges { cursor node { id } } complete readAs
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""


def test_a_row_is_given_with_everything(ask: Ask, now: datetime):
    extra = '{"order": {"id": 42}}'
    append([record("hello", at=now, thread=2**62, taskname="Task-1", extra=extra, peer="10.0.0.1", flags="cut")])

    (row,) = ask("{ logs { nodes { created received thread taskname extra peer flags origin lineno excText } } }")[
        "logs"
    ]["nodes"]

    assert row == {
        **{"created": "2026-11-22T12:00:00+00:00", "received": "2026-11-22T12:00:00+00:00", "thread": 2**62},
        **{"taskname": "Task-1", "extra": {"order": {"id": 42}}, "peer": "10.0.0.1", "flags": "cut", "origin": []},
        **{"lineno": None, "excText": ""},
    }


def test_rows_are_found_by_the_query_language(ask: Ask):
    append([record("good"), record("bad", levelno=40), record("worse", levelno=50, extra='{"order": 7}')])

    assert messages(ask(LOGS)["logs"]) == ["worse", "bad", "good"]
    assert messages(ask(LOGS, query="level:>=ERROR")["logs"]) == ["worse", "bad"]
    assert messages(ask(LOGS, query="extra.order:7")["logs"]) == ["worse"]
    assert messages(ask(LOGS, query="/^.o/")["logs"]) == ["worse", "good"]
    assert "ERROR" in ask(LOGS, query="level:>=ERROR")["logs"]["readAs"]


def test_a_query_that_cannot_be_understood_is_refused_with_the_place(answer: Ask):
    told = message_of(answer(LOGS, query="level:>=LOUD"))
    assert "At character" in told
    assert "LOUD" in told


def test_pages_lead_to_the_end_and_back(ask: Ask):
    append([record(str(number), levelno=10 + number % 2 * 10) for number in range(25)])
    wanted = [str(number) for number in range(23, 0, -2)]

    seen: list[str] = []
    page: dict[str, Any] = {"hasNextPage": True, "endCursor": None}
    while page["hasNextPage"]:
        found = ask(LOGS, query="level:20", first=5, after=page["endCursor"])["logs"]
        assert [edge["cursor"] for edge in found["edges"]] == [edge["node"]["id"] for edge in found["edges"]]
        seen += messages(found)
        page = found["pageInfo"]
    assert seen == wanted
    assert page["hasPreviousPage"]

    back: list[str] = []
    page = {"hasPreviousPage": True, "startCursor": None}
    while page["hasPreviousPage"]:
        found = ask(LOGS, query="level:20", last=5, before=page["startCursor"])["logs"]
        back = messages(found) + back
        page = found["pageInfo"]
    assert back == wanted


def test_a_page_neither_counts_nor_skips(ask: Ask):
    append([record(str(number)) for number in range(30)])
    with CaptureQueriesContext(connection) as queries:
        ask(LOGS, first=5, after="20")

    said = " ".join(query["sql"].upper() for query in queries)
    assert "COUNT(" not in said
    assert " OFFSET " not in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"first": 0}, "first is 0; it must be from 1 to 1,000"),
        ({"first": 1_001}, "it must be from 1 to 1,000"),
        ({"last": -1}, "last is -1"),
        ({"after": "x"}, "after is no cursor"),
        ({"after": "9" * 30}, "after is no cursor"),
        ({"before": ""}, "before is no cursor"),
        ({"first": 1, "last": 1}, "not for a mixture"),
        ({"after": "1", "before": "1"}, "not for a mixture"),
    ],
)
def test_a_page_that_cannot_be_is_refused_with_a_sentence(answer: Ask, arguments: dict[str, Any], says: str):
    told = answer(LOGS, **arguments)

    assert says in message_of(told)
    assert told["data"] == {"logs": None}


def test_one_request_gives_no_more_rows_than_allowed(answer: Ask, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(asking, "ROWS_MAX", 5)
    append([record(str(number)) for number in range(10)])

    told = answer(
        "{ a: logs(first: 3) { nodes { id } } b: logs(first: 3) { nodes { id } } c: logs(first: 2) { nodes { id } } }"
    )

    assert "all lists together" in message_of(told)
    assert told["errors"][0]["path"] == ["b"]
    assert [len(told["data"][name]["nodes"]) for name in ("a", "c")] == [3, 2]


@pytest.mark.parametrize("field", ["logs { nodes { a: message b: message } }", "getLogs { a: message b: message }"])
def test_an_answer_is_not_made_longer_than_allowed(answer: Ask, monkeypatch: pytest.MonkeyPatch, field: str):
    monkeypatch.setattr(asking, "TEXT_MAX", 50)
    append([record("x" * 10), record("x" * 10)])
    assert "errors" not in answer(f"{{ {field} }}")

    append([record("x" * 10)])
    assert "longer than 50 characters" in answer(f"{{ {field} }}")["errors"][0]["message"]


@pytest.mark.usefixtures("no_time")
def test_what_is_found_until_the_time_is_over_is_given_with_an_error(answer: Ask):
    append([record(str(number)) for number in range(40)])

    told = answer(LOGS, query='"3"')

    found = told["data"]["logs"]
    assert messages(found) == ["39", "38", "37", "36", "35", "34", "33", "32", "31", "30"]
    assert found["complete"] is False
    assert (found["pageInfo"]["hasNextPage"], found["pageInfo"]["endCursor"]) == (True, found["edges"][-1]["cursor"])
    assert "ran out" in message_of(told)
    assert told["errors"][0]["path"] == ["logs"]
    assert found_in(answer("{ getLogs(first: 2, skip: 3) { message } }")) == ["3", "4"]
    (oldest,) = answer("{ getLogs(skip: 5) { message } }")["errors"]
    assert oldest["path"] == ["getLogs"]
    assert "ran out" in message_of(answer("{ facets { field } }"))


@pytest.mark.usefixtures("no_time")
def test_a_search_that_ran_out_of_time_goes_on_from_its_cursor(answer: Ask):
    append([record("wanted"), *(record(str(number)) for number in range(40))])

    page: dict[str, Any] = {"hasNextPage": True, "endCursor": None}
    pages: list[list[str]] = []
    while page["hasNextPage"]:
        found = answer(LOGS, query="NOT /[0-9]/", after=page["endCursor"])["data"]["logs"]
        pages.append(messages(found))
        page = found["pageInfo"]

    assert pages == [[], [], [], [], ["wanted"]]


def test_no_field_is_begun_when_the_time_is_over(answer: Ask, settings):
    settings.SEARCH_DEADLINE = timedelta(0)

    told = answer("{ goodbye logs { nodes { id } } }")

    assert told["data"] == {"goodbye": "See ya!", "logs": None}
    assert "was over" in message_of(told)


# --- One row and what is around it ------------------------------------------------------------------------------


AROUND = """query($id: ID!, $by: Kin) { log(id: $id) { message neighbours(count: 2, by: $by) {
  before { message } after { message } } } }"""


def around(data: dict[str, Any]) -> list[str]:
    found = data["log"]["neighbours"]
    return [row["message"] for row in (*found["before"], *found["after"])]


def test_one_row_is_found_by_its_number(ask: Ask):
    append([record("hello")])
    number = Log.objects.get().id

    assert ask("query($id: ID!) { log(id: $id) { message } }", id=number) == {"log": {"message": "hello"}}
    for other in ("0", "x", "-1", "9" * 30, "99999999"):
        assert ask("query($id: ID!) { log(id: $id) { message } }", id=other) == {"log": None}


def test_one_reads_around_a_row(answer: Ask, ask: Ask, now: datetime):
    def at(second: int) -> datetime:
        return now + timedelta(seconds=second)

    append(
        [
            record("a", process=1, thread=1, at=at(1)),
            record("b", system_id="till", at=at(2)),
            record("c", process=1, thread=2, at=at(3)),
            record("here", process=1, thread=1, at=at(4)),
            record("d", process=2, thread=1, at=at(4)),
            record("e", process=1, thread=1, at=at(5)),
            record("late", system_id="till", at=at(4)),
        ]
    )
    number = Log.objects.get(message="here").id

    assert around(ask(AROUND, id=number)) == ["a", "c", "d", "e"]
    assert around(ask(AROUND, id=number, by="SYSTEM")) == ["a", "c", "d", "e"]
    assert around(ask(AROUND, id=number, by="PROCESS")) == ["a", "c", "e"]
    assert around(ask(AROUND, id=number, by="THREAD")) == ["a", "e"]
    assert around(ask(AROUND, id=number, by="TIME")) == ["b", "c", "d", "late"]
    other = Log.objects.get(message="b").id
    assert around(ask(AROUND, id=other, by="PROCESS")) == ["late"]
    told = answer("query($id: ID!) { log(id: $id) { neighbours(count: 201) { before { id } } } }", id=number)
    assert "count is 201; it must be from 1 to 200" in message_of(told)


# --- What rows have in common -----------------------------------------------------------------------------------


def test_facets_count_the_values_of_fields(ask: Ask):
    append([record(), record(levelno=40), record(levelno=40, system_id="till"), record(system_id="bank")])

    found = ask(
        """{ facets(query: "NOT system:bank", fields: ["level", "system_id"], first: 1) {
        field values { value count } others rows complete } }"""
    )["facets"]

    assert found == [
        {"field": "level", "values": [{"value": "40", "count": 2}], "others": 1, "rows": 3, "complete": True},
        {"field": "system_id", "values": [{"value": "shop", "count": 2}], "others": 1, "rows": 3, "complete": True},
    ]
    assert [facet["field"] for facet in ask("{ facets { field } }")["facets"]] == [
        *("level", "system", "host", "version", "logger")
    ]


def test_facets_are_counted_over_a_bounded_sample_and_say_so(ask: Ask, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(searching, "SAMPLE", 3)
    append([record(system_id="till") for _ in range(5)] + [record() for _ in range(2)])

    (found,) = ask('{ facets(fields: ["system"], query: "/./") { values { value count } rows complete } }')["facets"]

    assert found["values"] == [{"value": "shop", "count": 2}, {"value": "till", "count": 1}]
    assert (found["rows"], found["complete"]) == (3, False)


def test_a_histogram_counts_rows_by_time_and_level(ask: Ask, now: datetime):
    append(
        [
            record(at=now),
            record(at=now + timedelta(minutes=19), levelno=45),
            record(at=now + timedelta(minutes=5), levelno=20),
            record(at=now + timedelta(minutes=20)),
            record(at=now - timedelta(seconds=1)),
        ]
    )

    found = ask(
        """{ histogram(query: "hello", since: "2026-11-22T12:00:00Z", until: "2026-11-22T13:20:00+01:00", buckets: 2) {
        start seconds kind complete buckets { start count levels { level count } } } }"""
    )["histogram"]

    assert (found["start"], found["seconds"]) == ("2026-11-22T12:00:00+00:00", 600.0)
    assert (found["kind"], found["complete"]) == ("ROWS", True)
    assert found["buckets"] == [
        {"start": "2026-11-22T12:00:00+00:00", "count": 2, "levels": [{"level": 20, "count": 2}]},
        {"start": "2026-11-22T12:10:00+00:00", "count": 1, "levels": [{"level": 40, "count": 1}]},
    ]


def test_a_histogram_is_of_the_last_day_unless_told_otherwise(ask: Ask):
    append([record(), record(levelno=50), record(at=timezone.now() - timedelta(days=3))])

    found = ask('{ histogram(query: "hello") { seconds complete buckets { count } } }')["histogram"]

    assert timedelta(days=1) <= timedelta(seconds=found["seconds"]) * len(found["buckets"]) < timedelta(days=3)
    assert sum(bucket["count"] for bucket in found["buckets"]) == 2
    assert found["complete"]


def test_systems_are_listed_the_one_heard_of_last_first(ask: Ask, now: datetime):
    append([record(at=now), record(system_id="till", sub_system_id="kasse-3", at=now + timedelta(hours=1))])

    assert ask("{ systems { systemId host newestHeartbeat } }")["systems"] == [
        {"systemId": "till", "host": "kasse-3", "newestHeartbeat": "2026-11-22T13:00:00+00:00"},
        {"systemId": "shop", "host": "web-1", "newestHeartbeat": "2026-11-22T12:00:00+00:00"},
    ]
    assert len(ask("{ systems(first: 1) { systemId } }")["systems"]) == 1


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ('facets(fields: ["colour"]) { field }', "no counts for the field 'colour'"),
        ('facets(fields: ["message"]) { field }', "no counts for the field 'message'"),
        ("facets(first: 101) { field }", "first is 101; it must be from 1 to 100"),
        ("histogram(buckets: 0) { complete }", "buckets is 0; it must be from 1 to 500"),
        ('histogram(since: "2026-01-02T00:00:00Z", until: "2026-01-01T00:00:00Z") { complete }', "must be before"),
        ('histogram(until: "0001-01-01T00:00:00Z") { complete }', "beyond what a calendar holds"),
        ('histogram(until: "9999-12-31T23:59:00-10:00") { complete }', "beyond what a calendar holds"),
        ("systems(first: 1001) { host }", "first is 1001"),
        ('logs(query: "x:1") { complete }', "cannot be understood"),
        ('facets(query: "(") { rows }', "cannot be understood"),
        ('histogram(query: "(") { seconds }', "cannot be understood"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_a_sentence(answer: Ask, field: str, says: str):
    told = answer(f"{{ {field} }}")

    assert says in message_of(told)
    assert list(told["data"].values()) == [None]


# --- Doors of the house -----------------------------------------------------------------------------------------


def test_everything_is_taken_from_what_the_person_may_see(answer: Ask, monkeypatch: pytest.MonkeyPatch):
    class Nothing:
        def rows(self) -> Any:
            return Log.objects.none()

        def counts(self) -> None:
            return None

        def allows(self, row: object) -> bool:
            return False

    append([record("secret", produkt_id="secret")])
    number = Log.objects.get().id
    for name, module in list(sys.modules.items()):
        if name.startswith("logs.") and hasattr(module, "visible_to"):
            monkeypatch.setattr(module, "visible_to", lambda person: Nothing())

    told = answer(
        """query($id: ID!) { getLogs { id } getBySystemId(systemId: "s") { id } logs { nodes { id } }
        log(id: $id) { id } facets { values { value } } histogram { buckets { count } } }""",
        id=number,
    )
    added = answer('mutation { addLog(input: {message: "x"}) { log { id } } }')

    data = told["data"]
    assert (data["getLogs"], data["getBySystemId"], data["logs"], data["log"]) == ([], [], {"nodes": []}, None)
    assert "secret" not in json.dumps(data)
    assert {bucket["count"] for bucket in data["histogram"]["buckets"]} == {0}
    assert added["data"] == {"addLog": {"log": None}}
