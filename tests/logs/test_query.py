from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, timezone
from time import perf_counter
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from hypothesis import example, given
from hypothesis import strategies as st

from logs.models import Log
from logs.query import FIELDS, Query, QueryError, parse, parse_or_text, quoted, term, validate_query
from logs.query.cases import NOW, ORDINARY, REFUSALS, SECTIONS, Example, Refusal
from logs.query.conditions import conjuncts
from logs.query.lexer import LENGTH_MAX, NESTING_MAX
from logs.query.regexes import required, searcher

EXAMPLES = [shown for section in SECTIONS for shown in section.examples]
CASES = [
    *[(shown, row, True) for shown in EXAMPLES for row in shown.finds],
    *[(shown, row, False) for shown in EXAMPLES for row in shown.misses],
]


def test_the_language_is_shown_on_enough_cases():
    assert len(CASES) >= 200
    assert len({shown.query for shown in EXAMPLES}) == len(EXAMPLES)


@pytest.mark.parametrize("shown", EXAMPLES, ids=lambda shown: shown.query)
def test_a_query_is_read_back_as_it_was_understood(shown: Example):
    assert str(parse(shown.query, now=NOW)) == shown.reads


@pytest.mark.parametrize(("shown", "row", "fits"), CASES, ids=lambda value: getattr(value, "query", None))
def test_a_query_finds_a_row_or_does_not(shown: Example, row: dict[str, Any], fits: bool):
    assert parse(shown.query, now=NOW).to_predicate()(ORDINARY | row) is fits


@pytest.mark.parametrize("refused", REFUSALS, ids=lambda refused: refused.text[:40].encode("ascii", "replace").decode())
def test_what_is_no_query_is_refused_at_once_saying_where_and_what_is_right(refused: Refusal):
    begun = perf_counter()
    with pytest.raises(QueryError) as caught:
        parse(refused.text, now=NOW)

    assert perf_counter() - begun < 1
    assert caught.value.start == refused.start
    assert refused.says in str(caught.value)
    assert str(caught.value).startswith(f"At character {refused.start + 1}")
    assert len(str(caught.value)) < 500


# --- What is asked beside a query ----------------------------------------------------------------------------------


def test_every_column_of_log_is_a_field_under_its_own_name():
    names = {name for field in FIELDS for name in field.names}

    assert {column.attname for column in Log._meta.concrete_fields} <= names
    assert len(names) == sum(len(field.names) for field in FIELDS)
    assert set(ORDINARY) == {column.attname for column in Log._meta.concrete_fields}


def test_a_clock_in_another_zone_is_reckoned_in_utc():
    now = NOW.astimezone(timezone(timedelta(hours=5)))

    assert parse("time:>now", now=now).condition == parse("time:>now", now=NOW).condition


def test_without_a_moment_given_now_is_the_clock():
    begun = datetime.now(UTC)

    recent = parse("time:>=now").to_predicate()

    assert recent({"created": datetime.now(UTC)})
    assert not recent({"created": begun - timedelta(seconds=1)})


@pytest.mark.parametrize(
    ("text", "relative"), [("time:>now-1h", True), ("time:>2026-11-20 now", False), ("now", False)]
)
def test_a_query_says_whether_it_depends_on_the_time_of_asking(text: str, relative: bool):
    assert parse(text, now=NOW).is_relative is relative


def test_queries_that_mean_the_same_have_equal_conditions():
    assert parse('system:shop "x"').condition == parse("(system_id:shop) AND x").condition
    assert hash(parse("a OR b").condition) == hash(parse("a || b").condition)


@pytest.mark.parametrize(
    ("text", "texts", "equal", "ranges"),
    [
        ("Card declined", {"card", "declined"}, {}, {}),
        ("ab", set(), {}, {}),
        ("card OR declined", set(), {}, {}),
        ("(card x) OR (card y)", {"card"}, {}, {}),
        ("-card", set(), {}, {}),
        ("conn*refused", {"conn", "refused"}, {}, {}),
        ("message:Payment*", {"payment"}, {}, {}),
        ("/order [0-9]+ Failed/", {"order ", " failed"}, {}, {}),
        ("system:Shop", set(), {"system_id": {"shop"}}, {}),
        ("system:(a OR B) system:b", set(), {"system_id": {"b"}}, {}),
        ("system:a OR host:b", set(), {}, {}),
        ("system:a*", set(), {}, {}),
        ("level:>=ERROR", set(), {}, {"levelno": (40, None)}),
        ("level:(ERROR OR 35)", set(), {}, {"levelno": (35, 40)}),
        ("level:>=ERROR level:>30 level:<50", set(), {}, {"levelno": (40, 50)}),
        ("level:>=ERROR OR level:<10", set(), {}, {"levelno": (None, None)}),
        ("NOT (level:<ERROR OR -card)", {"card"}, {}, {}),
        ("time:>now-1h", set(), {}, {"created": (NOW - timedelta(hours=1), None)}),
        ("extra.a:>5 extra.b:card", set(), {}, {}),
        ("*", set(), {}, {}),
    ],
)
def test_what_every_row_has_is_known_before_it_is_searched_for(
    text: str, texts: set[str], equal: dict[str, Any], ranges: dict[str, Any]
):
    needs = parse(text, now=NOW).needs

    assert needs.texts == texts
    assert needs.equal == equal
    assert needs.ranges == ranges
    assert needs.level == (ranges.get("levelno", (None,))[0] or 0)


# Pieces of expressions, each with a text that it matches.
FITTING = [
    ("abc", "abc"),
    ("ü", "ü"),
    ("d+", "ddd"),
    ("e*", ""),
    ("f?", ""),
    ("g{2}", "gg"),
    ("h{0}", ""),
    ("i{0,1}", ""),
]
FITTING += [
    ("\\.", "."),
    ("\\d", "7"),
    ("\\d*", ""),
    ("[a-z]+", "q"),
    ("[]^]", "]"),
    ("[^]]", "x"),
    ("[[:alpha:]\\]]?", ""),
]
FITTING += [
    ("\\x41", "A"),
    ("\\pZ", " "),
    ("\\p{Greek}", "Σ"),
    ("\\101", "A"),
    ("(klm)?", ""),
    ("(n)", "n"),
    (".", "!"),
]
FITTING += [
    ("\\b", ""),
    ("\\*{2}", "**"),
    ("ab\\?", "ab?"),
    ("x{y", "x{y"),
    ("}", "}"),
    ("\\Qa?\\E", "a?"),
    ("o|p", "o"),
]


@given(st.lists(st.sampled_from(FITTING), min_size=1, max_size=6))
def test_what_an_expression_requires_is_in_every_text_it_matches(pieces: list[tuple[str, str]]):
    regex, text = ("".join(parts) for parts in zip(*pieces, strict=True))

    if searcher(regex)(text):
        assert [piece for piece in required(regex) if piece not in text] == []


@pytest.mark.parametrize(
    ("regex", "literals"),
    [
        ("connection.*refused", ("connection", "refused")),
        ("order [0-9]+ failed", ("order ", " failed")),
        ("a\\.b\\.c", ("a.b.c",)),
        ("colou?rs", ("colo",)),
        ("ab+cd", ()),
        ("abc|abd", ()),
        ("(?i)abc", ()),
        ("abcd(efgh)", ("abcd",)),
    ],
)
def test_literals_of_an_expression_are_found_for_the_index(regex: str, literals: tuple[str, ...]):
    assert required(regex) == literals


# --- Plain text instead --------------------------------------------------------------------------------------------

PLAIN = [
    shown for shown in REFUSALS if len(shown.text) <= LENGTH_MAX and "\0" not in shown.text and shown.text.isprintable()
]


@pytest.mark.parametrize("refused", PLAIN, ids=lambda refused: refused.text[:40])
def test_a_page_searches_for_what_is_no_query_as_text_and_says_why(refused: Refusal):
    query = parse_or_text(f" {refused.text}\n", now=NOW)

    assert query.to_predicate()(ORDINARY | {"message": f"before {refused.text.upper()} behind"})
    assert not query.to_predicate()(ORDINARY)
    assert query.misread is not None
    assert refused.says in str(query.misread)
    assert query.misread.start == refused.start + 1


def test_a_page_takes_a_query_as_a_query():
    assert parse_or_text("level:ERROR", now=NOW) == parse("level:ERROR", now=NOW)
    assert parse_or_text("level:ERROR", now=NOW).misread is None


@pytest.mark.parametrize("text", ["a" * 5_000, "a\0b", "\udc00"])
def test_a_page_refuses_what_cannot_be_searched_for_at_all(text: str):
    with pytest.raises(QueryError):
        parse_or_text(text)


def test_what_is_stored_must_be_a_query():
    validate_query("level:>=ERROR")

    with pytest.raises(ValidationError, match="Did you mean system:") as caught:
        validate_query("sytem:x")
    assert caught.value.code == "invalid_query"


# --- Whatever is typed ---------------------------------------------------------------------------------------------

NAMES = ["a", "level:", "system:", "extra.a:", "_exists_:", "time:", "line:", "10", "ERROR", "now", "2026-11-20", "Ü"]
SIGNS = ["&&", "||", " AND ", " OR ", "NOT ", " TO ", ">=", "<=", *"()\"/[]{}*?\\ +-!><=~^:\n'%_🙂\x1f\u00a0"]
PIECES = st.sampled_from(NAMES + SIGNS)


@given(st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=12).map("".join)))
@example("[" + "x" * 10)
@example("\u00a0:\u2028")
def test_any_text_is_a_query_or_a_query_error_that_points_into_it(text: str):
    query, error = read(text)

    if query is not None:
        assert str(query)
        assert query.to_predicate()(ORDINARY) in (True, False)
    if error is not None:
        assert 0 <= error.start <= error.end <= len(text)
        assert error.problem.endswith((".", ")"))


def read(text: str) -> tuple[Query | None, QueryError | None]:
    try:
        return parse(text, now=NOW), None
    except QueryError as error:
        return None, error


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20))
@example('"')
@example("\\")
@example('\\"')
@example(" \n* ?/")
def test_a_quoted_text_stands_for_itself(text: str):
    assert parse(quoted(text)).to_predicate()(ORDINARY | {"message": f"<{text}>"})
    assert parse(term("user1", text)).to_predicate()(ORDINARY | {"user_spec_1": text})
    assert not parse(term("user1", text)).to_predicate()(ORDINARY | {"user_spec_1": text + "x"})


@pytest.mark.parametrize(
    "text",
    [
        "(" * NESTING_MAX + "x" + ")" * NESTING_MAX,
        "!" * NESTING_MAX + "x",
        "-(" * (NESTING_MAX // 2) + "x" + ")" * (NESTING_MAX // 2),
        " OR ".join("x" for _ in range(200)),
        " ".join("-x" for _ in range(200)),
        " OR ".join("x y" for _ in range(100)),
    ],
)
def test_the_largest_queries_are_quick(text: str):
    begun = perf_counter()
    query: Query = parse(text)
    query.to_predicate()(ORDINARY)
    assert str(query)
    assert query.needs
    assert query.to_q()

    assert perf_counter() - begun < 1


def test_a_pattern_or_expression_cannot_be_made_to_blow_up():
    long = ORDINARY | {"message": "a" * 50_000}
    begun = perf_counter()
    for text in ("/(a+)+$b/", "/(a|aa)+b/", "a?" * 18 + "b", "*a" * 18 + "b", "message:" + "a*" * 18 + "b"):
        assert not parse(text).to_predicate()(long)

    assert perf_counter() - begun < 3


def test_queries_are_read_in_many_threads_at_once():
    wrong: list[str] = []

    def read() -> None:
        for number in range(100, 150):
            said = str(parse(f"(a OR level:>={number}) AND NOT line:[{number} TO *]"))
            if said != f'(text contains "a" or level ≥ {number}) and not (line ≥ {number})':
                wrong.append(said)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# --- Narrower queries ------------------------------------------------------------------------------------------------


def test_a_query_is_narrowed_to_a_time():
    hour = timedelta(hours=1)
    query = parse("a OR b").within(NOW - hour, NOW)

    assert str(query) == (
        '(text contains "a" or text contains "b") and 2026-11-22 11:00:00 UTC ≤ time < 2026-11-22 12:00:00 UTC'
    )
    assert not query.is_relative
    assert parse("").within(None) == parse("")
    assert str(parse("").within(None, NOW)) == "time < 2026-11-22 12:00:00 UTC"


def test_a_moment_reckoned_from_now_is_said_to_the_second():
    query = parse("").within(NOW + timedelta(microseconds=7), said="now-1h")

    assert str(query) == "time ≥ now-1h (2026-11-22 12:00:00 UTC)"
    assert query.is_relative


def test_a_narrowed_query_keeps_what_was_wrong_with_its_text():
    query = parse_or_text("a: (").within(NOW)

    assert query.misread is not None
    assert query.limited(*conjuncts(parse("level:ERROR").condition)).misread is query.misread
