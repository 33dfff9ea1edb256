from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from logs import requests
from logs.models import Log, PruneRequest, RetentionPolicy
from logs.store import append
from tests.logs.records import Answer, record

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def login(client: Client, *permissions: str) -> Client:
    person = get_user_model().objects.create_user("ada")
    person.user_permissions.add(*Permission.objects.filter(codename__in=permissions))
    client.force_login(person, "django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def ada(client: Client) -> Client:
    return login(client, "delete_log")


@pytest.fixture
def _rows() -> None:
    now = timezone.now()
    append([record("old", at=now - 60 * DAY), record("debug", at=now - 3 * DAY, levelno=10), record("young", at=now)])
    RetentionPolicy.objects.create(name="<b>debug</b>", query="level:DEBUG", age=DAY)


def text(answer: Answer) -> str:
    return " ".join(answer.content.decode().split())


@pytest.mark.usefixtures("_rows")
@pytest.mark.parametrize("method", ["get", "post"])
def test_without_the_permission_nothing_is_shown_and_nothing_asked_for(client: Client, method: str):
    assert getattr(login(client, "view_log"), method)("/prune", {"confirmed": "yes"}).status_code == 403
    assert not PruneRequest.objects.exists()


@pytest.mark.usefixtures("_rows")
def test_what_is_due_is_counted_by_policy_and_nothing_is_deleted(ada: Client):
    page = text(ada.get("/prune"))

    assert '<td class="number">1</td><td>1 day</td><td>&lt;b&gt;debug&lt;/b&gt; <code>' in page
    assert '<td class="number">1</td><td>30 days</td><td>all other rows</td>' in page
    assert '<td class="number">2</td><td></td><th scope="row">in all</th>' in page
    assert Log.objects.count() == 3


@pytest.mark.usefixtures("_rows")
def test_a_post_without_confirmation_asks_for_nothing(ada: Client):
    answer = ada.post("/prune")

    assert answer.status_code == 400
    assert "Confirm it first." in text(answer)
    assert not PruneRequest.objects.exists()


@pytest.mark.usefixtures("_rows")
def test_a_confirmed_post_is_carried_out_and_progress_and_outcome_are_shown(ada: Client):
    assert ada.post("/prune", {"confirmed": "yes"})["Location"] == "/prune"
    waiting = ada.get("/prune")
    PruneRequest.objects.update(taken=timezone.now(), deleted=1234)
    at_it = text(ada.get("/prune"))
    PruneRequest.objects.update(taken=None, deleted=0)
    requests.answer(timezone.now(), patience=timedelta(0), pause=0)
    done = ada.get("/prune")

    assert "Waiting for a bridge" in text(waiting)
    assert waiting["Refresh"].startswith("2;")
    assert "1,234 rows so far." in at_it
    assert "2 rows deleted." in text(done)
    assert "Refresh" not in done
    assert Log.objects.get().message == "young"


@pytest.mark.usefixtures("_rows")
def test_a_second_post_shows_the_request_that_is_open(ada: Client):
    requests.ask("bob", DAY, timezone.now())

    page = text(ada.post("/prune", {"confirmed": "yes"}, follow=True))

    assert "bob asked" in page
    assert PruneRequest.objects.count() == 1


def test_a_post_from_another_site_is_refused():
    client = login(Client(enforce_csrf_checks=True), "delete_log")

    assert client.post("/prune", {"confirmed": "yes"}).status_code == 403
    assert not PruneRequest.objects.exists()


def test_a_policy_that_cannot_be_read_is_named_instead_of_counts(ada: Client):
    RetentionPolicy.objects.create(name="broken", query="a:(", age=DAY)

    page = text(ada.get("/prune"))

    assert "Nothing is deleted: the retention policy &#x27;broken&#x27; cannot be read" in page
    assert "<form" not in page.partition("<main")[2]


def test_where_nothing_is_due_there_is_nothing_to_confirm(ada: Client):
    append([record("young")])

    page = text(ada.get("/prune"))

    assert "Nothing is due." in page
    assert "<form" not in page.partition("<main")[2]
