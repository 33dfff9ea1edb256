"""Who may send as whom, and what of a row reaches whom."""

from __future__ import annotations

import json
import secrets
import time
import urllib.request
from typing import Any

import pytest

from tests.certificates import NAME, Papers, make_papers
from tests.end_to_end.acked import Client, record
from tests.end_to_end.conftest import Site
from tests.end_to_end.frames import frame, frames
from tests.end_to_end.test_bridge import rejected, until_closed
from tests.end_to_end.test_forwarding import Make, destination, join, origins, wait_until
from tests.end_to_end.test_tls import connect as tls_connect
from tests.end_to_end.test_tls import variables
from tests.end_to_end.tunnel import Tunnel


def credential(site: Site, name: str, *more: str) -> dict[str, str]:
    """Make a credential and return what a hello shows of it."""
    done = site.manage("credentials", "add", name, *more)
    assert done.returncode == 0, done.stderr
    return {"name": name, "secret": done.stdout.strip()}


@pytest.fixture(scope="module")
def guarded(shared_site: Site) -> Site:
    """A bridge that takes records from senders with credentials only."""
    shared_site.start_bridge(HERALD_BRIDGE_CREDENTIALS="required", HERALD_LOG_LEVEL="INFO")
    return shared_site


def test_a_secret_is_shown_once_and_kept_as_a_hash(guarded: Site):
    shown = credential(guarded, "once")
    kept = guarded.sql("SELECT secret_hash FROM bridge_credential WHERE name = 'once'")[0][0]

    assert len(shown["secret"]) > 40
    assert shown["secret"] not in kept
    assert shown["secret"] not in guarded.manage("credentials", "list").stdout


def test_a_sender_with_a_credential_is_taken_and_seen(guarded: Site):
    with Client(guarded) as client:
        assert "error" not in client.hello(credentials=credential(guarded, "shop"))
        client.records(1, 5, "taken")
        client.acked(5)

    assert guarded.count("system_id = 'taken'") == 5
    assert "last seen" in guarded.manage("credentials", "list").stdout


@pytest.mark.parametrize("shown", [{}, {"name": "nobody", "secret": "x"}, {"name": "wrong", "secret": "x"}])
def test_who_shows_none_or_a_wrong_one_is_refused_and_learns_nothing(guarded: Site, shown: dict[str, str]):
    if shown.get("name") == "wrong":
        credential(guarded, "wrong")
    with Client(guarded) as client:
        told = client.hello(credentials=shown) if shown else client.hello()

        assert told["reason"] == ("wrong credentials" if shown else "no credentials")
        assert client.is_closed()
    assert rejected(guarded, str(told["reason"])) > 0
    assert "secret" not in str(guarded.sql("SELECT figures FROM bridge_bridgestatus"))


def test_a_stock_client_is_sent_away_where_credentials_are_required(guarded: Site):
    with guarded.connect() as client:
        client.sendall(frame("1", "stock"))
        until_closed(client)

    assert rejected(guarded, "no credentials") >= 1
    assert guarded.count("system_id = 'stock'") == 0


def test_a_sender_cannot_claim_another_s_system(guarded: Site):
    shown = credential(guarded, "billing", "--system", "billing", "--system", "pay.*")
    with Client(guarded) as client:
        client.hello(credentials=shown)
        for number, system in enumerate(["billing", "pay.web", "billing2", "shop", "PAY.web"], 1):
            client.numbered(number, record(str(number), system))
        told = client.acked(5)

    assert [(number[1], reason) for number, reason, _ in told] == [(n, "not its system") for n in (3, 4, 5)]
    assert guarded.count("system_id IN ('billing', 'pay.web')") == 2
    assert guarded.count("system_id IN ('billing2', 'shop', 'PAY.web')") == 0


def test_a_sender_id_belongs_to_the_credential_that_used_it_first(guarded: Site):
    with Client(guarded) as client:
        client.hello(credentials=credential(guarded, "first-user"))
        client.records(1, 5, "owned")
        client.acked(5)
    with Client(guarded, client.sender) as thief:
        told = thief.hello(credentials=credential(guarded, "thief"))
        assert told["reason"] == "not your sender"


def test_a_credential_that_is_removed_or_renewed_is_no_longer_good(guarded: Site):
    shown = credential(guarded, "leaver")
    assert guarded.manage("credentials", "renew", "leaver").returncode == 0
    with Client(guarded) as client:
        assert client.hello(credentials=shown)["reason"] == "wrong credentials"
    assert guarded.manage("credentials", "remove", "leaver").returncode == 0
    assert guarded.manage("credentials", "remove", "leaver").returncode == 1


def test_only_a_bridge_s_credential_hands_on_what_others_wrote(guarded: Site):
    as_bridge = {"kind": "bridge", "bridge": secrets.token_hex(16)}
    with Client(guarded) as client:
        told = client.hello(credentials=credential(guarded, "no-bridge"), **as_bridge)
        assert told["reason"] == "not a bridge"
    with Client(guarded) as client:
        assert "error" not in client.hello(credentials=credential(guarded, "bridge", "--bridge"), **as_bridge)
        client.numbered(1, json.dumps({"record": {"msg": "1", "SYSTEM_ID": "by", "name": "x"}, "origin": []}).encode())
        assert client.acked(1) == []

    assert guarded.count("system_id = 'by'") == 1


def test_bridges_meet_by_credentials(sites: Make):
    near, far = sites("near"), sites("far")
    far.start_bridge(HERALD_BRIDGE_CREDENTIALS="required")
    near.start_bridge()
    join(near, far)
    with near.connect() as client:
        client.sendall(frame("1", "svc"))
    wait_until(lambda: destination(near)["state"] == "refused")
    assert "senders with credentials only" in destination(near)["state_text"]
    shown = credential(far, "near", "--bridge")
    near.sql("UPDATE bridge_destination SET login = %s, secret = %s", shown["name"], shown["secret"])
    far.wait_for_rows(1, "system_id = 'svc'")

    assert far.rows("system_id = 'svc'")[0]["message"] == "1"


def test_rows_do_not_go_where_trust_is_too_low(sites: Make):
    near, far = sites("near"), sites("far")
    far.start_bridge(HERALD_BRIDGE_LEVEL="20")
    near.start_bridge()
    join(near, far)
    with near.connect() as client:
        client.sendall(frame("1", "svc"))
    wait_until(lambda: destination(near)["state"] == "refused")
    assert "level of trust is 20" in destination(near)["state_text"]
    assert far.count("system_id = 'svc'") == 0

    near.sql("UPDATE bridge_destination SET level = 20")
    far.wait_for_rows(1, "system_id = 'svc'")


DROPPED, MASKED, HASHED = "card-4111-1111", "Erika Mustermann", "customer-0815"


def bytes_of(site: Site) -> bytes:
    """Return all that a database holds of rows."""
    if "postgres" in site.database_url:
        return repr(site.sql("SELECT l::text FROM logs_log l")).encode()
    return b"".join(path.read_bytes() for path in site.directory.glob("herald.sqlite3*"))


def test_what_is_removed_at_one_level_of_trust_is_in_no_byte_that_reaches_the_next(sites: Make):
    near, middle, far = sites("near"), sites("middle"), sites("far")
    far.start_bridge(HERALD_BRIDGE_LEVEL="20")
    middle.start_bridge(HERALD_BRIDGE_LEVEL="40")
    near.start_bridge(HERALD_BRIDGE_LEVEL="80")
    with Tunnel(middle.bridge_port) as first, Tunnel(far.bridge_port) as second:
        to_middle = ("--level", "40", "--drop", "extra.card", "--hash", "user1")
        to_far = ("--level", "20", "--mask", "user2", "--query", "level:>=INFO")
        for site, tunnel, more in ((near, first, to_middle), (middle, second, to_far)):
            assert site.manage("destinations", "add", "next", f"127.0.0.1:{tunnel.port}", *more).returncode == 0
        with near.connect() as client:
            for number in range(50):
                client.sendall(
                    frame(
                        f"order {number} of {HASHED} ({MASKED}) paid by {DROPPED}",
                        "svc",
                        card=DROPPED,
                        USER_SPEC_1=HASHED,
                        USER_SPEC_2=MASKED,
                        exc_text=f'File "x.py"\nValueError: {{"name": "{MASKED}", "card": "{DROPPED}"}}',
                    )
                )
        far.wait_for_rows(50, "system_id = 'svc'")
        live = live_page(far)

    assert DROPPED.encode() in bytes_of(near)
    for value, seen in ((DROPPED, (first, second)), (HASHED, (first, second)), (MASKED, (second,))):
        for tunnel in seen:
            assert value.encode() not in tunnel.seen
    for value, seen_by in ((DROPPED, (middle, far)), (HASHED, (middle, far)), (MASKED, (far,))):
        for site in seen_by:
            assert value.encode() not in bytes_of(site)
        assert value not in live
    assert MASKED.encode() in first.seen
    assert "order 7 of h:" in live
    rows = far.rows("system_id = 'svc'")
    assert {row["flags"] for row in rows} == {"redacted"}
    by_near, by_middle = origins(far, "system_id = 'svc'")[0]
    assert {"user_spec_1 hashed", "extra.card dropped", "message scrubbed"} <= set(by_near["redacted"])
    assert "user_spec_2 masked" in by_middle["redacted"]
    # The same value has the same mark: rows of one customer can still be found together.
    marks = far.sql("SELECT DISTINCT user_spec_1 FROM logs_log WHERE system_id = 'svc'")
    assert len(marks) == 1
    assert marks[0][0].startswith("h:")


def live_page(site: Site) -> str:
    """Return what the log page of a site shows of its rows."""
    site.manage(
        "shell",
        "-v0",
        "-c",
        "from django.contrib.auth import get_user_model as m; m().objects.create_superuser('e', '', 'e')",
    )
    site.start_web()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    page = opener.open(f"{site.web}/login").read().decode()
    token = page.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
    body = urllib.parse.urlencode({"csrfmiddlewaretoken": token, "username": "e", "password": "e"}).encode()
    opener.open(urllib.request.Request(f"{site.web}/login", body, {"Referer": site.web})).read()
    deadline = time.monotonic() + 60
    told: Any = ""
    while "order 7" not in told and time.monotonic() < deadline:
        told = opener.open(f"{site.web}/?system_id=svc").read().decode()
    return str(told)


# --- Encrypted ways ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return make_papers(tmp_path_factory.mktemp("ca"))


def join_encrypted(near: Site, far: Site, port: str, papers: Papers, *more: str) -> None:
    done = near.manage(
        *("destinations", "add", "far", f"127.0.0.1:{port}", "--tls-ca", papers.ca, "--tls-server-name", NAME), *more
    )
    assert done.returncode == 0, done.stderr


def test_rows_go_on_encrypted_between_bridges_that_know_each_other(sites: Make, papers: Papers):
    near, far = sites("near"), sites("far")
    env = variables(papers, mutual=True)
    far.start_bridge(**env)
    near.start_bridge()
    with Tunnel(int(env["HERALD_BRIDGE_TLS_PORT"])) as tunnel:
        shown = ("--tls-certificate", str(papers.client.path), "--tls-key", str(papers.client.key))
        join_encrypted(near, far, str(tunnel.port), papers, *shown)
        with near.connect() as client:
            client.sendall(frames(2_000, "svc"))
        far.wait_for_rows(2_000, "system_id = 'svc'")

        assert [row["message"] for row in far.rows("system_id = 'svc'")] == [str(n) for n in range(2_000)]
        assert len(tunnel.seen) > 100_000
        assert b"svc" not in tunnel.seen


def test_a_bridge_whose_certificate_has_ended_gets_no_rows_and_it_is_said_why(sites: Make, papers: Papers):
    near, far = sites("near"), sites("far")
    env = variables(papers, server=papers.ended_server)
    far.start_bridge(**env)
    near.start_bridge()
    join_encrypted(near, far, env["HERALD_BRIDGE_TLS_PORT"], papers)
    wait_until(lambda: destination(near)["state"] == "refused")

    assert "certificate has expired" in destination(near)["state_text"]


def test_a_bridge_without_the_certificate_that_is_asked_for_is_told_so(sites: Make, papers: Papers):
    near, far = sites("near"), sites("far")
    env = variables(papers, mutual=True)
    far.start_bridge(**env)
    near.start_bridge()
    join_encrypted(near, far, env["HERALD_BRIDGE_TLS_PORT"], papers)
    wait_until(lambda: destination(near)["state"] in ("silent", "refused"))

    assert "certificate" in destination(near)["state_text"]


def test_a_certificate_is_bound_to_the_systems_of_its_credential_also_without_a_hello(sites: Make, papers: Papers):
    far = sites("far")
    credential(far, "shop", "--system", "shop.*")
    env = variables(papers, mutual=True) | {"HERALD_BRIDGE_CREDENTIALS": "required"}
    far.start_bridge(**env)
    with tls_connect(int(env["HERALD_BRIDGE_TLS_PORT"]), papers.client_context(papers.client)) as client:
        client.sendall(frames(3, "shop.web") + frames(3, "billing") + frames(2, "shop.app"))
        far.wait_for_rows(5, "system_id LIKE 'shop.%%'")

    assert rejected(far, "not its system") == 3
    assert far.count("system_id = 'billing'") == 0


def test_files_of_tls_that_cannot_be_used_are_refused_when_they_are_named(site: Site):
    done = site.manage("destinations", "add", "far", "127.0.0.1:9", "--tls-ca", "/nowhere/ca.pem")

    assert done.returncode == 1
    assert "there is no file /nowhere/ca.pem" in done.stderr
