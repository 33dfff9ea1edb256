from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from heraldsite.access import PUBLIC_PATHS, is_public
from heraldsite.accounts import MUST_CHANGE_PASSWORD
from tests.logs.records import Answer

pytestmark = pytest.mark.django_db

PAGE = {"Accept": "text/html,application/xhtml+xml"}
PASSWORD = "correct horse battery"


def addresses(patterns: list[URLPattern | URLResolver], before: str = "/") -> Iterator[str]:
    """Yield an address for every pattern of the site, with 1 wherever something is to be filled in."""
    for entry in patterns:
        text = before + example(entry)
        if isinstance(entry, URLResolver):
            yield from addresses(entry.url_patterns, text)
        else:
            yield text


def example(entry: URLPattern | URLResolver) -> str:
    pattern = entry.pattern
    text = str(pattern)
    for name in pattern.converters:
        start = text.index("<")
        end = text.index(">", start)
        assert name in text[start:end]
        text = f"{text[:start]}1{text[end + 1 :]}"
    return (
        text.replace("^", "").replace("$", "").replace("(?P<url>.*)", "x").replace(r"(?P<app_label>auth|axes)", "auth")
    )


@pytest.fixture
def anna() -> User:
    return User.objects.create_user("anna", password=PASSWORD)


@pytest.fixture
def inside(client: Client, anna: User) -> Client:
    client.force_login(anna, "django.contrib.auth.backends.ModelBackend")
    return client


def test_only_public_paths_answer_an_anonymous_visitor(client: Client):
    found = list(addresses(get_resolver().url_patterns))
    answering = set()
    for address in found:
        page = client.get(address, headers=PAGE)
        if not (page.status_code == 302 and page["Location"].startswith("/login")):
            answering.add(address)

    assert len(found) > 30
    assert {"/", "/status", "/logs/1", "/logs/1.json", "/password", "/admin/"} <= set(found)
    assert answering == {"/login", "/healthz"}
    assert all(is_public(address) for address in answering)


def test_the_list_of_public_paths_is_short_and_known():
    assert PUBLIC_PATHS == ("/login", "/healthz", "/static/")


@pytest.mark.parametrize("path", ["/login/x", "/healthz/", "/static", "/loginx", "//login", "/Login"])
def test_what_only_resembles_a_public_path_is_not_one(client: Client, path: str):
    assert not is_public(path)
    assert client.get(path, headers=PAGE).status_code == 302


def test_an_anonymous_visitor_does_not_learn_which_addresses_exist(client: Client):
    assert client.get("/no-such-page", headers=PAGE)["Location"] == "/login?next=%2Fno-such-page"


@pytest.mark.parametrize("headers", [{}, {"Accept": "application/json"}, {"Sec-Fetch-Mode": "cors"} | PAGE])
def test_a_script_gets_403_and_a_sentence_instead_of_a_login_page(client: Client, headers: dict[str, str]):
    answer = client.get("/logs/1.json", headers=headers)

    assert answer.status_code == 403
    assert answer.content == b"Log in first: this needs an account.\n"


def test_a_form_that_is_sent_too_late_leads_to_the_login(client: Client):
    assert client.post("/password", headers=PAGE)["Location"] == "/login"


def test_logging_in_leads_back_to_where_one_wanted_to_go(client: Client, anna: User):
    answer = client.post("/login", {"username": "anna", "password": PASSWORD, "next": "/?level=ERROR"})

    assert answer["Location"] == "/?level=ERROR"
    assert client.get("/", headers=PAGE).status_code == 200


def test_logging_in_never_leads_to_another_site(client: Client, anna: User):
    answer = client.post("/login", {"username": "anna", "password": PASSWORD, "next": "https://elsewhere.example/"})

    assert answer["Location"] == "/"


def test_a_wrong_password_is_said_and_lets_nobody_in(client: Client, anna: User):
    answer = client.post("/login", {"username": "anna", "password": "x"})

    assert b"do not belong together" in answer.content
    assert client.get("/", headers=PAGE).status_code == 302


def test_ten_wrong_passwords_lock_this_name_at_this_address_and_no_other(client: Client, anna: User):
    User.objects.create_user("berta", password=PASSWORD)

    def attempt(name: str, password: str, address: str = "10.0.0.1") -> Answer:
        return client.post("/login", {"username": name, "password": password}, REMOTE_ADDR=address)

    answers = [attempt("anna", "wrong") for _ in range(10)]

    assert answers[-1].status_code == 429
    assert b"Too many attempts" in answers[-1].content
    assert attempt("anna", PASSWORD).status_code == 429
    assert attempt("berta", PASSWORD).status_code == 302
    assert attempt("anna", PASSWORD, "10.0.0.2").status_code == 302


def test_logging_out_needs_a_form(inside: Client):
    assert inside.get("/logout").status_code == 405
    assert inside.post("/logout")["Location"] == "/login"
    assert inside.get("/", headers=PAGE).status_code == 302


@pytest.fixture
def under_duty(inside: Client, anna: User) -> Client:
    Group.objects.create(name=MUST_CHANGE_PASSWORD).user_set.add(anna)
    return inside


@pytest.mark.parametrize("path", ["/", "/status", "/admin/", "/no-such-page"])
def test_who_must_change_the_password_is_sent_to_do_that(under_duty: Client, path: str):
    assert under_duty.get(path, headers=PAGE)["Location"] == "/password"
    assert under_duty.get(path).status_code == 403


def test_who_must_change_the_password_may_still_leave(under_duty: Client):
    assert under_duty.post("/logout")["Location"] == "/login"


def test_a_changed_password_ends_the_duty_and_keeps_one_logged_in(under_duty: Client, anna: User):
    assert b"meant for once" in under_duty.get("/password").content
    new = "another horse entirely"
    answer = under_duty.post("/password", {"old_password": PASSWORD, "new_password1": new, "new_password2": new})

    assert answer["Location"] == "/"
    assert b"has been changed" in under_duty.get("/", headers=PAGE).content
    assert not anna.groups.exists()


def test_a_refused_password_does_not_end_the_duty(under_duty: Client, anna: User):
    answer = under_duty.post("/password", {"old_password": PASSWORD, "new_password1": "1234", "new_password2": "1234"})

    assert b"too short" in answer.content
    assert anna.groups.exists()


def test_the_administration_tells_ordinary_people_that_it_is_not_theirs(inside: Client):
    answer = inside.get("/admin/", follow=True, headers=PAGE)

    assert answer.status_code == 403
    assert b"staff status" in answer.content


def test_healthz_says_ok_and_nothing_else(client: Client):
    answer = client.get("/healthz")

    assert (answer.status_code, answer.content) == (200, b"ok\n")
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.django_db(transaction=True)
def test_healthz_is_503_without_a_database_and_tells_no_secret(client: Client, monkeypatch: pytest.MonkeyPatch):
    connection.close()
    with monkeypatch.context() as broken:
        elsewhere = {"sqlite": ("NAME", "/nonexistent/secret/herald.sqlite3"), "postgresql": ("PORT", "1")}
        broken.setitem(connection.settings_dict, *elsewhere[connection.vendor])
        answer = client.get("/healthz")

    assert (answer.status_code, answer.content) == (503, b"the database does not answer\n")
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("path", ["/", "/login", "/password", "/no-such-page", "/status"])
def test_every_page_shows_the_stage(inside: Client, path: str):
    assert b'data-stage="TESTING"' in inside.get(path, headers=PAGE, follow=True).content


def test_no_page_may_run_or_load_what_is_not_heralds_own(inside: Client):
    policy = inside.get("/", headers=PAGE)["Content-Security-Policy"]

    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


def test_static_files_are_there_without_logging_in_and_say_what_they_are(client: Client):
    style = client.get("/static/logs/tokens.css")

    assert style.status_code == 200
    assert style["Content-Type"].startswith("text/css")
    assert not style.streaming
    assert client.get("/static/../manage.py").status_code == 404
