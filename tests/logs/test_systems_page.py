from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from logs.store import append
from logs.systems import PER_PAGE
from logs.systems_page import HEIGHT, spark
from tests.logs.records import Answer, record

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
HOSTILE = "<script>alert(1)</script>\u202e{{ settings.SECRET_KEY }}"


@pytest.fixture
def ada(client: Client) -> Client:
    client.force_login(get_user_model().objects.create_user("ada"), "django.contrib.auth.backends.ModelBackend")
    return client


def text(answer: Answer) -> str:
    return " ".join(answer.content.decode().split())


def shown(answer: Answer) -> list[str]:
    return re.findall(r"<h2>(?:<a [^>]*>)?<bdi>(.*?)</bdi>", text(answer))


def test_nobody_sees_it_without_an_account(client: Client):
    assert client.get("/systems").status_code == 403


def test_a_system_is_shown_with_age_levels_host_and_version_and_leads_into_the_search(ada: Client):
    now = timezone.now()
    append(
        [
            record(at=now - 5 * MINUTE, system_id="shop & co", package_version="1.4.1", levelno=40),
            record(at=now - 3 * MINUTE, system_id="shop & co", package_version="1.4.2"),
        ]
    )

    page = text(ada.get("/systems"))

    assert '<a href="/?q=system%3A%22shop+%26+co%22"><bdi>shop &amp; co</bdi></a>' in page
    assert '<a href="/?q=system%3A%22shop+%26+co%22+level%3A%3E%3DERROR&amp;last=1h">' in page
    assert '<a href="/?q=system%3A%22shop+%26+co%22+host%3A%22web-1%22"><bdi>web-1</bdi></a>' in page
    assert ">3 min ago</time>" in page
    assert "<b><bdi>1.4.2</bdi></b>" in page
    assert 'aria-label="2 records in the last 6 h, ' in page
    assert "1 at ERROR and above" in page
    assert '<a href="/systems" aria-current="page">Systems</a>' in page


def test_every_link_of_the_page_leads_to_a_page(ada: Client):
    append([record(system_id="a", levelno=50), record(system_id="None", sub_system_id="undef"), record(system_id="b")])

    page = ada.get("/systems").content.decode()
    links = {link.replace("&amp;", "&") for link in re.findall(r'href="(/(?:systems)?\?[^"]*)"', page)}

    assert len(links) > 5
    assert {link: ada.get(link).status_code for link in links} == dict.fromkeys(links, 200)


def test_hostile_names_are_text(ada: Client):
    append([record(system_id=HOSTILE, sub_system_id=HOSTILE, package_version=HOSTILE)])

    page = text(ada.get("/systems", {"text": HOSTILE}))

    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 3
    assert "<script>alert" not in page
    assert "\u202e" not in page.partition("<main")[2].replace(HOSTILE, "").partition('class="said-line"')[2]
    assert "⟦U+202E⟧" in page


def test_who_herald_does_not_know_yet_is_told_how_to_send_the_first_record(ada: Client):
    empty = text(ada.get("/systems"))
    append([record(system_id="shop")])

    assert "SocketHandler(" in empty
    assert "No system" in empty
    assert "SocketHandler(" not in text(ada.get("/systems"))


def test_many_hosts_are_folded_under_their_number_and_their_versions(ada: Client):
    append([record(sub_system_id=f"h{n}", package_version=f"1.{n % 5}") for n in range(12)])

    assert "<summary>12 hosts, version <bdi>1.0, 1.1, 1.2 and 2 more</bdi></summary>" in text(ada.get("/systems"))


def test_retired_hosts_are_behind_a_link(ada: Client):
    now = timezone.now()
    append([record(at=now - 8 * DAY, system_id="old"), record(at=now, system_id="new")])
    page = ada.get("/systems")

    assert shown(page) == ["new"]
    assert '<a href="/systems?retired=1">1 host not heard of for 7 days</a>' in text(page)
    assert shown(ada.get("/systems?retired=1")) == ["old"]


def test_the_order_the_filter_and_the_page_are_in_the_address(ada: Client):
    append([record(system_id=f"s{n:03}") for n in range(PER_PAGE + 5)])

    assert shown(ada.get("/systems?text=S00")) == [f"s00{n}" for n in range(10)]
    first = ada.get("/systems?text=s&sort=errors")
    assert 'href="/systems?text=s&amp;sort=errors&amp;page=1"' in text(first)
    assert len(shown(ada.get("/systems?text=s&sort=errors&page=1"))) == 5


@pytest.mark.parametrize(
    "query", ["sort=loud", "page=-1", "page=99999999999", "page=x", "text=%00", "text=" + "x" * 5_000]
)
def test_an_address_that_is_not_understood_shows_the_systems_all_the_same(ada: Client, query: str):
    assert ada.get(f"/systems?{query}").status_code == 200


def test_it_renews_itself_only_for_who_asked_for_it(ada: Client):
    assert "Refresh" not in ada.get("/systems")
    live = ada.get("/systems?live=1")
    assert live["Refresh"] == "10"
    assert '<a href="/systems">stop</a>' in text(live)


def test_systems_beyond_the_bound_are_one_line_without_a_link(ada: Client, settings):
    settings.SYSTEMS_MAX = 1
    append([record(system_id="a"), record(system_id="b"), record(system_id="c")])

    page = text(ada.get("/systems"))

    assert "<h2><bdi>(other)</bdi></h2>" in page
    assert "All beyond the first 1 systems and hosts" in page


def test_bars_are_drawn_to_scale_and_the_smallest_is_seen(now: datetime):
    drawn = spark([0, 1, 50, 100], [0, 0, 0, 1])

    assert drawn.rows == f"M3 {HEIGHT}v-1.5h2v1.5zM6 24v-12h2v12zM9 24v-24h2v24z"
    assert drawn.errors == "M9 24v-1.5h2v1.5z"
    assert spark([0, 0], [0, 0]).rows == ""
