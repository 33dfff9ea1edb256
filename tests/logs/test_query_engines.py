"""SQL and the predicate select the same rows, on whichever engine the tests run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from logs.models import Log
from logs.query import Query, fold, parse, quoted
from logs.query.cases import NOW, ORDINARY, SECTIONS
from logs.query.folding import LOWER
from logs.query.lexer import NESTING_MAX
from logs.query.sql import DEPTH_MAX
from logs.record import Record
from logs.search import COLUMNS
from logs.storable import to_json
from logs.store import append

EXAMPLES = [shown for section in SECTIONS for shown in section.examples]


def stored(row: dict[str, Any]) -> Record:
    """Return the record of which the store makes this row."""
    fields = {column: value for column, value in (ORDINARY | row).items() if column != "id"}
    return Record(**fields | {"extra": to_json(fields["extra"]), "origin": to_json(fields["origin"])})


def check(query: Query, rows: list[dict[str, Any]]) -> None:
    """Assert that SQL with the residual selects exactly the rows the predicate does, each with what it needs."""
    wanted = [row for row in rows if query.to_predicate()(row)]
    selected = list(Log.objects.filter(query.to_q()).order_by("id").values(*COLUMNS))
    residual = query.residual()

    assert [row for row in selected if residual is None or residual(row)] == wanted, query.text
    for row in wanted:
        check_needs(query, row)


def check_needs(query: Query, row: dict[str, Any]) -> None:
    text = fold(row["message"] + "\0" + row["exc_text"])
    assert all(piece in text for piece in query.needs.texts)
    assert all(fold(row[column]) in values for column, values in query.needs.equal.items())
    for column, (low, high) in query.needs.ranges.items():
        assert low is None or row[column] >= low
        assert high is None or row[column] <= high


def all_rows() -> list[dict[str, Any]]:
    return list(Log.objects.order_by("id").values(*COLUMNS))


@pytest.mark.django_db
def test_every_example_selects_the_same_rows_in_sql_as_in_python():
    append([stored(dict(row)) for shown in EXAMPLES for row in (*shown.finds, *shown.misses)])
    rows = all_rows()
    assert len(rows) > 200

    for shown in EXAMPLES:
        check(parse(shown.query, now=NOW), rows)
        if shown.query.strip():
            check(parse(f"NOT ({shown.query})", now=NOW), rows)


@pytest.mark.django_db
def test_every_pair_of_letters_is_folded_in_sql_as_in_python():
    pairs = [(chr(big), small) for big, small in LOWER.items()]
    append([stored({"message": "".join(letters)}) for letters in zip(*pairs, strict=True)])
    rows = all_rows()

    for at in range(0, len(pairs), 100):
        for letters in zip(*pairs[at : at + 100], strict=True):
            query = parse(quoted("".join(letters)))
            assert query.residual() is None
            assert Log.objects.filter(query.to_q()).count() == 2
            check(query, rows)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("levels", "exact"), [(3, True), (DEPTH_MAX - 1, True), (DEPTH_MAX, False), (NESTING_MAX - 3, False)]
)
def test_a_query_nested_deeper_than_sql_goes_is_settled_by_the_predicate(levels: int, exact: bool):
    append([stored({"message": message}) for message in ("a", "b", "ab", "ax", "bü", "abx", "")])
    text = "-ü"
    for level in range(levels):
        text = f"{'ab'[level % 2]} {('AND', 'OR')[level % 2]} ({text})"

    assert (parse(text).residual() is None) is exact
    check(parse(text), all_rows())
    check(parse(f"NOT ({text})"), all_rows())


@pytest.mark.django_db
@pytest.mark.parametrize(
    "text", [" OR ".join("x" for _ in range(200)), " ".join("-ü" for _ in range(200)), "!" * 50 + "x"]
)
def test_the_largest_queries_are_not_too_much_for_the_engine(text: str):
    append([stored({"message": "x"}), stored({"message": "ü"})])

    check(parse(text), all_rows())


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ('level:>=ERROR system:billing "card"', True),
        ("NOT (über OR host:web-*) time:>now-1h _exists_:line", True),
        ("/x/", False),
        ("extra.a:1", False),
        ("-extra.a:1", False),
        ("level:ERROR OR /x/", False),
    ],
)
def test_sql_says_all_of_most_queries(text: str, exact: bool):
    assert (parse(text, now=NOW).residual() is None) is exact


def test_only_what_sql_cannot_say_is_asked_again():
    residual = parse("level:>=ERROR /x/").residual()

    assert residual is not None
    assert residual({"message": "x", "exc_text": ""})


# --- Random rows, random queries -----------------------------------------------------------------------------------

ODD = "aAbBzZüÜжЖİiı\u0130ßẞsſ\u212akKΣσςÅ\u212båeE\u0301%_\\'\"*?-^().:;,/|&!+~[]{}<># \t\n€ﬁ漢字🙂Აა␀"  # noqa: RUF001
TEXTS = st.text(alphabet=st.sampled_from(ODD), max_size=8)
SOME = st.text(alphabet=st.sampled_from(ODD), min_size=1, max_size=3)
CLOCKS = st.integers(-2, 2).map(lambda ticks: NOW + timedelta(microseconds=ticks))
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.5, 1.0, 2.5]), TEXTS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "a.b"]), inner, max_size=2),
    max_leaves=4,
)
ROWS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("message", "exc_text", "system_id", "user_spec_1", "stack_info"), TEXTS),
        "levelno": st.sampled_from([0, 10, 30, 35, 40, 50, -(2**31), 2**31 - 1]),
        "lineno": st.sampled_from([None, -1, 0, 1, 5, 2**31 - 1]),
        "thread": st.sampled_from([None, 1, 2**63 - 1, -(2**63)]),
        "msecs": st.sampled_from([None, 0.0, 0.1, 999.9, -1.5]),
        "created": CLOCKS,
        "extra": st.dictionaries(
            st.sampled_from(["a", "b", "a.b", "two words", "0", 'q"q', "a.b.a"]), VALUES, max_size=2
        ),
    },
)


def escaped(text: str) -> str:
    """Return a word that stands for this text, without quotes."""
    return "".join(letter if letter.isalnum() else "\\" + letter for letter in text)


def for_regex(text: str) -> str:
    return "".join(
        letter if letter.isalnum() or not letter.isascii() or letter.isspace() else "\\" + letter for letter in text
    )


WILD = st.lists(st.one_of(st.sampled_from("*?"), SOME.map(escaped)), min_size=1, max_size=5).map("".join)
TEXT_FIELDS = st.sampled_from(
    ["", "message:", "exc_text:", "text:", "system:", "user1:", "stack_info:", "extra.a:", "extra.a.b:"]
)
REGEXES = st.lists(
    st.one_of(
        SOME.map(for_regex),
        st.sampled_from([".", "[a-z]", "[^a]", "(ü|x)?", "a*", "b+", "k{2}", "\\w", "^", "$", "(?i)s"]),
    ),
    min_size=1,
    max_size=4,
).map(lambda pieces: f"/{''.join(pieces)}/")
NUMBERS = st.sampled_from(
    ["0", "1", "-1", "5", "2147483647", "2147483648", "9223372036854775807", "9" * 30, "-" + "9" * 30]
)
SIGNS = st.sampled_from(["", ">", ">=", "<", "<="])
MOMENTS = st.one_of(
    CLOCKS.map(lambda clock: clock.isoformat(timespec="microseconds")),
    st.sampled_from(["now", "2026-11-22T12:00", "2026-11-22"]),
)
LEAVES = st.one_of(
    st.tuples(TEXT_FIELDS, SOME.map(quoted)).map("".join),
    st.tuples(TEXT_FIELDS, SOME.map(escaped)).map("".join),
    st.tuples(TEXT_FIELDS, WILD).map("".join),
    st.tuples(TEXT_FIELDS, REGEXES).map("".join),
    st.tuples(st.sampled_from(["line:", "thread:", "level:", "msecs:", "id:", "extra.a:"]), SIGNS, NUMBERS).map(
        "".join
    ),
    st.tuples(
        st.sampled_from(["line:", "msecs:", "extra.b:"]),
        st.sampled_from(["[0 TO 1]", "{-1 TO 5}", "[* TO 0}", "{0 TO *]"]),
    ).map("".join),
    st.tuples(st.sampled_from(["time:", "received:"]), SIGNS, MOMENTS).map("".join),
    st.sampled_from(["host", "line", "text", "extra", "extra.a", "extra.a.b", "origin", "time"]).map(
        "_exists_:".__add__
    ),
    st.sampled_from(["*", "NOT *", "extra.two\\ words:a", "extra.0:1", 'extra.q\\"q:1', "extra.a:true"]),
)
QUERIES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from([" ", " AND ", " OR "]), inner).map(lambda parts: f"({''.join(parts)})"),
        inner.map(lambda text: f"NOT ({text})"),
    ),
    max_leaves=4,
)


@pytest.mark.django_db
@settings(max_examples=150)
@given(
    rows=st.lists(ROWS, min_size=1, max_size=4),
    queries=st.lists(QUERIES, min_size=1, max_size=4),
    cut=st.integers(0, 6),
)
@example(rows=[{"message": "300 \u212a"}, {"message": "300 k"}], queries=["k", "NOT k", "\u212a"], cut=0)
@example(rows=[{"message": "İ"}, {"message": "i"}, {"message": "ı"}], queries=["i", "İ", "ı", "NOT i"], cut=0)  # noqa: RUF001
@example(rows=[{"lineno": None}, {"lineno": 1}], queries=["NOT line:<5", "NOT line:<" + "9" * 30], cut=0)
@example(rows=[{"system_id": ""}, {"system_id": "%"}], queries=["system:?", "NOT system:*", 'system:"%"'], cut=0)
def test_sql_and_predicate_select_the_same_rows(rows: list[dict[str, Any]], queries: list[str], cut: int):
    Log.objects.all().delete()
    append([stored(row) for row in rows])
    found = all_rows()
    texts = [text for row in found for text in (row["message"], row["system_id"]) if text[cut : cut + 3]]
    queries += [
        f"{field}{quoted(text[cut : cut + 3].swapcase())}" for text in texts[:2] for field in ("", "NOT message:")
    ]
    queries += [f"system:{quoted(text.swapcase())}" for text in texts[:2]]

    for text in queries:
        check(parse(text, now=NOW), found)
