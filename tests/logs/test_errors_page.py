"""The Errors page, the page of one error, and who may decide."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from logs.models import Log, Pattern
from logs.patterns import decisions
from logs.patterns.finding import ORDERS, STATES, Choice, find
from logs.patterns.keeping import PatternReader
from logs.patterns.showing import chart, pieces
from logs.readers import read_on
from logs.store import append
from tests.logs.records import Answer, record
from tests.logs.test_patterns import TRACEBACK

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture
def anna(client: Client) -> Client:
    client.force_login(User.objects.create_user("anna"), BACKEND)
    return client


@pytest.fixture
def boss(client: Client) -> Client:
    """Somebody who may decide, at a browser that insists on CSRF tokens as real ones do."""
    person = User.objects.create_user("boss")
    person.user_permissions.add(Permission.objects.get(codename="change_pattern"))
    client.handler.enforce_csrf_checks = True
    client.force_login(person, BACKEND)
    return client


def text(answer: Answer) -> str:
    return unescape(answer.content.decode())


def templates(answer: Answer) -> list[str]:
    found = re.findall(r'<a class="template".*?<bdi>(.*?)</bdi>', answer.content.decode(), re.DOTALL)
    return [unescape(re.sub("<.*?>", "", each)) for each in found]


def happened(*messages: str, at: datetime | None = None, **fields: Any) -> None:
    append([record(message, at=at, **{"levelno": 40, "levelname": "ERROR"} | fields) for message in messages])
    while read_on(PatternReader()):
        pass


def decide(client: Client, number: int, **data: str) -> Answer:
    form = client.get(f"/errors/{number}").content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
    assert token is not None
    return client.post(f"/errors/{number}", data | {"csrfmiddlewaretoken": token[1]})


# --- The list -------------------------------------------------------------------------------------------------------


def test_an_empty_page_tells_the_next_step(anna: Client):
    assert "No errors yet" in text(anna.get("/errors"))
    happened("payment 1 failed")
    decisions.ignore(Pattern.objects.get().pk, by="anna", now=timezone.now())
    assert "No error is open." in text(anna.get("/errors"))
    assert "No errors fit" in text(anna.get("/errors?state=resolved"))


def test_each_pattern_is_one_entry_with_what_people_look_for(anna: Client):
    now = timezone.now()
    happened(*[f"payment {n} failed" for n in range(1_200)], at=now - 3 * HOUR, package_version="1.4")
    happened("payment 7 failed", at=now - 5 * MINUTE, package_version="1.6", exc_text="")
    page = text(anna.get("/errors"))

    assert templates(anna.get("/errors")) == ["payment <num> failed"]
    for told in ("1,201", "5 min ago", "first 3 h ago", "1.4 → 1.6", "ERROR", "shop"):
        assert told in page, told
    assert 'aria-label="1,201 in the last 7 days' in page
    assert 'aria-current="page">Errors' in page


def test_those_that_came_back_are_first_then_the_newest(anna: Client):
    now = timezone.now()
    happened("a broke", at=now - 5 * DAY)
    decisions.resolve(Pattern.objects.get().pk, by="anna", now=now - 4 * DAY)
    happened("a broke", at=now - 3 * DAY)
    happened("b broke", at=now - 2 * DAY)
    happened("c broke", at=now - DAY)

    assert templates(anna.get("/errors")) == ["a broke", "c broke", "b broke"]
    assert text(anna.get("/errors")).count(">regressed<") == 1
    assert templates(anna.get("/errors?state=regressed")) == ["a broke"]


def test_states_words_and_systems_narrow_the_list(anna: Client):
    happened("payment 1 failed", "CARD declined in Köln")
    happened("payment 1 failed", system_id="billing")
    happened("it broke", system_id="cron", exc_text=TRACEBACK)
    decisions.ignore(Pattern.objects.get(system_id="billing").pk, by="anna", now=timezone.now())

    assert templates(anna.get("/errors?text=PAYMENT")) == ["payment <num> failed"]
    assert templates(anna.get("/errors?text=KÖLN+card")) == ["CARD declined in Köln"]
    assert templates(anna.get("/errors?text=100%25")) == []
    assert templates(anna.get("/errors?text=charge.py+sslcert")) == ["it broke"]
    assert len(templates(anna.get("/errors?system=shop"))) == 2
    assert len(templates(anna.get("/errors?state=ignored"))) == 1
    assert len(templates(anna.get("/errors?state=all"))) == 4


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("state", STATES)
def test_pages_follow_one_another_without_gap_or_double(order: str, state: str):
    now = timezone.now()
    words = [f"{a}{b}" for a in "abcdef" for b in "ghijk"]
    for number, word in enumerate(words):
        happened(*[f"{word} broke"] * (1 + number % 3), at=now - (number // 4) * HOUR)
    for number, pattern in enumerate(Pattern.objects.order_by("id")):
        if number % 3 == 1:
            decisions.resolve(pattern.pk, by="anna", now=now - DAY)
        if number % 3 == 2:
            decisions.ignore(pattern.pk, by="anna", now=now)
    happened(*[f"{word} broke" for word in words[::4]], at=now)
    person = User(username="anna")

    whole = find(person, Choice(state=state, order=order), limit=1_000)
    found, after = [], None
    while True:
        page = find(person, Choice(state=state, order=order, after=after), limit=4)
        found += page.patterns
        after = page.after
        if after is None:
            break

    assert found == whole.patterns
    assert len({pattern.pk for pattern in found}) == len(found) >= (1 if state == "regressed" else 5)


def test_a_page_says_where_the_next_one_is(anna: Client):
    happened(*[f"{a}{b} broke" for a in "abcdefgh" for b in "ijklmnop"])
    first = anna.get("/errors")
    following = re.search(r'rel="next" href="([^"]+)"', first.content.decode())
    assert following is not None
    second = anna.get("/errors" + unescape(following[1]))

    assert (len(templates(first)), len(templates(second))) == (50, 14)
    assert 'rel="prev" href="?"' in second.content.decode()


@pytest.mark.parametrize(
    "query",
    ["state=odd", "order=odd", "after=1", "after=1.2.x", "after=1." + "9" * 19 + ".1", "text=" + "x" * 300, "text=%00"],
)
def test_a_choice_that_makes_no_sense_is_told_in_a_sentence(anna: Client, query: str):
    happened("payment 1 failed")
    answer = anna.get(f"/errors?{query}")

    assert answer.status_code == 400
    assert 'role="alert"' in text(answer)


def test_a_reader_that_does_not_run_is_told(anna: Client):
    append([record("payment 1 failed", levelno=40, at=timezone.now() - HOUR)])
    page = text(anna.get("/errors"))

    assert "about 1 record waits for 1 h" in page
    assert "manage.py run_readers" in page


def test_a_reader_that_catches_up_says_how_far_it_is(anna: Client):
    append([record(f"payment {n} failed", levelno=40, at=timezone.now() - HOUR) for n in range(9)])
    read_on(PatternReader(), 2)

    assert "about 7 records to go, 1 h behind" in text(anna.get("/errors"))


# --- One ------------------------------------------------------------------------------------------------------------


def test_one_error_shows_samples_versions_and_its_own_frames(anna: Client):
    happened("charge 7 failed", exc_text=TRACEBACK, package_version="1.4")
    happened("charge 8 failed", exc_text=TRACEBACK, package_version="1.5")
    pattern = Pattern.objects.get()
    answer = anna.get(f"/errors/{pattern.pk}")
    page = text(answer)

    for told in ("charge 7 failed", "charge 8 failed", "1.4", "1.5", "billing/charge.py in charge_card"):
        assert told in page, told
    assert "ssl.SSLCertVerificationError" in page
    assert re.search(r'<bdi class="own">\s+File "/srv/shop/releases/20261122/billing/charge.py"', page)
    assert re.search(r'<bdi class="library">\s+File "/usr/lib/python3.11/ssl.py"', page)
    number = Log.objects.order_by("id").first()
    assert number is not None
    assert f'href="/log/{number.pk}"' in page


def test_the_search_it_leads_to_shows_its_records(anna: Client):
    happened("charge 7 of customer 9 failed badly", "charge 8 of customer 1 failed badly", "another")
    pattern = Pattern.objects.get(template__startswith="charge")
    link = re.search(r'href="(/\?[^"]+)">Search for its records', anna.get(f"/errors/{pattern.pk}").content.decode())
    assert link is not None
    rows = text(anna.get(unescape(link[1])))

    assert "charge 7 of" in rows
    assert "charge 8 of" in rows
    assert "another" not in rows


@pytest.mark.parametrize("number", [77, 2**63, 10**30])
def test_one_that_is_not_there_is_told(anna: Client, number: int):
    assert anna.get(f"/errors/{number}").status_code == 404


HOSTILE = "<script>alert(1)</script> {{ 7|add:1 }} \u202egnp\x1b[31m <img src=x onerror=y> & \"x\" 'y'"


def test_hostile_text_is_text(anna: Client):
    happened(
        HOSTILE,
        system_id=HOSTILE[:150],
        package_version=HOSTILE[:150],
        name=HOSTILE,
        exc_text=HOSTILE,
        funcname=HOSTILE,
    )
    happened(
        HOSTILE + "!", system_id="2", exc_text=TRACEBACK.replace("charge_card", HOSTILE).replace("charge.py", "<b>.py")
    )
    paths = ["/errors", "/errors?text=<script>", *(f"/errors/{pattern.pk}" for pattern in Pattern.objects.all())]
    for path in paths:
        page = anna.get(path).content.decode()
        assert not re.search(r"<script>|<img|<b>|\u202e|\x1b", page), path
        assert "<script src=" in page
    assert "&lt;script&gt;" in anna.get(paths[2]).content.decode()


# --- Deciding -------------------------------------------------------------------------------------------------------


def test_deciding_needs_the_permission_and_without_it_no_buttons_are_offered(anna: Client):
    happened("payment 1 failed")
    number = Pattern.objects.get().pk

    assert "csrfmiddlewaretoken" not in anna.get(f"/errors/{number}").content.decode().partition("<main")[2]
    assert anna.post(f"/errors/{number}", {"action": "resolve"}).status_code == 403
    assert Pattern.objects.get().state == "open"


def test_deciding_needs_a_token(boss: Client):
    happened("payment 1 failed")
    number = Pattern.objects.get().pk

    assert boss.post(f"/errors/{number}", {"action": "resolve"}).status_code == 403
    assert Pattern.objects.get().state == "open"


def test_an_error_is_resolved_ignored_and_reopened(boss: Client):
    happened("payment 1 failed", package_version="1.4")
    number = Pattern.objects.get().pk

    answer = decide(boss, number, action="resolve", version=" 1.5 ")
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/errors/{number}")
    found = Pattern.objects.get()
    assert (found.state, found.resolved_in, found.decided_by) == ("resolved", "1.5", "boss")
    page = text(boss.get(f"/errors/{number}"))
    assert "in version <bdi>1.5</bdi>" in page
    assert "Resolved." in page

    decide(boss, number, action="ignore")
    assert Pattern.objects.get().state == "ignored"
    decide(boss, number, action="reopen")
    assert Pattern.objects.get().state == "open"
    assert "reopened it" in text(boss.get(f"/errors/{number}"))


def test_an_action_that_does_not_exist_is_refused_in_a_sentence(boss: Client):
    happened("payment 1 failed")
    answer = decide(boss, Pattern.objects.get().pk, action="explode")

    assert answer.status_code == 400
    assert "only resolve, ignore, reopen" in text(answer)


def test_one_that_came_back_says_who_had_resolved_it_and_where_it_came_back(boss: Client):
    now = timezone.now()
    happened("payment 1 failed", at=now - 2 * HOUR, package_version="1.4")
    decisions.resolve(Pattern.objects.get().pk, by="anna", now=now - HOUR, version="1.5")
    happened("payment 2 failed", at=now, package_version="1.6")
    page = text(boss.get(f"/errors/{Pattern.objects.get().pk}"))

    assert "in version <bdi>1.6</bdi>" in page
    assert re.search(r"<bdi>anna</bdi> had resolved it in <bdi>1.5</bdi>", page)


# --- Small things ---------------------------------------------------------------------------------------------------


def test_a_chart_has_a_bar_for_each_stretch_with_something_in_it(now: datetime):
    hour = int(now.timestamp()) // 3_600
    found = chart([[hour - 200, 5], [hour - 3, 1], [hour, 100]], now, step=1, bar=4, height=60)

    assert found.path.count("M") == 2
    assert found.path == "M656 60v-1h3v1zM668 60v-60h3v60z"
    assert (found.width, found.told) == (672, "101 in the last 7 days, at most 100 in an hour")
    assert chart([], now, step=3, bar=2, height=20).told == "none in the last 7 days"


def test_a_template_in_pieces_is_the_template():
    found = pieces("payment <num> of <Order …> failed <script>")
    assert "".join(piece.text for piece in found) == "payment <num> of <Order …> failed <script>"
    assert [piece.text for piece in found if piece.slot] == ["<num>", "<Order …>"]
