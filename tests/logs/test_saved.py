from __future__ import annotations

import re
from html import unescape

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from logs import saved
from logs.models import SavedSearch
from tests.logs.records import Answer

pytestmark = pytest.mark.django_db
BACKEND = "django.contrib.auth.backends.ModelBackend"


def visitor(name: str) -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_user(name), BACKEND)
    return client


@pytest.fixture
def anna() -> Client:
    return visitor("anna")


def names(answer: Answer) -> list[str]:
    table = answer.content.decode().partition('<ul class="saved">')[2].partition("</ul>")[0]
    return [unescape(found) for found in re.findall(r"<bdi>(.*?)</bdi>", table)]


def save(client: Client, name: str, **data: str) -> Answer:
    return client.post("/searches", {"name": name, **data}, follow=True)


def test_a_search_is_saved_with_its_time_and_listed_as_an_address(anna: Client):
    page = save(anna, "Bad <b>", q="level:>=ERROR", last="1h")

    assert names(page) == ["Bad <b>"]
    assert "?q=level%3A%3E%3DERROR&amp;last=1h" in page.content.decode()
    assert page.redirect_chain == [("/?q=level%3A%3E%3DERROR&last=1h", 302)]


def test_nobody_reads_the_search_of_another_unless_it_is_shared(anna: Client):
    save(anna, "mine", q="secret")
    save(anna, "ours", q="open", shared="on")
    berta = visitor("berta")

    assert names(anna.get("/")) == ["mine", "ours"]
    assert names(berta.get("/")) == ["ours"]
    assert "secret" not in berta.get("/").content.decode()


def test_nobody_deletes_or_replaces_the_search_of_another(anna: Client):
    save(anna, "ours", q="open", shared="on")
    berta = visitor("berta")
    number = SavedSearch.objects.get().id

    assert berta.post(f"/searches/{number}/delete").status_code == 404
    save(berta, "ours", q="hers")
    assert sorted(SavedSearch.objects.values_list("query", flat=True)) == ["hers", "open"]
    assert names(anna.post(f"/searches/{number}/delete", follow=True)) == []


def test_a_name_is_used_again_for_what_it_means_now(anna: Client):
    save(anna, "bad", q="level:ERROR", shared="on")
    save(anna, "bad", since="2026-11-22T12:00Z")

    found = SavedSearch.objects.get()
    assert (found.query, found.is_shared, found.last) == ("", False, "")
    assert found.since is not None


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"q": "Error: (again"}, "Only a query can be saved."),
        ({"q": "x" * 5_000}, "at most 4,096 are allowed"),
        ({"last": "9y"}, "is not known"),
        ({"last": "1h", "since": "2026-11-22"}, "not both"),
        ({"name": "n" * 101}, "at most 100 characters"),
        ({"name": ""}, "required"),
    ],
)
def test_what_cannot_be_saved_is_said(anna: Client, data: dict[str, str], says: str):
    answer = anna.post("/searches", {"name": "x"} | data)

    assert says in anna.get("/").content.decode()
    assert answer.status_code == 302
    assert not SavedSearch.objects.exists()


def test_there_is_a_bound(anna: Client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(saved, "OWN_MAX", 1)
    save(anna, "one")

    assert "delete one first" in save(anna, "two").content.decode()
    assert "Saved as" in save(anna, "one").content.decode()
    assert SavedSearch.objects.count() == 1


def test_the_database_keeps_one_name_and_one_time(anna: Client):
    save(anna, "one")
    found = SavedSearch.objects.get()

    with pytest.raises(IntegrityError, match=r"logs_savedsearch_name|UNIQUE"), transaction.atomic():
        SavedSearch.objects.create(owner=found.owner, name="one")
    with pytest.raises(IntegrityError, match="logs_savedsearch_one_time"), transaction.atomic():
        SavedSearch.objects.create(owner=found.owner, name="two", last="1h", since=timezone.now())


def test_saving_needs_a_login_and_a_post(anna: Client):
    assert Client().post("/searches", {"name": "x"}).status_code in (302, 403)
    assert anna.get("/searches").status_code == 405
    assert not SavedSearch.objects.exists()
