from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from logs.models import HeartBeat, Log, RetentionPolicy
from logs.store import append
from tests.logs.records import Answer, record

pytestmark = pytest.mark.django_db


@pytest.fixture
def chief(client: Client) -> Client:
    client.force_login(get_user_model().objects.create_superuser("chief"), "django.contrib.auth.backends.ModelBackend")
    return client


def text(answer: Answer) -> str:
    return answer.content.decode()


def shown(answer: Answer) -> list[str]:
    return re.findall(r'class="field-text">(\S*) <a', text(answer))


def test_the_log_is_listed_newest_first_and_searched_as_on_its_page(chief: Client):
    append([record("one"), record("TWO", levelno=40), record("three", system_id="till")])

    assert shown(chief.get("/admin/logs/log/")) == ["three", "TWO", "one"]
    assert shown(chief.get("/admin/logs/log/?q=two")) == ["TWO"]
    assert shown(chief.get("/admin/logs/log/?q=system:SHOP+-two")) == ["one"]
    assert shown(chief.get("/admin/logs/log/?q=two+OR+one&level=INFO&system_id=shop")) == ["TWO", "one"]
    assert shown(chief.get("/admin/logs/log/?level=ERROR")) == ["TWO"]
    assert shown(chief.get("/admin/logs/log/?system_id=till")) == ["three"]


def test_the_log_is_listed_in_pages_without_counting_or_skipping(chief: Client):
    append([record(str(number)) for number in range(250)])
    seen: list[str] = []
    address = "/admin/logs/log/"
    with CaptureQueriesContext(connection) as queries:
        while address:
            answer = chief.get(address)
            seen += shown(answer)
            older = re.search(r'href="([^"]+)" rel="next"', text(answer))
            address = f"/admin/logs/log/{older[1]}" if older else ""

    assert seen == [str(number) for number in range(249, -1, -1)]
    said = " ".join(query["sql"].upper() for query in queries if "LOGS_LOG" in query["sql"].upper())
    assert "COUNT(" not in said
    assert " OFFSET " not in said


def test_a_text_that_is_no_query_is_searched_for_in_the_list_too(chief: Client):
    append([record("a_(b"), record("other")])

    answer = chief.get("/admin/logs/log/?q=a_(b")

    assert shown(answer) == ["a_(b"]
    assert "Searched as text, for it is no query." in text(answer)


@pytest.mark.parametrize(
    "query", ["level=LOUD", "before=x", "before=1&after=2", "before=0", "after=99999999999999999999"]
)
def test_an_address_that_is_not_understood_leads_back_to_the_list(chief: Client, query: str):
    assert chief.get(f"/admin/logs/log/?{query}")["Location"] == "/admin/logs/log/?e=1"


def test_nobody_adds_changes_or_deletes_a_log(chief: Client):
    append([record("stays")])
    number = Log.objects.get().id

    assert chief.get("/admin/logs/log/add/").status_code == 403
    assert chief.get(f"/admin/logs/log/{number}/delete/").status_code == 403
    assert chief.post(f"/admin/logs/log/{number}/change/", {"message": "x"}).status_code == 403
    chief.post("/admin/logs/log/", {"action": "delete_selected", "_selected_action": [number], "post": "yes"})
    assert Log.objects.get().message == "stays"


def test_a_log_is_shown_with_every_invisible_character_visible(chief: Client):
    append([record("a\u202eb<b>")])
    number = Log.objects.get().id

    page = text(chief.get(f"/admin/logs/log/{number}/change/"))

    assert "a⟦U+202E⟧b&lt;b&gt;" in page
    assert "\u202e" not in page


def test_heartbeats_are_listed_with_their_age(chief: Client):
    append([record("x", at=timezone.now() - timedelta(hours=2))])

    page = text(chief.get("/admin/logs/heartbeat/"))

    assert '<td class="field-age">2 h</td>' in page


def test_a_retired_system_may_be_deleted_and_none_added(chief: Client):
    append([record("x")])
    number = HeartBeat.objects.get().id

    assert chief.get("/admin/logs/heartbeat/add/").status_code == 403
    chief.post(f"/admin/logs/heartbeat/{number}/delete/", {"post": "yes"})
    assert not HeartBeat.objects.exists()


@pytest.mark.parametrize("model", ["logcount", "prunerequest", "readerposition", "seenvalue", "sendermark"])
def test_what_herald_keeps_for_itself_is_only_shown(chief: Client, model: str):
    append([record("x")])

    assert chief.get(f"/admin/logs/{model}/").status_code == 200
    assert chief.get(f"/admin/logs/{model}/add/").status_code == 403


def test_the_administration_bears_the_name_of_the_stage(chief: Client):
    page = text(chief.get("/admin/"))

    assert 'data-stage="TESTING"' in page
    assert "herald TESTING" in page


def policy(**changes: str) -> dict[str, str]:
    return {"name": "debug", "query": "level:DEBUG", "age": "6 h", "order": "10", "enabled": "on"} | changes


def test_a_retention_policy_is_written_and_shown_in_words(chief: Client):
    assert chief.post("/admin/logs/retentionpolicy/add/", policy()).status_code == 302

    kept = RetentionPolicy.objects.get()
    assert (kept.query, kept.age) == ("level:DEBUG", timedelta(hours=6))
    assert '<td class="field-kept">6 hours</td>' in text(chief.get("/admin/logs/retentionpolicy/"))
    assert 'value="6 h"' in text(chief.get(f"/admin/logs/retentionpolicy/{kept.pk}/change/"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"query": "level:("}, "query"),
        ({"query": "time:<now-1d"}, "cannot name now"),
        ({"query": "nosuch:field"}, "nosuch"),
        ({"query": ""}, "required"),
        ({"age": "0 d"}, "such as 30 d"),
        ({"age": "soon"}, "such as 30 d"),
    ],
)
def test_a_policy_that_could_not_be_kept_is_refused_and_why_is_said(chief: Client, changes: dict[str, str], said: str):
    answer = chief.post("/admin/logs/retentionpolicy/add/", policy(**changes))

    assert answer.status_code == 200
    assert said in text(answer)
    assert not RetentionPolicy.objects.exists()


def test_no_policy_has_an_age_of_nothing():
    with pytest.raises(IntegrityError, match="logs_retentionpolicy_age"):
        RetentionPolicy.objects.create(name="x", query="x", age=timedelta(0))
