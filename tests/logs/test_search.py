from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext
from hypothesis import example, given
from hypothesis import strategies as st

from logs import search
from logs.models import Log
from logs.query.folding import LOWER
from logs.search import Filter, FilterError, page
from logs.store import append
from logs.tail import Position, read_after
from tests.logs.records import record

ANYBODY = AnonymousUser()
HOUR = timedelta(hours=1)


def messages(found: search.Page) -> list[str]:
    return [row["message"] for row in found.rows]


# --- Reading a filter ----------------------------------------------------------------------------------------------


def test_a_filter_reads_back_what_it_wrote(now: datetime):
    given = Filter(
        text="50 % & more",
        level=40,
        system_id="shop",
        sub_system_id="web-1",
        sub_sub_system_id="w/2",
        produkt_id="café",
        user_spec_1="a=b",
        user_spec_2="+",
        since=now - HOUR,
        until=now,
    )

    assert Filter.parse(QueryDict(given.to_querystring()).dict(), now) == given


def test_a_quick_range_stays_one_in_the_address(now: datetime):
    wanted = Filter.parse({"last": "1h"}, now)

    assert wanted.since == now - HOUR
    assert wanted.to_querystring() == "last=1h"


def test_nothing_given_is_the_empty_filter(now: datetime):
    assert Filter.parse({"text": "  ", "level": "", "before": "7", "limit": "5"}, now) == Filter()


@pytest.mark.parametrize(("given", "level"), [("error", 40), ("ERROR", 40), ("35", 35), ("NOTSET", 0)])
def test_a_level_is_a_name_or_a_number(given: str, level: int, now: datetime):
    assert Filter.parse({"level": given}, now).level == level


def test_a_time_without_zone_is_utc(now: datetime):
    moment = datetime(2026, 11, 22, 14, 3, tzinfo=UTC)

    assert Filter.parse({"since": "2026-11-22T14:03"}, now).since == moment
    assert Filter.parse({"since": "2026-11-22T15:03+01:00"}, now).since == moment


@pytest.mark.parametrize(
    ("given", "about", "says"),
    [
        ({"level": "LOUD"}, "level", "choose one of NOTSET, DEBUG"),
        ({"level": "-1"}, "level", "is not known"),
        ({"level": "٣"}, "level", "is not known"),
        ({"last": "2y"}, "last", "15m, 1h"),
        ({"since": "yesterday"}, "since", "such as 2026-11-22T14:03"),
        ({"until": "0001-01-01T00:00+14:00"}, "until", "is not a date"),
        ({"since": "2026-11-22", "until": "2026-11-21"}, "since", "must be before"),
        ({"last": "1h", "since": "2026-11-22"}, "last", "not both"),
        ({"text": "x" * 1_001}, "text", "at most 1,000"),
        ({"text": "a\0b"}, "text", "NUL"),
        ({"system_id": "s" * 201}, "system_id", "at most 200"),
        ({"sytem_id": "shop"}, "sytem_id", "there are text, level, system_id"),
    ],
)
def test_what_cannot_be_understood_is_said(given: dict[str, str], about: str, says: str, now: datetime):
    with pytest.raises(FilterError) as caught:
        Filter.parse(given, now)

    assert says in caught.value.errors[about]


def test_every_fault_is_named_at_once(now: datetime):
    with pytest.raises(FilterError) as caught:
        Filter.parse({"level": "LOUD", "colour": "red"}, now)

    assert caught.value.errors.keys() == {"level", "colour"}


@given(st.dictionaries(st.sampled_from(["text", "level", "last", "since", "until", "system_id", "x"]), st.text()))
def test_any_address_is_a_filter_or_a_filter_error(data: dict[str, str]):
    now = datetime(2026, 11, 22, tzinfo=UTC)
    with suppress(FilterError):
        wanted = Filter.parse(data, now)
        assert Filter.parse(wanted.parameters(), now) == wanted


# --- What matches --------------------------------------------------------------------------------------------------

CREATED = datetime(2026, 11, 22, 12, tzinfo=UTC)
ROW = {"message": "Zahlung 77 über 5 € fehlgeschlagen", "exc_text": "ConnectionRefusedError", "levelno": 40}
ROW |= dict.fromkeys(search.IDS, "") | {"system_id": "shop", "created": CREATED}


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (Filter(), True),
        (Filter(text="zahlung"), True),
        (Filter(text="ÜBER"), True),
        (Filter(text="refused"), True),
        (Filter(text="uber"), False),
        (Filter(level=40), True),
        (Filter(level=41), False),
        (Filter(system_id="shop"), True),
        (Filter(system_id="Shop"), False),
        (Filter(since=CREATED), True),
        (Filter(until=CREATED), False),
        (Filter(text="zahlung", system_id="till"), False),
    ],
)
def test_a_row_matches_when_every_part_holds(wanted: Filter, matches: bool):
    assert wanted.matches(ROW) is matches


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
        wanted = Filter(text={"u": asked.upper(), "l": asked.lower()}.get(case, asked))
        rows = search.visible_to(ANYBODY).rows().order_by("-id").values("message", "exc_text", "levelno")

        found = [(row["message"], row["exc_text"]) for row in page(ANYBODY, wanted).rows]

        assert found == [(row["message"], row["exc_text"]) for row in rows if wanted.matches(row)]


@pytest.mark.django_db
def test_every_letter_the_index_is_asked_for_is_folded_by_the_engine_as_by_us(now: datetime):
    pairs = [(chr(big), little) for big, little in LOWER.items() if big <= search._SAME_EVERYWHERE]
    append([record(message=f"<{little * 3}>") for _, little in pairs])

    lost = [big for big, _ in pairs if not page(ANYBODY, Filter(text=f"<{big * 3}>")).rows]

    assert len(pairs) > 300
    assert lost == []


@pytest.mark.django_db(transaction=True)
def test_the_tail_and_the_page_show_the_same_row(now: datetime):
    append([record(message="x", extra='{"a": [1]}')])

    assert page(ANYBODY, Filter()).rows == read_after(Position.START, 10).rows


# --- Pages ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def fifty(db: None) -> list[int]:
    append([record(message=f"row {number}", levelno=10 * (number % 5 + 1)) for number in range(50)])
    return list(Log.objects.order_by("id").values_list("id", flat=True))


@pytest.mark.parametrize("wanted", [Filter(), Filter(text="row"), Filter(text="ro"), Filter(level=10)])
def test_pages_lead_through_all_rows_and_back(fifty: list[int], wanted: Filter):
    down: list[int] = []
    found = page(ANYBODY, wanted, limit=20)
    while True:
        down += [row["id"] for row in found.rows]
        if found.older is None:
            break
        found = page(ANYBODY, wanted, before=found.older, limit=20)
    assert down == fifty[::-1]

    up = [row["id"] for row in found.rows]
    while found.newer is not None:
        found = page(ANYBODY, wanted, after=found.newer, limit=20)
        up = [row["id"] for row in found.rows] + up
    assert up == fifty[::-1]


def test_the_newest_page_has_nothing_newer(fifty: list[int]):
    found = page(ANYBODY, Filter(), limit=20)

    assert found.newer is None
    assert found.older == found.rows[-1]["id"]
    assert found.complete


def test_a_page_beyond_the_last_row_is_empty_and_leads_back(fifty: list[int]):
    found = page(ANYBODY, Filter(), before=fifty[0])

    assert found.rows == []
    assert [row["id"] for row in page(ANYBODY, Filter(), after=found.newer).rows] == fifty[::-1]


@pytest.mark.django_db
def test_an_empty_log_is_an_empty_page():
    assert page(ANYBODY, Filter(text="x", level=10)) == search.Page([], None, None)


def test_a_narrow_time_is_found_wherever_its_rows_lie(db: None, now: datetime, monkeypatch: pytest.MonkeyPatch):
    append([record(message="then", created=now - HOUR), *[record(message="now", created=now)] * 30])
    monkeypatch.setattr(search, "NARROW", 10)
    monkeypatch.setattr(search, "CHUNK", 4)

    assert messages(page(ANYBODY, Filter(until=now))) == ["then"]
    assert len(page(ANYBODY, Filter(since=now)).rows) == 30
    assert len(page(ANYBODY, Filter(since=now), limit=7).rows) == 7


class Clock:
    """A clock that moves by a second whenever it is asked."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        self.seconds += 1
        return self.seconds


def test_a_search_out_of_time_says_how_far_it_came_and_can_go_on(fifty: list[int], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(search, "FIRST_SLICE", 10)
    monkeypatch.setattr(search, "_next_span", lambda span, seconds: span)
    wanted = Filter(text="r!")
    found = page(ANYBODY, wanted, within=timedelta(seconds=3), clock=Clock())

    assert (found.rows, found.complete) == ([], False)
    assert found.searched_to is not None
    assert found.older is not None
    assert fifty[0] < found.older <= fifty[-10]

    turns = 0
    while not found.complete:
        found = page(ANYBODY, wanted, before=found.older, within=timedelta(seconds=3), clock=Clock())
        turns += 1
    assert found.older is None
    assert 0 < turns <= 5


def test_a_page_that_is_full_before_time_is_out_is_complete(fifty: list[int]):
    found = page(ANYBODY, Filter(), limit=5, within=timedelta(seconds=-1))

    assert found.complete
    assert len(found.rows) == 5


@pytest.mark.parametrize("wanted", [Filter(), Filter(text="row 4"), Filter(level=40, system_id="shop")])
def test_no_page_counts_or_skips_by_offset(fifty: list[int], wanted: Filter):
    with CaptureQueriesContext(connection) as queries:
        page(ANYBODY, wanted, before=fifty[30], limit=10)

    said = " ".join(query["sql"].upper() for query in queries)
    assert "COUNT(" not in said
    assert " OFFSET " not in said


def plan(run: Any) -> str:
    """Return how the engine means to run the last query that `run` makes."""
    with CaptureQueriesContext(connection) as queries:
        run()
    sql = [query["sql"] for query in queries if "logs_log_text" in query["sql"]][-1]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
        return "; ".join(row[3] for row in cursor.fetchall())


def test_a_text_is_found_by_the_index_and_its_rows_by_their_number(fifty: list[int]):
    if connection.vendor != "sqlite":
        pytest.skip("SQLite's plan; PostgreSQL chooses by its statistics")

    steps = plan(lambda: page(ANYBODY, Filter(text="row 4", system_id="shop"))).split("; ")

    assert steps[0].startswith("SCAN logs_log_text VIRTUAL TABLE INDEX")
    assert steps[1] == "SEARCH logs_log USING INTEGER PRIMARY KEY (rowid=?)"
    assert len(steps) == 2


@pytest.mark.django_db
def test_a_row_is_found_by_its_number():
    append([record(message="this one")])
    number = Log.objects.get().id

    found = search.row(ANYBODY, number)

    assert found is not None
    assert found["message"] == "this one"
    assert search.row(ANYBODY, number + 1) is None
