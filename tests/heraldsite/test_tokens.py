from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from heraldsite import tokens
from heraldsite.accounts import MUST_CHANGE_PASSWORD
from heraldsite.models import DAYS, DAYS_MAX, Token
from heraldsite.tokens import DOORS, Wrong, find, hash_of, make, note_use
from logs.access import Scope
from logs.models import Log
from tests.logs.records import Answer

pytestmark = pytest.mark.django_db

MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture
def anna() -> User:
    return User.objects.create_user("anna", password="correct horse battery")


@pytest.fixture
def strict() -> Client:
    """A client as a program is one: no session, and forms are protected."""
    return Client(enforce_csrf_checks=True)


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def made(owner: User, *, now: datetime | None = None, scope: Scope = Scope.READ, days: int = DAYS) -> tuple[Token, str]:
    return make(f"token-{Token.objects.count()}", owner, now=now or timezone.now(), scope=scope, days=days)


def ask(client: Client, headers: dict[str, str], query: str = "{ goodbye }") -> Answer:
    return client.post("/graph_ql", {"query": query}, content_type="application/json", headers=headers)


# --- One token --------------------------------------------------------------------------------------------------


def test_a_secret_is_long_random_and_kept_as_a_hash_alone(anna: User):
    token, secret = made(anna)
    _, other = made(anna)

    assert secret.startswith("herald_")
    assert len(secret) >= 50
    assert secret != other
    kept = Token.objects.filter(pk=token.pk).values().get()
    assert kept["hash"] == hash_of(secret)
    assert all(secret not in str(value) for value in kept.values())
    assert secret.startswith(kept["prefix"])


def test_a_token_is_found_by_its_secret_until_it_expires(anna: User, now: datetime):
    token, secret = made(anna, now=now, days=2)

    assert find(secret, now) == token
    assert find(secret, now + timedelta(days=2) - timedelta(seconds=1)) == token
    assert find(secret, now + timedelta(days=2)) is None
    assert find(secret[:-1], now) is None
    assert find("", now) is None


def test_a_revoked_token_and_that_of_a_closed_account_are_not_found(anna: User, now: datetime):
    token, secret = made(anna, now=now)
    anna.is_active = False
    anna.save()
    assert find(secret, now) is None
    anna.is_active = True
    anna.save()
    assert find(secret, now) == token

    assert tokens.revoke(token.name, now)
    assert find(secret, now) is None
    assert not tokens.revoke("nobody", now)


def test_a_token_lives_a_year_by_default_and_no_longer_than_two(anna: User, now: datetime):
    token, _ = made(anna, now=now)
    assert token.expires == now + timedelta(days=365)

    for days in (0, -1, DAYS_MAX + 1):
        with pytest.raises(ValidationError):
            made(anna, now=now, days=days)


def test_the_database_keeps_what_a_token_is(anna: User, now: datetime):
    given = {"name": "x", "owner": anna, "hash": "0" * 64, "prefix": "herald_x", "created": now}
    with pytest.raises(IntegrityError, match="heraldsite_token_expires_after_it_was_made"), transaction.atomic():
        Token.objects.create(**given, expires=now)
    with pytest.raises(IntegrityError, match="heraldsite_token_scope"), transaction.atomic():
        Token.objects.create(**given, expires=now + timedelta(1), scope="all")


def test_the_use_of_a_token_is_noted_once_a_minute(anna: User, now: datetime, django_assert_num_queries):
    token, secret = made(anna, now=now)

    note_use(token, "10.0.0.1", now)
    used = find(secret, now)
    assert used is not None
    assert (used.last_used, used.last_peer) == (now, "10.0.0.1")

    with django_assert_num_queries(0):
        note_use(used, "10.0.0.2", now + timedelta(seconds=59))
    # One that another process has read before it was noted writes nothing either.
    note_use(token, "10.0.0.3", now + timedelta(seconds=30))
    assert Token.objects.get(pk=token.pk).last_peer == "10.0.0.1"

    note_use(used, "10.0.0.2", now + timedelta(seconds=61))
    assert Token.objects.get(pk=token.pk).last_peer == "10.0.0.2"


# --- The doors --------------------------------------------------------------------------------------------------


def test_the_doors_are_few_and_known():
    assert {"/graph_ql", "/angular/list", "/angular/options", "/hello", "/hello_to_ps_basic_logger"} == DOORS


@pytest.mark.parametrize("door", sorted(DOORS))
def test_each_door_asks_for_a_person_or_a_token(door: str, strict: Client, anna: User):
    _, secret = made(anna, scope=Scope.WRITE)
    query = {"query": "{ goodbye }"} if door == "/graph_ql" else {}

    assert strict.get(door, query).status_code == 403
    assert strict.get(door, query, headers=bearer(secret)).status_code == 200
    assert strict.get(door, query, headers=bearer(secret + "x")).status_code == 401
    strict.force_login(anna, MODEL_BACKEND)
    assert strict.get(door, query).status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/status", "/password", "/logs/1.json", "/admin/", "/graph_ql/", "/angular/lists"]
)
def test_a_token_opens_no_other_page(path: str, strict: Client):
    chief = User.objects.create_superuser("chief")
    _, secret = made(chief, scope=Scope.WRITE)

    assert strict.get(path, headers=bearer(secret)).status_code == 403


def wrong_secrets(anna: User) -> list[str]:
    now = timezone.now()
    revoked, secret_of_revoked = made(anna)
    tokens.revoke(revoked.name, now)
    _, secret_of_expired = made(anna, now=now - timedelta(days=3), days=2)
    return [secret_of_revoked, secret_of_expired, tokens.new_secret(), "", "x", "herald_" + "x" * 5_000, "hérald_"]


def test_unknown_expired_and_revoked_tokens_get_one_and_the_same_answer(strict: Client, anna: User):
    answers = [ask(strict, bearer(secret)) for secret in wrong_secrets(anna)]

    assert {answer.status_code for answer in answers} == {401}
    assert {answer.content for answer in answers} == {b"This token is not valid: it is unknown, expired or revoked.\n"}
    assert {answer["WWW-Authenticate"] for answer in answers} == {'Bearer realm="herald", error="invalid_token"'}
    assert not any(answer.cookies for answer in answers)


def test_a_wrong_token_is_not_saved_by_a_session(client: Client, anna: User):
    client.force_login(anna, MODEL_BACKEND)

    assert client.get("/hello", headers=bearer("herald_x")).status_code == 401
    assert client.get("/hello", headers={"Authorization": "Basic YTpi"}).status_code == 200


def test_a_session_needs_protection_against_forged_forms_and_a_token_needs_none(strict: Client, anna: User):
    _, secret = made(anna)
    assert ask(strict, bearer(secret)).json() == {"data": {"goodbye": "See ya!"}}

    strict.force_login(anna, MODEL_BACKEND)
    assert ask(strict, {}).status_code == 403
    assert strict.get("/graph_ql", {"query": "{ goodbye }"}).status_code == 200
    cookie = strict.cookies["herald_t_csrf"].value
    assert ask(strict, {"X-CSRFToken": cookie}).status_code == 200


def test_a_token_makes_no_session(strict: Client, anna: User):
    _, secret = made(anna)
    strict.get("/hello", headers=bearer(secret))

    assert "herald_t_session" not in strict.cookies
    assert strict.get("/hello").status_code == 403


ADD = 'mutation { addLog(input: {message: "x"}) { log { id } } }'


def test_a_token_that_reads_adds_nothing_whoever_its_owner_is(strict: Client):
    chief = User.objects.create_superuser("chief")
    _, secret = made(chief)

    answer = ask(strict, bearer(secret), ADD).json()

    assert "scope write" in answer["errors"][0]["message"]
    assert strict.get("/hello_to_ps_basic_logger", headers=bearer(secret)).status_code == 403
    assert not Log.objects.exists()


def test_a_token_that_writes_adds(strict: Client, anna: User):
    _, secret = made(anna, scope=Scope.WRITE)

    assert "errors" not in ask(strict, bearer(secret), ADD).json()
    assert Log.objects.get().message == "x"


def test_a_person_adds_with_the_permission(client: Client, anna: User):
    client.force_login(anna, MODEL_BACKEND)
    assert "permission" in ask(client, {}, ADD).json()["errors"][0]["message"]

    anna.user_permissions.add(Permission.objects.get(content_type__app_label="logs", codename="add_log"))
    assert "errors" not in ask(client, {}, ADD).json()


def test_who_must_change_the_password_cannot_get_around_it_by_a_token(strict: Client, anna: User):
    _, secret = made(anna)
    Group.objects.create(name=MUST_CHANGE_PASSWORD).user_set.add(anna)

    assert strict.get("/hello", headers=bearer(secret)).status_code == 403


def test_the_use_of_a_token_is_shown_with_the_address(strict: Client, anna: User):
    token, secret = made(anna)
    strict.get("/hello", headers=bearer(secret), REMOTE_ADDR="10.1.2.3")

    assert Token.objects.get(pk=token.pk).last_peer == "10.1.2.3"


# --- Wrong ones -------------------------------------------------------------------------------------------------


def test_many_wrong_tokens_from_one_address_have_to_wait_and_are_logged_twice(
    strict: Client, anna: User, caplog: pytest.LogCaptureFixture
):
    _, secret = made(anna)
    assert strict.get("/hello", headers=bearer(secret)).status_code == 200
    with caplog.at_level(logging.WARNING, "heraldsite.tokens"):
        answers = [strict.get("/hello", headers=bearer("herald_wrong")) for _ in range(tokens.WRONG_MAX + 5)]

    assert [answer.status_code for answer in answers] == [401] * tokens.WRONG_MAX + [429] * 5
    assert answers[-1]["Retry-After"] == "60"
    assert len(caplog.records) == 2
    assert "herald_wrong" not in caplog.text
    assert strict.get("/hello", headers=bearer(secret)).status_code == 200
    assert strict.get("/hello", headers=bearer("herald_wrong"), REMOTE_ADDR="10.0.0.9").status_code == 401


def test_wrong_tokens_lock_nobody_out_of_the_login(strict: Client, client: Client, anna: User):
    for _ in range(15):
        strict.get("/hello", headers=bearer("herald_wrong"))

    answer = client.post("/login", {"username": "anna", "password": "correct horse battery"})

    assert answer.status_code == 302


def test_what_is_remembered_of_wrong_tokens_is_bounded_and_ends(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tokens, "ADDRESSES_MAX", 3)
    monkeypatch.setattr(tokens, "GOOD_MAX", 3)
    time = [0.0]
    wrong = Wrong(lambda: time[0])
    for number in range(10):
        wrong.was_wrong(f"10.0.0.{number}")
        wrong.was_good(f"herald_{number}")
    assert len(wrong._counts) == len(wrong._good) == 3

    assert [wrong.was_wrong("10.0.0.1") for _ in range(tokens.WRONG_MAX)][-1] == tokens.WRONG_MAX
    assert wrong.too_many("10.0.0.1", "herald_x")
    assert not wrong.too_many("10.0.0.1", "herald_9")
    time[0] = 61.0
    assert not wrong.too_many("10.0.0.1", "herald_x")
    assert wrong.was_wrong("10.0.0.1") == 1


# --- The command ------------------------------------------------------------------------------------------------


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*arguments: str) -> str:
        call_command("tokens", *arguments)
        return capsys.readouterr().out.strip()

    return run


def test_the_command_makes_lists_and_revokes(tell: Callable[..., str], anna: User):
    assert "there is no token" in tell("list")

    secret = tell("add", "grafana", "--user", "anna", "--days", "10")

    found = find(secret, timezone.now())
    assert found is not None
    assert (found.name, found.owner, found.scope) == ("grafana", anna, "read")
    assert found.expires - found.created == timedelta(days=10)
    listed = tell("list")
    assert listed.startswith(f"grafana  {secret[:13]}…  read as anna, valid, until ")
    assert secret not in listed
    tell("revoke", "grafana")
    assert "revoked" in tell("list")
    assert find(secret, timezone.now()) is None


def test_the_command_makes_a_token_that_writes(tell: Callable[..., str], anna: User):
    tell("add", "shop", "--user", "anna", "--write")
    assert Token.objects.get().scope == "write"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["add", "x", "--user", "nobody"], "there is no account 'nobody'"),
        (["add", "x y", "--user", "anna"], "Use letters, digits"),
        (["add", "x", "--user", "anna", "--days", "0"], "--days must be from 1 to 730"),
        (["add", "x", "--user", "anna", "--days", "9999999999"], "--days must be from 1 to 730"),
        (["revoke", "x"], "there is no token 'x'"),
    ],
)
def test_the_command_says_what_is_wrong(anna: User, arguments: list[str], says: str):
    with pytest.raises(CommandError, match=says):
        call_command("tokens", *arguments)


def test_the_command_refuses_a_name_that_is_taken(tell: Callable[..., str], anna: User):
    tell("add", "x", "--user", "anna")
    with pytest.raises(CommandError, match="already exists"):
        tell("add", "x", "--user", "anna")


# --- The administration -----------------------------------------------------------------------------------------


@pytest.fixture
def chief(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("chief"), MODEL_BACKEND)
    return client


def test_a_token_is_made_in_the_administration_and_shown_once(chief: Client, anna: User):
    given = {"name": "grafana", "owner": anna.pk, "scope": "write", "days": 30}
    answer = chief.post("/admin/heraldsite/token/add/", given)

    token = Token.objects.get()
    text = answer.content.decode()
    secret = text.partition('<code id="secret">')[2].partition("<")[0]
    assert find(secret, timezone.now()) == token
    assert token.expires - token.created == timedelta(days=30)
    assert "no-store" in answer["Cache-Control"]
    assert secret not in str(answer.cookies)
    for page in ("", f"{token.pk}/change/"):
        shown = chief.get(f"/admin/heraldsite/token/{page}").content.decode()
        assert "grafana" in shown
        assert secret not in shown
        assert token.hash not in shown


@pytest.mark.parametrize("days", ["0", "731", "x", ""])
def test_the_administration_bounds_the_life_of_a_token(chief: Client, anna: User, days: str):
    given = {"name": "grafana", "owner": anna.pk, "scope": "read", "days": days}

    assert chief.post("/admin/heraldsite/token/add/", given).status_code == 200
    assert not Token.objects.exists()


def test_tokens_are_revoked_in_the_administration_and_never_changed(chief: Client, anna: User):
    token, secret = made(anna)
    form = {"name": "other", "owner": anna.pk, "scope": "write", "days": 30}

    assert chief.post(f"/admin/heraldsite/token/{token.pk}/change/", form).status_code == 403
    chief.post("/admin/heraldsite/token/", {"action": "revoke", "_selected_action": [token.pk]})

    assert find(secret, timezone.now()) is None
    assert Token.objects.get().state(timezone.now()) == "revoked"


def test_who_is_no_superuser_makes_tokens_for_themselves_alone(client: Client, anna: User):
    chief = User.objects.create_superuser("chief")
    anna.is_staff = True
    anna.save()
    anna.user_permissions.add(*Permission.objects.filter(content_type__app_label="heraldsite"))
    client.force_login(anna, MODEL_BACKEND)

    given = {"name": "mine", "owner": chief.pk, "scope": "write", "days": 30}
    assert client.post("/admin/heraldsite/token/add/", given).status_code == 200
    assert not Token.objects.exists()
    client.post("/admin/heraldsite/token/add/", given | {"owner": anna.pk})
    assert Token.objects.get().owner == anna


def test_the_state_of_a_token_is_said(anna: User):
    at = datetime(2026, 1, 1, tzinfo=UTC)
    token, _ = made(anna, now=at, days=1)

    assert token.state(at) == "valid"
    assert token.state(at + timedelta(days=1)) == "expired"
    anna.is_active = False
    assert token.state(at) == "its owner's account is closed"
