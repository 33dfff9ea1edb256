from __future__ import annotations

import pytest

from logs.narrowing import contains, has, narrowed, opposite, without
from logs.query import parse

SHOP = 'system:"shop"'


@pytest.mark.parametrize(
    ("field", "value", "query"),
    [
        ("system", "shop", SHOP),
        ("system", 'a "b" \\', 'system:"a \\"b\\" \\\\"'),
        ("level", 40, 'level:"ERROR"'),
        ("level", 35, 'level:"35"'),
        ("host", "", "-_exists_:host"),
    ],
)
def test_a_value_is_asked_for_by_a_query_that_parses(field: str, value: object, query: str):
    assert has(field, value) == query
    assert parse(query).misread is None
    assert opposite(opposite(query)) == query


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", SHOP),
        ("card", f"card {SHOP}"),
        ("a OR b", f"(a OR b) {SHOP}"),
        ("a OR b c", f"(a OR b c) {SHOP}"),
        ("Error: (again", f'"Error: (again" {SHOP}'),
        (f"a {SHOP}", f"a {SHOP}"),
        (f"-{SHOP} a", f"a {SHOP}"),
        (f"{SHOP} OR b", f"({SHOP} OR b) {SHOP}"),
        ("x" * 4_090, ""),
    ],
)
def test_a_query_is_narrowed_by_a_condition(text: str, found: str):
    assert narrowed(text, SHOP) == found


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        (f"a {SHOP} b", "a b"),
        (SHOP, ""),
        (f"(a {SHOP}) b", f"(a {SHOP}) b"),
        (f"a OR {SHOP}", f"a OR {SHOP}"),
        (f"NOT {SHOP}", f"NOT {SHOP}"),
        (f"-{SHOP}", f"-{SHOP}"),
        (f"a AND {SHOP}", f"a AND {SHOP}"),
    ],
)
def test_a_condition_is_taken_out_only_where_it_stands_by_itself(text: str, rest: str):
    assert without(text, SHOP) == rest
    assert contains(text, SHOP) == (rest != text)
