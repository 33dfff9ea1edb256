from __future__ import annotations

import json
import logging
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from graphql import GraphQLError, get_introspection_query
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis_graphql import from_schema, nodes

from heraldsite import bounds, schema
from heraldsite.schema import as_text
from logs.schema import entries
from tests.heraldsite.test_stages import PRODUCTION, settings_of
from tests.logs.records import Answer

pytestmark = pytest.mark.django_db

MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
PAGE = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture
def anna(client: Client) -> Client:
    client.force_login(User.objects.create_user("anna"), MODEL_BACKEND)
    return client


def post(client: Client, query: Any, **more: Any) -> Answer:
    return client.post("/graph_ql", {"query": query} | more, content_type="application/json")


def told(answer: Answer) -> str:
    (error,) = answer.json()["errors"]
    return str(error["message"])


# --- The schema -------------------------------------------------------------------------------------------------


def test_the_schema_is_the_one_that_is_kept():
    kept = Path(schema.__file__).with_name("schema.graphql").read_text()
    assert as_text() == kept, "run `make generated`"


SEEDS = """
type GLog { id: ID! created: String threadname: String apiVersion: String packageVersion: String name: String
  relativecreated: Float process: Int args: String module: String funcname: String levelno: Int processname: String
  thread: Float msecs: Float message: String excText: String excInfo: String stackInfo: String pathname: String
  filename: String asctime: String levelname: String lineno: Int produktId: String systemId: String
  subSystemId: String subSubSystemId: String userSpec1: String userSpec2: String summary: String }
type GHeartBeat { id: ID! newestHeartbeat: String systemId: String }
type AddLog { log: GLog }
type Mutation { addLog(input: AddGLogFields!): AddLog }
"""
STRINGS = [
    "created",
    "threadname",
    "apiVersion",
    "packageVersion",
    "name",
    "relativecreated",
    "process",
    "args",
    "module",
    "funcname",
    "levelno",
    "processname",
    "thread",
    "msecs",
    "message",
    "excText",
    "excInfo",
    "stackInfo",
    "pathname",
    "filename",
    "asctime",
    "levelname",
    "lineno",
    "produktId",
    "systemId",
    "subSystemId",
    "subSubSystemId",
    "userSpec1",
    "userSpec2",
    "summary",
]


def test_the_types_of_the_old_herald_are_unchanged():
    made = schema.schema.graphql_schema

    for text in SEEDS.strip().replace("\n  ", " ").splitlines():
        head, _, body = text.partition("{")
        kind: Any = made.type_map[head.split()[1]]
        fields = {name: str(found.type) for name, found in kind.fields.items()}
        if head.split()[1] == "Mutation":
            arguments = {name: str(found.type) for name, found in kind.fields["addLog"].args.items()}
            assert (fields, arguments) == ({"addLog": "AddLog"}, {"input": "AddGLogFields!"})
            continue
        words = body.replace("}", "").replace(":", "").split()
        assert fields == dict(zip(words[::2], words[1::2], strict=True))
    given: Any = made.type_map["AddGLogFields"]
    assert {name: str(found.type) for name, found in given.fields.items()} == {"id": "Int"} | dict.fromkeys(
        STRINGS, "String"
    )


def test_the_questions_of_the_old_herald_are_unchanged():
    query: Any = schema.schema.graphql_schema.query_type

    def written(name: str) -> tuple[str, dict[str, str]]:
        return str(query.fields[name].type), {key: str(value.type) for key, value in query.fields[name].args.items()}

    assert written("hello") == ("String", {"name": "String"})
    assert query.fields["hello"].args["name"].default_value == "stranger"
    assert written("goodbye") == ("String", {})
    assert written("getLogs") == ("[GLog]", {"search": "String", "first": "Int", "skip": "Int"})
    assert written("getBySystemId") == ("[GLog]", {"systemId": "String"})
    assert written("getSearchOptions") == ("String", {})


def test_the_query_by_which_tools_read_the_schema_is_answered(anna: Client):
    answer = post(anna, get_introspection_query(descriptions=True)).json()

    assert "errors" not in answer
    assert "GLog" in {found["name"] for found in answer["data"]["__schema"]["types"]}


# --- How one asks -----------------------------------------------------------------------------------------------


def test_a_query_comes_in_each_usual_form(anna: Client):
    greeting = {"data": {"hello": "Hello Anna!"}}
    query = "query Greet($name: String) { hello(name: $name) }"
    variables = {"name": "Anna"}

    assert post(anna, query, variables=variables, operationName="Greet").json() == greeting
    assert post(anna, query, variables=json.dumps(variables)).json() == greeting
    assert anna.post("/graph_ql", {"query": query, "variables": json.dumps(variables)}).json() == greeting
    assert anna.get("/graph_ql", {"query": query, "variables": json.dumps(variables)}).json() == greeting
    plain = anna.post("/graph_ql", '{ hello(name: "Anna") }', content_type="application/graphql")
    assert plain.json() == greeting
    assert "no-store" in plain["Cache-Control"]


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (b" ", "application/json", "invalid JSON"),
        (b"[]", "application/json", "not a valid JSON query"),
        (b"{}", "application/json", "There is no `query`"),
        (b'{"query": 5}', "application/json", "`query` must be a text"),
        (b'{"query": ["a"]}', "application/json", "`query` must be a text"),
        (b'{"query": "{ goodbye }", "variables": [1]}', "application/json", "`variables` must be an object"),
        (b'{"query": "{ goodbye }", "variables": "x"}', "application/json", "Variables are invalid JSON"),
        (b'{"query": "{ goodbye }", "operationName": 7}', "application/json", "`operationName` must be a text"),
        (b'{"query": "{ goodbye }", "operationName": "X"}', "application/json", "Unknown operation named 'X'"),
        (b"\xff", "application/json", "codec"),
        (b"\xff", "application/graphql", "not UTF-8"),
        (b"[" * 100_000, "application/json", "nested too deep"),
        (b'{"query": "x", "variables": "' + b"[" * 100_000 + b'"}', "application/json", "Variables are invalid JSON"),
        (b'{"query": "' + b"x" * 1_100_000 + b'"}', "application/json", "longer than 1,048,576 bytes"),
        (b"x" * 3_000_000, "application/json", "longer than 1,048,576 bytes"),
        (b"x", "text/plain", "There is no `query`"),
        (b'{"query": "\\ud800"}', "application/json", "Syntax Error"),
        (b'{"query": "{ goodbye"}', "application/json", "Syntax Error"),
        (b'{"query": "{ nonsense }"}', "application/json", "Cannot query field"),
    ],
)
def test_a_request_that_is_none_gets_a_sentence(anna: Client, body: bytes, kind: str, says: str):
    answer = anna.generic("POST", "/graph_ql", body, content_type=kind)

    assert answer.status_code == 400
    assert says in told(answer)
    assert answer["Content-Type"] == "application/json"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD"])
def test_only_get_and_post_ask(anna: Client, method: str):
    assert anna.generic(method, "/graph_ql", b"").status_code == 405


def test_variables_of_the_wrong_type_are_the_clients_mistake(anna: Client):
    query = "query($first: Int, $id: ID!) { getLogs(first: $first) { id } log(id: $id) { id } }"
    for first in ("x", 2**40, 1.5e300, [1], {"a": 1}, "9" * 5_000):
        answer = post(anna, query, variables={"first": first, "id": "1"})
        assert answer.status_code == 400
        assert "Variable '$first' got invalid value" in told(answer)


def test_a_fault_of_heralds_is_logged_and_not_told(
    anna: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("the secret is 42")

    monkeypatch.setattr(entries, "systems", fail)
    with caplog.at_level(logging.ERROR, "heraldsite.graph_ql"):
        answer = post(anna, "{ goodbye systems { host } }")

    assert answer.json()["data"] == {"goodbye": "See ya!", "systems": None}
    assert told(answer) == "herald failed here. Its own log says why."
    assert "42" not in answer.content.decode()
    assert "the secret is 42" in caplog.text


# --- Bounds -----------------------------------------------------------------------------------------------------


def deep(levels: int) -> str:
    """Return a document that is nested so deep."""
    return "{ logs " + "{ nodes " * (levels - 2) + "{ id }" + " }" * (levels - 1)


def fan_out() -> str:
    """Return fragments that double forty times, and come to nothing."""
    fragments = [f"fragment f{at} on Query {{ ...f{at + 1} ...f{at + 1} }}" for at in range(40)]
    return "{ ...f0 } " + " ".join(fragments) + " fragment f40 on Query { goodbye }"


TOO_MUCH = {
    "aliases": ("{ " + " ".join(f"a{number}: goodbye" for number in range(1_000)) + " }", "tokens|fields|aliases"),
    "100 aliases below": ("{ logs { " + " ".join(f"a{n}: complete" for n in range(100)) + " } }", "aliases"),
    "depth 50": (deep(50), "nested more than 30 deep"),
    "depth 12": (deep(12), "levels of fields"),
    "depth 100,000": ("{a" * 7_000, "nested more than 30 deep"),
    "lists": ("{ facets(fields: " + "[" * 7_000, "nested more than 30 deep"),
    "10,000 tokens": ("{ " + "a " * 8_000 + "}", "more than 2,000 tokens"),
    "bytes": ("{ goodbye } #" + "é" * 8_200, "longer than 16,384 bytes"),
    "root fields": ("{ " + "goodbye " * 21 + "}", "root fields"),
    "fields": ("{ logs { " + "complete " * 500 + "} }", "more fields"),
    "doubling": (fan_out(), "root fields"),
    "doubling below": (
        "{ logs { ...f0 } } "
        + fan_out().partition("} ")[2].replace("Query", "LogConnection").replace("goodbye", "complete"),
        "fragments written out",
    ),
    "a chain of fragments": (
        "{ ...f0 } " + " ".join(f"fragment f{at} on Query {{ ...f{at + 1} }}" for at in range(200)),
        "fragments",
    ),
    "types of types": (
        "{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }",
        "lists of the schema",
    ),
    "depth of the schema": (
        "{ __schema { types { kind " + "ofType { kind " * 20 + "}" * 20 + " } } }",
        "about the schema",
    ),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_a_document_that_asks_for_too_much_is_refused(anna: Client, name: str, django_assert_max_num_queries):
    document, says = TOO_MUCH[name]
    with django_assert_max_num_queries(5) as queries:
        answer = post(anna, document)

    assert answer.status_code == 400
    assert any(word in told(answer) for word in says.split("|")), told(answer)
    assert not any("logs_log" in query["sql"] for query in queries)


def test_the_tokens_are_bounded_by_the_parser_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounds, "_check_tokens", lambda text: None)
    with pytest.raises(GraphQLError, match="2000 tokens"):
        bounds.read("{ " + "a " * 5_000 + "}")


@pytest.mark.parametrize(
    "document",
    [
        deep(10),
        "{ " + "goodbye " * 20 + "}",
        "{ logs { " + " ".join(f"a{number}: complete" for number in range(50)) + " } }",
        "{ ...a ...a } fragment a on Query { goodbye }",
        "fragment unused on GLog { id }",
        get_introspection_query(descriptions=True, specified_by_url=True, directive_is_repeatable=True),
    ],
)
def test_what_is_within_the_bounds_is_read(document: str):
    assert bounds.read(document).definitions


def test_fragments_that_lead_to_themselves_are_refused_by_the_validation(anna: Client):
    answer = post(anna, "{ ...a } fragment a on Query { ...b goodbye } fragment b on Query { ...a }")

    assert answer.status_code == 400
    assert "Cannot spread fragment 'a' within itself" in answer.content.decode()


ODD = st.one_of(
    st.text(
        st.sampled_from("{}[]()!:=|&$@.…\"'#,\\ \n\0\ufeffaé0-9_ on query fragment".replace(" ", "")), max_size=400
    ),
    st.text(max_size=200),
    st.binary(max_size=200).map(lambda found: found.decode("latin-1")),
)


@given(document=ODD)
def test_a_text_that_is_no_document_is_refused_with_a_graphql_error(document: str):
    try:
        found = bounds.read(document).definitions
    except GraphQLError:
        found = ()
    assert isinstance(found, tuple)


# --- Whatever the schema allows ---------------------------------------------------------------------------------


@pytest.fixture
def chief(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("chief"), MODEL_BACKEND)
    return client


MOMENTS = st.one_of(st.datetimes().map(datetime.isoformat), st.text(max_size=10)).map(nodes.String)
DOCUMENTS = from_schema(as_text(), custom_scalars={"DateTime": MOMENTS})


@settings(max_examples=60)
@given(data=st.data())
def test_whatever_the_schema_allows_is_answered_or_refused_in_words(chief: Client, data: st.DataObject):
    document = data.draw(DOCUMENTS)
    answer = post(chief, document)

    assert answer.status_code in (200, 400), answer.content
    for error in answer.json().get("errors", ()):
        assert error["message"] != "herald failed here. Its own log says why.", document


# --- The page for trying ----------------------------------------------------------------------------------------


def test_only_development_has_a_page_for_trying(anna: Client, settings: Any):
    assert anna.get("/graph_ql", headers=PAGE).status_code == 400

    settings.GRAPH_QL_PAGE = True
    page = anna.get("/graph_ql", headers=PAGE)
    assert page.status_code == 200
    assert b"<textarea" in page.content
    assert b"//" not in page.content.replace(b"http://www.w3.org", b"")
    assert anna.get("/graph_ql", {"query": "{ goodbye }"}, headers=PAGE).json() == {"data": {"goodbye": "See ya!"}}


def test_the_stages_choose_whether_there_is_a_page(tmp_path: Path):
    shown = [settings_of(tmp_path, "GRAPH_QL_PAGE", DEV_STAGE=stage) for stage in ("DEVELOPMENT", "TESTING")]
    shown.append(settings_of(tmp_path, "GRAPH_QL_PAGE", **PRODUCTION))

    assert [found["GRAPH_QL_PAGE"] for found in shown] == [True, False, False]
