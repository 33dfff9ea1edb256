from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from bridge.conversations import secret_hash
from bridge.forward import Forwarder, forwarders
from bridge.models import Credential, Departure, Destination, Hop
from logs import store, tail
from tests.bridge.standing import destination, hop
from tests.logs.records import Answer, record

pytestmark = pytest.mark.django_db

DESTINATIONS = "/admin/bridge/destination/"
CREDENTIALS = "/admin/bridge/credential/"
BACKEND = "django.contrib.auth.backends.ModelBackend"
SECRET = "the-secret-of-the-far-side"


@pytest.fixture
def chief(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("chief"), BACKEND)
    return client


def staff(*permissions: str) -> Client:
    """Return somebody of the staff with these permissions alone."""
    person = User.objects.create_user("staff", is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(person, BACKEND)
    return client


def text(answer: Answer) -> str:
    return answer.content.decode()


def errors(answer: Answer) -> dict[str, str]:
    """Return the faults of a form by field; empty when it was taken."""
    return {} if answer.status_code == 302 else {k: " ".join(v) for k, v in form_of(answer).errors.items()}


def form_of(answer: Any) -> Any:
    return answer.context["adminform"].form


def filled(**fields: Any) -> dict[str, Any]:
    given = {"name": "far", "kind": "herald", "host": "10.0.0.1", "port": "9017", "level": "50", "rate": "0"}
    return given | {"enabled": "on"} | fields


# --- Destinations ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)  # on PostgreSQL a row is read once its transaction has ended
def test_a_new_destination_begins_with_the_next_row(chief: Client):
    store.append([record("old")])
    answer = chief.post(DESTINATIONS + "add/", filled())

    assert errors(answer) == {}
    assert Destination.objects.get().start == str(tail.newest()) != "0.0"


def test_a_new_destination_gets_the_rows_that_are_here_if_that_is_asked_for(chief: Client):
    store.append([record("old")])
    chief.post(DESTINATIONS + "add/", filled(from_start="on"))

    assert Destination.objects.get().start == "0.0"


def test_the_form_of_a_new_destination_offers_the_kinds_there_are_and_our_own_level(chief: Client, settings):
    settings.BRIDGE_LEVEL = 37
    page = text(chief.get(DESTINATIONS + "add/"))

    assert set(re.findall(r'<option value="(\w+)"', page.partition('name="kind"')[2])) == {*forwarders}
    assert {"herald", "stock"} <= {*forwarders}
    assert re.search(r'name="level"[^>]*value="37"|value="37"[^>]*name="level"', page)
    assert "Also the rows that are here already" in page


def test_a_kind_of_a_plugin_is_offered_too(chief: Client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(forwarders, "_parts", {**forwarders._parts, "pigeon": Forwarder})

    assert 'value="pigeon"' in text(chief.get(DESTINATIONS + "add/"))
    assert errors(chief.post(DESTINATIONS + "add/", filled(kind="pigeon"))) == {}


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"name": "with space"}, "name", "Use letters, digits"),
        ({"name": "x" * 81}, "name", "at most 80"),
        ({"name": ""}, "name", "required"),
        ({"kind": "pigeon"}, "kind", "There is no such kind, only herald, ps_bridge, stock"),
        ({"kind": ""}, "kind", "required"),
        ({"host": ""}, "host", "required"),
        ({"port": "0"}, "port", "greater than or equal to 1"),
        ({"port": "65536"}, "port", "less than or equal to 65535"),
        ({"port": "http"}, "port", "whole number"),
        ({"level": "101"}, "level", "less than or equal to 100"),
        ({"rate": "-1"}, "rate", "greater than or equal to 0"),
        ({"login": "us"}, "secret", "Give the secret"),
        ({"secret": SECRET}, "login", "Give the name of the credential"),
        ({"login": "us", "secret": "x" * 501}, "secret", "at most 500"),
    ],
)
def test_a_destination_that_makes_no_sense_is_refused_by_field(
    chief: Client, fields: dict[str, Any], field: str, says: str
):
    found = errors(chief.post(DESTINATIONS + "add/", filled(**fields)))

    assert says in found[field]
    assert not Destination.objects.exists()


def test_a_destination_that_is_this_bridge_itself_is_refused_by_its_port(chief: Client, settings):
    answer = chief.post(DESTINATIONS + "add/", filled(host="localhost", port=str(settings.BRIDGE_PORT)))

    assert "is this bridge itself" in errors(answer)["port"]


def test_a_name_that_is_taken_is_refused(chief: Client):
    destination(timezone.now(), "far")

    assert "already exists" in errors(chief.post(DESTINATIONS + "add/", filled()))["name"]


def test_a_secret_goes_in_and_never_comes_out(chief: Client):
    chief.post(DESTINATIONS + "add/", filled(login="us", secret=SECRET))
    stored = Destination.objects.get()
    pages = [DESTINATIONS, f"{DESTINATIONS}{stored.pk}/change/", f"{DESTINATIONS}{stored.pk}/history/", "/status"]

    assert stored.secret == SECRET
    for page in [*pages, f"{DESTINATIONS}{stored.pk}/delete/"]:
        assert SECRET not in text(chief.get(page))
    # Nor where another field is wrong.
    assert SECRET not in text(chief.post(pages[1], filled(login="us", secret=SECRET, port="0")))


def test_who_may_only_look_does_not_see_the_secret(chief: Client):
    chief.post(DESTINATIONS + "add/", filled(login="us", secret=SECRET))
    page = staff("view_destination").get(f"{DESTINATIONS}{Destination.objects.get().pk}/change/")

    assert page.status_code == 200
    assert "10.0.0.1" in text(page)
    assert SECRET not in text(page)
    assert "Credential" in text(page)


@pytest.mark.parametrize(
    ("address", "lookup"),
    [
        (DESTINATIONS, "secret__startswith=the"),
        (DESTINATIONS, "secret=the"),
        (DESTINATIONS, "hash_key__startswith=0"),
        (CREDENTIALS, "secret_hash__startswith=0"),
    ],
)
def test_nobody_finds_a_secret_out_by_asking_the_list_for_it(chief: Client, address: str, lookup: str):
    assert chief.get(f"{address}?{lookup}").status_code == 400


def test_an_empty_secret_stays_as_it_was_and_a_new_one_replaces_it(chief: Client):
    chief.post(DESTINATIONS + "add/", filled(login="us", secret=SECRET))
    change = f"{DESTINATIONS}{Destination.objects.get().pk}/change/"

    assert errors(chief.post(change, filled(login="us", rate="7"))) == {}
    assert (Destination.objects.get().secret, Destination.objects.get().rate) == (SECRET, 7)
    assert "ecret" not in LogEntry.objects.latest("id").get_change_message()
    assert errors(chief.post(change, filled(login="us", secret="another"))) == {}
    assert Destination.objects.get().secret == "another"
    assert SECRET not in LogEntry.objects.latest("id").change_message


@pytest.mark.parametrize("fields", [{"host": "10.6.6.6"}, {"port": "666"}, {"login": "them"}, {"tls": "on"}])
def test_a_secret_does_not_go_to_another_address_unless_it_is_given_again(chief: Client, fields: dict[str, Any]):
    chief.post(DESTINATIONS + "add/", filled(login="us", secret=SECRET))
    change = f"{DESTINATIONS}{Destination.objects.get().pk}/change/"

    found = errors(chief.post(change, filled(**{"login": "us", **fields})))
    assert "give the secret again" in found["secret"]
    assert errors(chief.post(change, filled(**{"login": "us", "secret": SECRET, **fields}))) == {}


def test_an_original_bridge_is_fed_slowly_unless_a_rate_is_given(chief: Client):
    chief.post(DESTINATIONS + "add/", filled(kind="ps_bridge"))

    assert Destination.objects.get().rate == 100


def test_without_a_credential_there_is_no_secret(chief: Client):
    chief.post(DESTINATIONS + "add/", filled(login="us", secret=SECRET))
    chief.post(f"{DESTINATIONS}{Destination.objects.get().pk}/change/", filled())

    assert (Destination.objects.get().login, Destination.objects.get().secret) == ("", "")


def test_a_change_leaves_alone_what_the_forwarder_writes_and_what_the_name_keeps(chief: Client):
    found = destination(timezone.now(), "far", rows=5)
    change = f"{DESTINATIONS}{found.pk}/change/"
    page = chief.get(change)
    Destination.objects.filter(pk=found.pk).update(rows=6, acked_low=9)

    chief.post(change, filled(name="other", rows="1", start="0.0", sender="x", rate="200"))

    stored = Destination.objects.get()
    assert page.status_code == 200
    assert (stored.name, stored.rows, stored.acked_low, stored.rate) == ("far", 6, 9, 200)
    assert stored.sender == found.sender


def test_the_page_of_a_destination_tells_how_it_stands_and_hides_nothing_invisible(chief: Client):
    now = timezone.now()
    hostile = "<b>\u202e"
    found = destination(now, "far", state="unreachable", waiting=7, lag_seconds=61, far_name=hostile, error=hostile)
    page = text(chief.get(f"{DESTINATIONS}{found.pk}/change/"))

    assert "How it stands" in page
    assert "tunnel down" in page
    assert "7, the oldest for 1 min" in page
    assert page.count("&lt;b&gt;") >= 2
    assert "\u202e" not in page
    assert "<b>" not in page


def test_the_list_tells_state_and_what_waits(chief: Client):
    now = timezone.now()
    destination(now, "one", state="silent", waiting=3, lag_seconds=5)
    page = text(chief.get(DESTINATIONS))

    assert '<span class="state error">bridge down</span>' in page
    assert "3, the oldest for 5.0 s" in page
    assert "127.0.0.1:9017" in page


def act(client: Client, address: str, action: str, *rows: Any, **more: str) -> Answer:
    chosen = [row.pk for row in rows]
    return client.post(address, {"action": action, "_selected_action": chosen, **more}, follow="confirmed" not in more)


def test_destinations_are_paused_and_resumed(chief: Client):
    one, two = destination(timezone.now(), "one"), destination(timezone.now(), "two", enabled=False)

    assert "Paused: one. Rows for it wait." in text(act(chief, DESTINATIONS, "pause", one, two))
    assert not Destination.objects.filter(enabled=True).exists()
    assert "paused already" in text(act(chief, DESTINATIONS, "pause", one))
    assert "Resumed: one, two." in text(act(chief, DESTINATIONS, "resume", one, two))
    assert Destination.objects.filter(enabled=True).count() == 2


def test_who_may_only_look_pauses_nothing(chief: Client):
    found = destination(timezone.now())
    act(staff("view_destination"), DESTINATIONS, "pause", found)

    assert Destination.objects.get().enabled


# --- Credentials ----------------------------------------------------------------------------------------------------


def shown_secret(answer: Answer) -> str:
    found = re.search(r"is <code>([\w-]{30,})</code>. This is the only time", text(answer))
    assert found is not None
    return unescape(found[1])


def test_the_secret_of_a_new_credential_is_shown_once_and_kept_as_a_hash(chief: Client):
    given = {"name": "branch", "systems": "shop.*\n till \n\nshop.*", "enabled": "on"}
    answer = chief.post(CREDENTIALS + "add/", given, follow=True)
    secret = shown_secret(answer)
    stored = Credential.objects.get()

    assert stored.secret_hash == secret_hash(secret)
    assert stored.systems == "shop.*\ntill"
    assert not stored.may_relay
    for page in (CREDENTIALS, f"{CREDENTIALS}{stored.pk}/change/", f"{CREDENTIALS}{stored.pk}/history/"):
        assert secret not in text(chief.get(page))
        assert stored.secret_hash not in text(chief.get(page))


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"name": "-"}, "name", "Use letters, digits"),
        ({"systems": ""}, "systems", "required"),
        ({"systems": "good\nshop orders"}, "systems", "Line 2: one system id a line"),
        ({"systems": "sh*op"}, "systems", "Line 1: a star stands at the end"),
        ({"systems": "**"}, "systems", "Line 1: a star stands at the end"),
        ({"systems": "x" * 201}, "systems", "200 characters at most"),
        ({"systems": "till\u202e"}, "systems", "no invisible characters"),
    ],
)
def test_a_credential_that_makes_no_sense_is_refused_by_field(
    chief: Client, fields: dict[str, str], field: str, says: str
):
    answer = chief.post(CREDENTIALS + "add/", {"name": "branch", "systems": "*", "enabled": "on"} | fields)

    assert says in errors(answer)[field]
    assert not Credential.objects.exists()


def test_a_change_of_a_credential_keeps_its_secret_and_its_name(chief: Client):
    chief.post(CREDENTIALS + "add/", {"name": "branch", "systems": "*", "enabled": "on"})
    before = Credential.objects.get()
    chief.post(f"{CREDENTIALS}{before.pk}/change/", {"name": "x", "systems": "till", "secret_hash": "y"})
    after = Credential.objects.get()

    assert (after.name, after.systems, after.enabled) == ("branch", "till", False)
    assert after.secret_hash == before.secret_hash


def test_a_secret_is_renewed_after_a_confirmation(chief: Client):
    one, other = (Credential.objects.create(name=name, secret_hash="0" * 64) for name in ("one", "other"))
    asked = act(chief, CREDENTIALS, "renew", one)
    assert "<li>one</li>" in text(asked)
    assert set(Credential.objects.values_list("secret_hash", flat=True)) == {"0" * 64}

    act(chief, CREDENTIALS, "renew", one, confirmed="yes")
    secret = shown_secret(chief.get(CREDENTIALS))

    assert Credential.objects.get(name="one").secret_hash == secret_hash(secret)
    assert Credential.objects.get(name="other").secret_hash == other.secret_hash
    assert "Renewed the secret" in LogEntry.objects.latest("id").change_message
    assert secret not in text(chief.get(CREDENTIALS))


def test_who_may_only_look_renews_nothing(chief: Client):
    one = Credential.objects.create(name="one", secret_hash="0" * 64)
    act(staff("view_credential"), CREDENTIALS, "renew", one, confirmed="yes")

    assert Credential.objects.get().secret_hash == "0" * 64


# --- What herald writes by itself -----------------------------------------------------------------------------------


def test_an_incoming_bridge_is_shown_and_may_be_deleted_but_not_changed(chief: Client):
    now = timezone.now()
    found = hop(now - timedelta(minutes=9), "<b>\u202e")
    page = f"/admin/bridge/hop/{found.pk}/"

    assert '<span class="state error">silent</span>' in text(chief.get("/admin/bridge/hop/"))
    assert "&lt;b&gt;⟦U+202E⟧" in text(chief.get(page + "change/"))
    assert chief.get("/admin/bridge/hop/add/").status_code == 403
    assert chief.post(page + "change/", {"name": "x"}).status_code == 403
    chief.post(page + "delete/", {"post": "yes"})
    assert not Hop.objects.exists()


def test_what_left_is_shown_and_nothing_else(chief: Client):
    Departure.objects.create(destination="far", address="a:1", far_bridge="\u202ex", hour=timezone.now(), rows=7)
    page = f"/admin/bridge/departure/{Departure.objects.get().pk}/"

    assert "⟦" in text(chief.get("/admin/bridge/departure/"))
    assert chief.get(page + "change/").status_code == 200
    assert chief.get("/admin/bridge/departure/add/").status_code == 403
    assert chief.get(page + "delete/").status_code == 403
