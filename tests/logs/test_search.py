from __future__ import annotations

from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import example, given
from hypothesis import strategies as st

from logs import search
from logs.models import Log
from logs.query import parse, quoted
from logs.query.folding import LOWER
from logs.search import page, texts, walk
from logs.search.routes import Clause
from logs.store import append
from logs.tail import Position, read_after
from tests.logs.records import record

ANYBODY = AnonymousUser()
HOUR = timedelta(hours=1)


def messages(found: search.Page) -> list[str]:
    return [row["message"] for row in found.rows]


# --- Both engines agree with the predicate -------------------------------------------------------------------------

ODD = "aAbBzZüÜжЖİiıßẞsſKkΣσςÅåeE\u0301%_\\'\"*?-^().:;,# \t\n€ﬁ漢字🙂Აა"  # noqa: RUF001
TEXTS = st.text(alphabet=st.sampled_from(ODD), min_size=1, max_size=12).filter(lambda text: text.strip())


@pytest.mark.django_db
@given(texts=st.lists(TEXTS, min_size=1, max_size=5), needle=TEXTS, cut=st.integers(0, 5), case=st.sampled_from("-ul"))
@example(texts=["ÜBER", "über"], needle="über", cut=0, case="-")
@example(texts=["100%_\\"], needle="%_\\", cut=0, case="-")
@example(texts=["İstanbul"], needle="istanbul", cut=0, case="-")
@example(texts=['say "hi" OR 1'], needle='" OR', cut=0, case="-")
def test_the_database_finds_exactly_what_the_predicate_says(texts: list[str], needle: str, cut: int, case: str):
    Log.objects.all().delete()
    append([record(message=text, exc_text=text[::-1]) for text in texts])
    inner = texts[0][cut : cut + 6].strip()
    for asked in {needle.strip(), inner or needle.strip()}:
        query = parse(quoted({"u": asked.upper(), "l": asked.lower()}.get(case, asked)))
        rows = search.visible_to(ANYBODY).rows().order_by("-id").values(*search.COLUMNS)

        assert page(ANYBODY, query).rows == list(filter(query.to_predicate(), rows))


@pytest.mark.django_db
def test_every_letter_the_index_is_asked_for_is_folded_by_the_engine_as_by_us(now: datetime):
    pairs = [(chr(big), little) for big, little in LOWER.items() if big <= texts.SAME_EVERYWHERE]
    append([record(message=f"<{little * 3}>") for _, little in pairs])

    lost = [big for big, _ in pairs if not page(ANYBODY, parse(quoted(f"<{big * 3}>"))).rows]

    assert len(pairs) > 300
    assert lost == []


@pytest.mark.django_db(transaction=True)
def test_the_tail_and_the_page_show_the_same_row(now: datetime):
    append([record(message="x", extra='{"a": [1]}')])

    assert page(ANYBODY, parse("")).rows == read_after(Position.START, 10).rows


# --- Pages ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def fifty(db: None) -> list[int]:
    append([record(message=f"row {number}", levelno=10 * (number % 5 + 1)) for number in range(50)])
    return list(Log.objects.order_by("id").values_list("id", flat=True))


EVERY_ROUTE = [
    "",
    "row",
    "ro",
    "level:>=10",
    "system:SHOP",
    "/r.w/",
    "row system:shop",
    "level:>=10 time:>now-1h",
    "id:>0",
]


@pytest.mark.parametrize("text", EVERY_ROUTE)
@pytest.mark.parametrize("slice_of", [7, 20_000])
def test_pages_lead_through_all_rows_and_back(
    fifty: list[int], text: str, slice_of: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(walk, "FIRST_SLICE", slice_of)
    monkeypatch.setattr(walk, "PROBE", slice_of)
    monkeypatch.setattr(walk, "NARROW", slice_of)
    monkeypatch.setattr(walk, "BOUNDED_MAX", slice_of * 5)
    monkeypatch.setattr(walk, "CHUNK", 11)
    query = parse(text)
    down: list[int] = []
    found = page(ANYBODY, query, limit=20)
    while True:
        down += [row["id"] for row in found.rows]
        if found.older is None:
            break
        found = page(ANYBODY, query, before=found.older, limit=20)
    assert down == fifty[::-1]

    up = [row["id"] for row in found.rows]
    while found.newer is not None:
        found = page(ANYBODY, query, after=found.newer, limit=20)
        up = [row["id"] for row in found.rows] + up
    assert up == fifty[::-1]


def test_the_newest_page_has_nothing_newer(fifty: list[int]):
    found = page(ANYBODY, parse(""), limit=20)

    assert found.newer is None
    assert found.older == found.rows[-1]["id"]
    assert found.is_complete


def test_a_page_beyond_the_last_row_is_empty_and_leads_back(fifty: list[int]):
    found = page(ANYBODY, parse(""), before=fifty[0])

    assert found.rows == []
    assert [row["id"] for row in page(ANYBODY, parse(""), after=found.newer).rows] == fifty[::-1]


@pytest.mark.django_db
def test_an_empty_log_is_an_empty_page():
    assert page(ANYBODY, parse("xyz level:ERROR")) == search.Page([], None, None)
    assert page(ANYBODY, parse("")) == search.Page([], None, None)


@pytest.mark.django_db
def test_systems_of_several_spellings_are_mixed_in_the_order_of_arrival():
    names = ["shop", "Shop", "till", "SHOP", "shop", "Till"]
    append([record(str(number), system_id=name, levelno=40) for number, name in enumerate(names)])

    assert messages(page(ANYBODY, parse("system:shop"))) == ["4", "3", "1", "0"]
    assert messages(page(ANYBODY, parse("system:shop level:>=ERROR"), limit=3)) == ["4", "3", "1"]
    assert messages(page(ANYBODY, parse("system:(SHOP OR tilL)"), limit=3)) == ["5", "4", "3"]
    assert messages(page(ANYBODY, parse("system:shop OR 2"))) == ["4", "3", "2", "1", "0"]


@pytest.mark.django_db
def test_a_value_that_was_never_seen_is_answered_without_looking_at_a_row():
    append([record()])
    with CaptureQueriesContext(connection) as queries:
        found = page(ANYBODY, parse("host:web-11 hello"))

    assert found == search.Page([], None, None)
    assert not [query for query in queries if "FROM logs_log " in query["sql"] and "message" in query["sql"]]


@pytest.mark.django_db
def test_a_query_that_nothing_can_fulfil_finds_nothing():
    append([record()])

    assert page(ANYBODY, parse("system:shop system:till")).rows == []
    assert page(ANYBODY, parse("NOT *")).rows == []
    assert page(ANYBODY, parse("id:>99999999999999999999999")).rows == []


def test_a_narrow_time_is_found_wherever_its_rows_lie(db: None, now: datetime, monkeypatch: pytest.MonkeyPatch):
    append([record(message="then", created=now - HOUR), *[record(message="now", created=now)] * 30])
    monkeypatch.setattr(walk, "FIRST_SLICE", 5)
    monkeypatch.setattr(walk, "NARROW", 10)
    monkeypatch.setattr(walk, "CHUNK", 4)
    everything = parse("")

    assert messages(page(ANYBODY, everything.within(None, now))) == ["then"]
    assert len(page(ANYBODY, everything.within(now)).rows) == 30
    assert len(page(ANYBODY, everything.within(now), limit=7).rows) == 7
    assert messages(page(ANYBODY, parse("then").within(now - 2 * HOUR))) == ["then"]


@pytest.mark.parametrize("most", [4, 10, 1_000])
def test_a_time_is_looked_for_among_the_ids_in_which_it_lies(
    fifty: list[int], now: datetime, most: int, monkeypatch: pytest.MonkeyPatch
):
    append([record(message=f"then {number}", created=now + number * HOUR / 9) for number in range(9)])
    append([record(message="late", created=now - HOUR), *[record(message="after")] * 20])
    monkeypatch.setattr(walk, "BOUNDED_MAX", most)
    monkeypatch.setattr(walk, "NARROW", 3)
    wanted = parse("/the/").within(now, now + 5 * HOUR / 9)

    assert messages(page(ANYBODY, wanted)) == ["then 4", "then 3", "then 2", "then 1", "then 0"]
    assert messages(page(ANYBODY, parse("/a/").within(now - HOUR, now))) == ["late"]


class Clock:
    """A clock that moves by a second whenever it is asked."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        self.seconds += 1
        return self.seconds


def test_a_search_out_of_time_says_what_it_looked_at_and_can_go_on(fifty: list[int], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(walk, "FIRST_SLICE", 10)
    monkeypatch.setattr(walk, "_next_span", lambda span, seconds: span)
    query = parse("r!")
    found = page(ANYBODY, query, within=timedelta(seconds=3), clock=Clock())

    assert (found.rows, found.is_complete) == ([], False)
    assert found.older is not None
    assert fifty[0] < found.older <= fifty[-10]
    arrivals = dict(Log.objects.values_list("id", "received"))
    assert found.scanned == search.Scanned(arrivals[found.older], arrivals[fifty[-1]])

    turns = 0
    while not found.is_complete:
        found = page(ANYBODY, query, before=found.older, within=timedelta(seconds=3), clock=Clock())
        turns += 1
    assert found.older is None
    assert 0 < turns <= 5


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("within", [nullcontext, transaction.atomic])
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite needs no such attempt")
def test_an_attempt_that_takes_too_long_is_given_up_and_leaves_no_trace(within: Any):
    search_of = walk.Walk(search.visible_to(ANYBODY), parse("row"), within=timedelta(seconds=1))

    with within():
        assert search_of._run_bounded(Clause("SELECT pg_sleep(20)"), 0.05) is None
        assert search_of._run_bounded(Clause("SELECT 1"), 0) is None
        assert search_of._run_bounded(Clause("SELECT 1"), 10) == [(1,)]
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('statement_timeout'), current_setting('enable_seqscan')")
            assert cursor.fetchone() == ("0", "on")


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite needs no such attempt")
def test_a_text_the_index_has_too_much_of_is_found_in_slices(fifty: list[int], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(walk, "PROBE", 10)
    monkeypatch.setattr(walk, "OFTEN", 0)
    monkeypatch.setattr(walk.Walk, "_run_bounded", lambda *_: None)

    assert len(page(ANYBODY, parse("row")).rows) == 50


def test_a_page_that_is_full_before_time_is_out_is_complete(fifty: list[int]):
    found = page(ANYBODY, parse(""), limit=5, within=timedelta(seconds=-1))

    assert found.is_complete
    assert len(found.rows) == 5


def test_rows_sorted_by_time_are_the_newest_arrivals(db: None, now: datetime):
    append([record(str(number), created=now + (number * 7 % 10) * HOUR) for number in range(10)])

    found = search.by_time(ANYBODY, parse(""), limit=5)

    assert messages(found) == sorted("56789", key=lambda n: -(int(n) * 7 % 10))
    assert found.older is not None
    assert messages(search.by_time(ANYBODY, parse("3"))) == ["3"]


@pytest.mark.parametrize("text", ["", "row 4", "level:>=ERROR system:shop", "/r/", "host:WEB-1 time:<now"])
def test_no_search_counts_or_skips_by_offset(fifty: list[int], text: str):
    query = parse(text)
    with CaptureQueriesContext(connection) as queries:
        page(ANYBODY, query, before=fifty[30], limit=10)
        search.by_time(ANYBODY, query, limit=10)
        search.count(ANYBODY, query)
        search.facets(ANYBODY, query)
        search.histogram(ANYBODY, query)
        search.neighbours(ANYBODY, fifty[20])

    said = " ".join(query["sql"].upper() for query in queries)
    assert "COUNT(" not in said
    assert " OFFSET " not in said


@pytest.mark.django_db
def test_a_row_is_found_by_its_number():
    append([record(message="this one")])
    number = Log.objects.get().id

    found = search.row(ANYBODY, number)

    assert found is not None
    assert found["message"] == "this one"
    assert search.row(ANYBODY, number + 1) is None


# --- What stands around a row ----------------------------------------------------------------------------------------


@pytest.fixture
def crowd(db: None, now: datetime) -> dict[str, int]:
    """Rows of two systems, each of two processes; every third one came late."""
    append(
        [
            record(
                f"{number}",
                system_id="shop" if number % 2 else "",
                process=number // 2 % 2 or None,
                thread=7,
                created=now + (number - (50 if number % 3 == 0 else 0)) * HOUR / 60,
            )
            for number in range(24)
        ]
    )
    return dict(Log.objects.values_list("message", "id"))


@pytest.mark.parametrize(
    ("by", "before", "after"),
    [
        ("system", ["7", "9"], ["13", "15"]),
        ("process", ["3", "7"], ["15", "19"]),
        ("thread", ["3", "7"], ["15", "19"]),
        ("time", ["8", "10"], ["13", "14"]),
    ],
)
def test_neighbours_are_of_the_same_kind(crowd: dict[str, int], by: Any, before: list[str], after: list[str]):
    found = search.neighbours(ANYBODY, crowd["11"], 2, by)

    assert found is not None
    assert found.row["message"] == "11"
    assert [row["message"] for row in found.before] == before
    assert [row["message"] for row in found.after] == after


def test_a_row_of_no_system_has_neighbours_of_none(crowd: dict[str, int]):
    found = search.neighbours(ANYBODY, crowd["0"], 2, "process")

    assert found is not None
    assert (found.before, [row["message"] for row in found.after]) == ([], ["4", "8"])
    assert search.neighbours(ANYBODY, max(crowd.values()) + 1) is None


def test_neighbours_by_time_of_the_same_moment_go_by_arrival(db: None, now: datetime):
    append([record(str(number), created=now) for number in range(5)])
    numbers = list(Log.objects.order_by("id").values_list("id", flat=True))

    found = search.neighbours(ANYBODY, numbers[2], 3, "time")

    assert found is not None
    assert [row["message"] for row in (*found.before, *found.after)] == ["0", "1", "3", "4"]


# --- Numbers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "number"), [("", 50), ("row 1", 50), ("/row 1/", 11), ("level:>=ERROR", 20), ("no", 0)]
)
def test_rows_are_counted(fifty: list[int], text: str, number: int):
    query = parse(text if text != "row 1" else "row")

    assert search.count(ANYBODY, query) == search.Count(number)


def test_a_count_ends_at_its_cap(fifty: list[int], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("logs.search.numbers.COUNT_MAX", 49)
    found = search.count(ANYBODY, parse("row"))

    assert (found, str(found)) == (search.Count(49, is_capped=True), "49+")
    assert str(search.Count(10_000, is_capped=True)) == "10,000+"
    monkeypatch.setattr("logs.search.numbers.COUNT_MAX", 50)
    assert search.count(ANYBODY, parse("row")) == search.Count(50)


def test_a_count_out_of_time_says_so(fifty: list[int], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(walk, "FIRST_SLICE", 10)
    found = search.count(ANYBODY, parse("/r/"), deadline=timedelta(0), clock=Clock())

    assert (found, str(found)) == (search.Count(10, is_complete=False), "at least 10")


def test_facets_tell_the_values_of_the_newest_rows(db: None):
    append([record(system_id="old")] * 10)
    append([record(system_id=f"s{number % 3}", levelno=40 if number == 0 else 20) for number in range(10)])

    level, system, host = search.facets(ANYBODY, parse(""), ["level", "system", "sub_system_id"], 2, rows=10)

    assert level == search.Facet("level", [(20, 9), (40, 1)], 10, is_sample=True)
    assert system == search.Facet("system", [("s0", 4), ("s1", 3)], 10, others=3, is_sample=True)
    assert host.values == [("web-1", 10)]
    assert search.facet(ANYBODY, parse("/hello/ level:ERROR"), "system") == search.Facet("system", [("s0", 1)], 1)


@pytest.mark.django_db
def test_values_are_completed_by_any_name_of_their_field():
    append([record(system_id="Billing"), record(system_id="shop")])

    assert search.seen_values(ANYBODY, "system", "b") == ["Billing"]
    assert search.seen_values(ANYBODY, "system_id") == ["Billing", "shop"]
    assert search.seen_values(ANYBODY, "message") == search.seen_values(ANYBODY, "nothing") == []
