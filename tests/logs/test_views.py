from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import orjson
import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.html import escape

from logs.models import Log
from logs.path import Step
from logs.rows import Line, inert
from logs.store import append
from logs.tail import newest
from tests.logs.records import Answer, record

pytestmark = pytest.mark.django_db


@pytest.fixture
def anna(client: Client) -> Client:
    client.force_login(get_user_model().objects.create_user("anna"), "django.contrib.auth.backends.ModelBackend")
    return client


def text(answer: Answer) -> str:
    return answer.content.decode()


def shown(answer: Answer) -> list[str]:
    table = text(answer).partition('<ol id="rows"')[2].partition("</ol>")[0]
    return [unescape(found) for found in re.findall(r'data-field="message">(.*?)</bdi>', table)]


def test_rows_are_shown_newest_arrival_first(anna: Client):
    hour = timedelta(hours=1)
    append([record("first"), record("came late", created=timezone.now() - 3 * hour)])

    answer = anna.get("/")

    assert shown(answer) == ["came late", "first"]
    assert "late by 3 h" in text(answer)


def test_the_columns_stand_in_the_order_people_know(anna: Client):
    append([record("x")])
    row = text(anna.get("/")).partition('<ol id="rows"')[2]

    fields = re.findall(r'data-field="(\w+)"', row.partition("</li>")[0])

    order = ["created", "level", "system", "host", "part", "product", "user1", "user2", "version", "place"]
    assert fields == [*order, "late", "message", "trace"]


def test_the_template_for_new_rows_fills_the_fields_a_line_has(anna: Client):
    append([record("x")])
    page = text(anna.get("/"))
    template = page.partition('<template id="row-template">')[2].partition("</template>")[0]

    fields = set(re.findall(r'data-field="(\w+)"', template))

    assert fields == Line.__annotations__.keys() - {"id", "received", "severity"}


def test_the_address_is_the_filter(anna: Client):
    append([record("good"), record("bad", levelno=40), record("worse", levelno=50, system_id="till")])

    assert shown(anna.get("/?level=ERROR")) == ["worse", "bad"]
    assert shown(anna.get("/?level=ERROR&system_id=shop")) == ["bad"]
    assert shown(anna.get("/?text=OO")) == ["good"]
    assert shown(anna.get("/?last=1h&text=")) == ["worse", "bad", "good"]


def test_the_page_says_how_it_understood_the_filter(anna: Client):
    answer = anna.get("/?level=ERROR&system_id=shop&text=%3Cb%3E")

    assert "level ≥ ERROR and system = shop and text contains &quot;&lt;b&gt;&quot;" in text(answer)


def test_the_query_box_takes_the_language_and_shows_what_old_addresses_ask_for(anna: Client):
    append([record("good"), record("bad", levelno=40), record("worse", levelno=50, system_id="till")])

    assert shown(anna.get("/?q=level:>%3DERROR+-system:TILL")) == ["bad"]
    assert shown(anna.get("/?q=bad+OR+good&last=1h")) == ["bad", "good"]
    assert 'name="q" id="query" value="level:&gt;=ERROR system:&quot;shop&quot;"' in text(
        anna.get("/?level=ERROR&system_id=shop")
    )


def test_a_text_that_is_no_query_is_searched_for_and_the_page_says_what_would_be_right(anna: Client):
    append([record("ConnectionError: refused (again"), record("other")])

    answer = anna.get("/?q=ConnectionError: refused (again")

    assert shown(answer) == ["ConnectionError: refused (again"]
    assert "This is no query, so it was searched for as it stands." in text(answer)
    assert "text contains &quot;ConnectionError: refused (again&quot;" in text(answer)
    assert "<mark>ConnectionError</mark>: refused (again" in text(answer)


def test_what_cannot_even_be_searched_for_is_said(anna: Client):
    answer = anna.get("/?q=" + "x" * 4_097)

    assert answer.status_code == 400
    assert "at most 4,096 are allowed" in text(answer)


def test_the_rows_are_counted_up_to_a_cap(anna: Client, monkeypatch: pytest.MonkeyPatch):
    append([record(str(number)) for number in range(30)])

    assert '<span class="count">1 row</span>' in text(anna.get("/?q=29"))
    assert '<span class="count">30 rows</span>' in text(anna.get("/?limit=10"))
    monkeypatch.setattr("logs.search.numbers.COUNT_MAX", 20)
    assert '<span class="count">20+ rows</span>' in text(anna.get("/?limit=10"))


def test_rows_can_be_sorted_by_time_within_a_bound_that_is_said(anna: Client, monkeypatch: pytest.MonkeyPatch):
    hour = timedelta(hours=1)
    append([record("first"), record("came late", created=timezone.now() - 3 * hour)])
    link = re.search(r'class="sort" href="([^"]+)"', text(anna.get("/?q=system:shop")))
    assert link is not None

    answer = anna.get(f"/{unescape(link[1])}")

    assert shown(answer) == ["first", "came late"]
    assert "sorted, not live" in text(answer)
    assert "These are the" not in text(answer)
    monkeypatch.setattr("logs.views.SORTED_ROWS", 1)
    assert "These are the 1 rows that arrived last" in text(anna.get("/?sort=time"))


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("level=LOUD", "The level &#x27;LOUD&#x27; is not known"),
        ("colour=red", "There is no filter &#x27;colour&#x27;"),
        ("before=x", "before must be a number"),
        ("before=0", "before must be a number"),
        ("before=99999999999999999999", "before must be a number"),
        ("before=1&after=2", "not both"),
        ("limit=1001", "limit must be a number from 1 to 1,000"),
    ],
)
def test_an_address_that_is_not_understood_is_answered_with_a_sentence_and_no_rows(anna: Client, query: str, says: str):
    append([record("x")])

    answer = anna.get(f"/?{query}")

    assert answer.status_code == 400
    assert says in text(answer)
    assert shown(answer) == []


def test_what_was_typed_stays_in_the_form_when_it_is_not_understood(anna: Client):
    assert 'value="a &quot;b&quot;"' in text(anna.get("/?colour=red&q=a+%22b%22"))


def test_links_lead_through_all_pages_without_a_script(anna: Client):
    append([record(str(number), levelno=30) for number in range(25)])

    seen: list[str] = []
    address = "/?level=WARNING&limit=10"
    while address:
        answer = anna.get(address)
        seen += shown(answer)
        older = re.search(r'rel="next" href="([^"]+)"', text(answer))
        address = f"/{unescape(older[1])}&limit=10" if older else ""

    assert seen == [str(number) for number in range(24, -1, -1)]


def test_the_position_in_the_page_lies_before_its_rows_were_read(anna: Client):
    append([record("x")])
    before = newest()

    found = re.search(r'data-position="([^"]+)"', text(anna.get("/")))

    assert found is not None
    assert found[1] == str(before)


@pytest.mark.parametrize(
    ("query", "live"), [("", "yes"), ("?level=ERROR", "yes"), ("?before=5", "no"), ("?until=2020-01-01", "no")]
)
def test_only_a_page_that_new_rows_belong_to_is_live(anna: Client, query: str, live: str):
    append([record("x")])

    assert f'data-live="{live}"' in text(anna.get(f"/{query}"))


def test_an_empty_herald_tells_how_to_send_the_first_record(anna: Client, settings):
    page = unescape(text(anna.get("/")))

    assert f'SocketHandler("{settings.BRIDGE_HOST}", {settings.BRIDGE_PORT})' in page


def test_what_herald_says_of_itself_is_no_first_record(anna: Client):
    append([record("the bridge has started", system_id="herald.bridge")])
    assert "No records yet" in text(anna.get("/"))

    append([record("hello")])
    assert "No records yet" not in text(anna.get("/"))


def test_a_search_without_result_says_since_when_a_system_is_quiet(anna: Client):
    append([record("x", at=timezone.now() - timedelta(minutes=5))])

    assert "shop was last heard of 5 min ago" in text(anna.get("/?system_id=shop&text=absent"))
    assert "never heard of till" in text(anna.get("/?system_id=till"))
    assert "No rows match." in text(anna.get("/?text=absent"))


def shown_text(page: str) -> str:
    return re.sub(r'<span class="code">(.*?)</span>', r"\1", page)


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{% now 'Y' %}{{ stage }}",
    "</template></details>!",
    "\x1b[2J",
]


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("field", ["message", "system_id", "levelname", "exc_text", "funcname"])
def test_hostile_text_is_nothing_but_text(anna: Client, hostile: str, field: str):
    fields: dict[str, Any] = {field: hostile}
    append([record()._replace(**fields)])
    number = Log.objects.get().id

    table, whole = text(anna.get("/")), text(anna.get(f"/logs/{number}"))

    assert escape(inert(hostile)) in shown_text(whole)
    if hostile != escape(inert(hostile)):
        assert hostile not in table + whole


def test_a_row_has_a_page_with_everything(anna: Client):
    append([record("x" * 200_000, extra='{"order": 42}')])
    number = Log.objects.get().id

    page = text(anna.get(f"/logs/{number}"))

    assert "x" * 200_000 in page
    assert "&quot;order&quot;: 42" in page


def test_the_details_of_a_row_are_cut(anna: Client):
    append([record("x" * 200_000)])
    number = Log.objects.get().id

    found = anna.get(f"/logs/{number}.json").json()["details"]

    assert (found[0]["name"], found[0]["cut"]) == ("message", True)
    assert len(found[0]["text"]) < 20_000


def test_the_way_of_a_row_is_told_in_place_and_on_its_page(anna: Client):
    hop = {"bridge": "b-id", "name": HOSTILE[0], "received": "2026-11-22T12:00:00+00:00", "redacted": ["args dropped"]}
    append([record("x", origin=orjson.dumps([hop]).decode(), flags="redacted"), record("direct")])
    number = Log.objects.get(message="x").id

    page = text(anna.get(f"/log/{number}")).partition("<template")[0]
    told = anna.get(f"/log/{number}.json").json()["path"]

    assert [step["name"] for step in told] == [HOSTILE[0], "this bridge"]
    assert told[0]["removed"] == "removed before it left: args dropped"
    assert escape(HOSTILE[0]) in page
    assert HOSTILE[0] not in page
    assert page.count('<li class="step">') == 2
    assert anna.get(f"/log/{number + 1}.json").json()["path"] == []
    assert "Came through" not in text(anna.get(f"/log/{number + 1}")).partition("<template")[0]


def test_the_template_for_steps_fills_the_values_a_step_has(anna: Client):
    append([record("x")])
    template = text(anna.get("/")).partition('<template id="step-template">')[2].partition("</template>")[0]

    assert set(re.findall(r'data-step="(\w+)"', template)) == Step.__annotations__.keys()


@pytest.mark.parametrize("path", ["/logs/1", "/logs/1.json", "/logs/99999999999999999999999"])
def test_a_row_that_is_not_there_is_404_and_says_why(anna: Client, path: str):
    answer = anna.get(path)

    assert answer.status_code == 404
    assert "older than what herald keeps" in text(answer)


def test_the_page_changes_nothing(anna: Client):
    assert anna.post("/").status_code == 405


def test_the_log_page_neither_counts_nor_skips(anna: Client):
    append([record(str(number)) for number in range(30)])
    with CaptureQueriesContext(connection) as queries:
        anna.get("/?text=absent")

    said = " ".join(query["sql"].upper() for query in queries)
    assert "COUNT(" not in said
    assert " OFFSET " not in said
    assert len(queries) < 20


# --- Volume and values --------------------------------------------------------------------------------------------------


def links(page: str, name: str) -> list[str]:
    return [unescape(found) for found in re.findall(rf'<a class="{name}" href="([^"]*)"', page)]


def test_the_volume_is_drawn_and_each_bar_leads_into_its_time(anna: Client):
    now = timezone.now()
    append([record("old", at=now - timedelta(minutes=30)), record("new", at=now, levelno=40)])

    page = text(anna.get("/?q=system:shop&last=1h"))
    bars = page.partition('<svg class="bars"')[2].partition("</svg>")[0]
    full = [bar for bar in bars.split("</a>") if re.search('rect class="(info|error)"', bar)]

    assert len(full) == 2
    assert [shown(anna.get("/" + unescape(bar.partition('href="')[2].partition('"')[0]))) for bar in full] == [
        ["old"],
        ["new"],
    ]
    assert "1 row: 1 ERROR" in page
    assert "last=" not in bars


def test_a_time_without_rows_is_said_to_be_empty(anna: Client):
    append([record("x")])

    assert "No rows in this time." in text(anna.get("/?q=absent"))


def test_an_estimated_volume_says_so(anna: Client, monkeypatch: pytest.MonkeyPatch):
    append([record(f"x {number}") for number in range(30)])
    monkeypatch.setattr("logs.search.histograms.ROWS_MAX", 10)

    assert "estimated from 30 rows" in text(anna.get("/?q=x"))


def test_values_are_offered_to_narrow_by_to_leave_out_and_to_take_back(anna: Client):
    append([record("a"), record("b"), record("c", system_id="till", sub_system_id="")])

    page = text(anna.get("/?q=a+OR+b+OR+c"))
    with_till = next(link for link in links(page, "with") if "till" in link)
    but_shop = next(link for link in links(page, "but") if "shop" in link and "system" in link)
    no_host = next(link for link in links(page, "with") if "_exists_%3Ahost" in link)

    assert shown(anna.get(f"/{with_till}")) == ["c"]
    assert shown(anna.get(f"/{but_shop}")) == ["c"]
    assert shown(anna.get(f"/{no_host}")) == ["c"]
    (back,) = [link for link in links(text(anna.get(f"/{with_till}")), "with") if "till" not in link and "q=" in link][
        :1
    ]
    assert shown(anna.get(f"/{back}")) == ["c", "b", "a"]


def test_values_of_a_sample_say_of_how_many_rows(anna: Client, monkeypatch: pytest.MonkeyPatch):
    append([record(str(number)) for number in range(30)])
    assert "of the newest 30 rows" not in text(anna.get("/"))

    monkeypatch.setattr("logs.search.facets.__kwdefaults__", {"within": None, "rows": 10})
    assert "of the newest 10 rows" in text(anna.get("/"))


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_values_are_nothing_but_text(anna: Client, hostile: str):
    append([record(system_id=hostile, package_version=hostile)])

    page = text(anna.get("/"))
    links_to_it = [link for link in links(page, "with") if "system" in link]

    assert escape(inert(hostile)) in shown_text(page)
    if hostile != escape(inert(hostile)):
        assert hostile not in page
    assert len(shown(anna.get(f"/{links_to_it[0]}"))) == 1


# --- A row and what stands around it ------------------------------------------------------------------------------------


def test_the_details_narrow_what_the_page_has_asked_for(anna: Client):
    append([record("a", extra='{"order": {"id": 42, "tags": ["x"]}}'), record("b"), record("c")])
    number = Log.objects.get(message="a").id

    told = anna.get(f"/log/{number}.json?q=a+OR+b&last=1h").json()["details"]
    found = {each["name"]: each for each in told}

    assert shown(anna.get("/" + found["system_id"]["include"])) == ["b", "a"]
    assert shown(anna.get("/" + found["message"]["exclude"])) == ["b"]
    assert shown(anna.get("/" + found["levelname"]["exclude"])) == []
    assert "last=1h" in found["system_id"]["include"]
    (order,) = found["extra"]["entries"]
    assert [entry["key"] for entry in order["entries"]] == ["id", "tags"]
    assert shown(anna.get("/" + order["entries"][0]["include"])) == ["a"]
    assert shown(anna.get("/" + order["entries"][0]["exclude"])) == ["b"]
    assert anna.get(f"/log/{number}.json?nonsense=1").status_code == 200


def around(answer: Answer) -> list[str]:
    page = text(answer)
    assert page.count('aria-current="true" id="here"') + page.count('id="here" aria-current="true"') == 1
    return shown(answer)


def test_a_row_stands_among_its_neighbours(anna: Client):
    now = timezone.now()
    late = now - timedelta(hours=1)
    append(
        [
            record("1", process=1, thread=1),
            record("2", process=1, thread=2),
            record("other", system_id="till"),
            record("3", process=1, thread=1),
            record("4", process=2, thread=1),
            record("then", system_id="till", at=late),
        ]
    )
    number = Log.objects.get(message="3").id

    assert around(anna.get(f"/log/{number}")) == ["4", "3", "2", "1"]
    assert around(anna.get(f"/log/{number}?by=process")) == ["3", "2", "1"]
    assert around(anna.get(f"/log/{number}?by=thread&around=50")) == ["3", "1"]
    assert "then" in around(anna.get(f"/log/{number}?by=time"))
    assert around(anna.get(f"/log/{number}?by=nonsense&around=x")) == ["4", "3", "2", "1"]
    assert "Same process" in text(anna.get(f"/log/{number}"))
    lone = Log.objects.get(message="other").id
    assert "Same process" not in text(anna.get(f"/log/{lone}"))


def test_a_traceback_is_told_in_its_frames(anna: Client):
    trace = 'Traceback (most recent call last):\n  File "/srv/shop/pay.py", line 3, in pay\n    x()\nValueError: <no>'
    append([record("x", exc_text=trace)])
    number = Log.objects.get().id

    page = text(anna.get(f"/log/{number}"))

    assert '<span class="own">  File &quot;/srv/shop/pay.py&quot;, line 3, in pay' in page
    assert "<summary><bdi>ValueError: &lt;no&gt; (4 lines)</bdi></summary>" in page


def test_the_page_says_how_much_can_be_exported(anna: Client):
    append([record("x")])

    page = text(anna.get("/?q=system:shop&last=1h"))

    assert "up to 1,000,000 of the newest" in page
    assert 'href="/export.csv?q=system%3Ashop&amp;last=1h"' in page


# --- Completion ---------------------------------------------------------------------------------------------------------


def test_fields_and_values_are_offered(anna: Client):
    append([record(system_id="Billing"), record(system_id="bill\u202e"), record(system_id="shop")])

    fields = anna.get("/complete").json()["fields"]
    assert {"name": "host", "help": "the machine it runs on"} in fields
    assert anna.get("/complete?field=system&prefix=BILL").json()["values"] == [
        {"value": "Billing", "shown": "Billing"},
        {"value": "bill\u202e", "shown": "bill⟦U+202E⟧"},
    ]
    assert [each["value"] for each in anna.get("/complete?field=level&prefix=e").json()["values"]] == ["ERROR"]
    assert anna.get("/complete?field=_exists_&prefix=exc_t").json()["values"][0]["value"] == "exc_text"


@pytest.mark.parametrize("query", ["field=nonsense", "field=system&prefix=%00", "field=system&prefix=" + "x" * 5_000])
def test_where_nothing_is_known_nothing_is_offered(anna: Client, query: str):
    assert anna.get(f"/complete?{query}").json() == {"values": []}


def test_only_who_has_logged_in_is_offered_anything(client: Client):
    assert client.get("/complete?field=system").status_code in (302, 403)


# --- Sharing and the view -----------------------------------------------------------------------------------------------


def test_a_search_is_shared_at_exactly_its_time(anna: Client):
    append([record("x")])

    page = text(anna.get("/?q=system:shop&last=1h"))
    (link,) = re.findall(r'id="share" href="([^"]+)"', page)

    assert "last=" not in link
    assert re.search(r"since=\d{4}-.*until=\d{4}-", link)
    assert shown(anna.get(unescape(link))) == ["x"]
    assert "names now" not in page
    assert "names now" in text(anna.get("/?q=time:>now-1h"))


def test_the_columns_that_can_be_left_out_are_those_that_stand_there(anna: Client):
    append([record("x")])
    page = text(anna.get("/"))
    heads = re.findall("<span>([^<]+)", page.partition('class="columns"')[2].partition("</div>")[0])

    offered = re.findall(r'data-column="\w+" checked autocomplete="off"> ([^<]+)<', page)

    assert [head.strip() for head in heads] == [*offered, "Message"]
