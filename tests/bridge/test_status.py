from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from bridge import forward, status
from bridge.models import BridgeStatus
from bridge.status import Figures, Identity, State
from bridge.views import page
from logs import store
from logs.models import ReaderPosition, RetentionPolicy
from tests.bridge.standing import destination, hop
from tests.logs.records import record

pytestmark = pytest.mark.django_db

HOSTILE = "<script>alert(1)</script>{{ settings.SECRET_KEY }}"


def identity(now: datetime, port: int = 9020) -> Identity:
    return Identity("web-3", port, f"127.0.0.1:{port}", 4711, now)


def figures(**changes: Any) -> dict[str, Any]:
    found = Figures()
    for name, value in changes.items():
        setattr(found, name, value)
    return found.as_dict(queue_frames=3, queue_bytes=2_048)


def test_a_bridge_has_one_row_however_often_it_writes(now: datetime):
    status.save(identity(now), figures(received=1), now)
    status.save(identity(now), figures(received=2), now + timedelta(seconds=2))
    (bridge,) = status.report(now + timedelta(seconds=3))

    assert (bridge.name, bridge.figures["received"], bridge.age) == ("web-3:9020", 2, timedelta(seconds=1))


@pytest.mark.parametrize(
    ("age", "stopped", "state"),
    [(0, False, State.RUNNING), (10, False, State.RUNNING), (11, False, State.SILENT), (0, True, State.STOPPED)],
)
def test_a_bridge_is_running_silent_or_stopped(now: datetime, age: int, stopped: bool, state: State):
    status.save(identity(now), figures(), now, stopped=stopped)

    assert status.report(now + timedelta(seconds=age))[0].state is state


def test_bridges_of_last_week_are_forgotten(now: datetime):
    status.save(identity(now, 1), figures(), now - timedelta(days=8))
    status.save(identity(now, 2), figures(), now - timedelta(days=6))
    status.forget_old(now)

    assert list(BridgeStatus.objects.values_list("name", flat=True)) == ["web-3:2"]


def test_samples_are_bounded_and_inert(now: datetime):
    counted = Figures()
    for number in range(50):
        counted.reject("malformed", f"\x1b[31m\u202e {number}", peer="10.0.0.7", data=b"\xff<b>" * 100, at=now)
    told = counted.as_dict(queue_frames=0, queue_bytes=0)

    assert told["rejected"] == {"malformed": 50}
    assert [sample["detail"][-2:] for sample in told["samples"]] == [str(number) for number in range(30, 50)]
    assert all(text.isprintable() and text.isascii() for sample in told["samples"] for text in [sample["detail"]])
    assert told["samples"][0]["bytes"].startswith(r"\xff<b>")
    assert len(told["samples"][0]["bytes"]) < 400


def test_no_bridge_at_all_is_said_with_the_next_step():
    assert status.lines([]) == ["no bridge has run yet: `manage.py run_bridge` starts one"]


def test_what_is_told_on_the_terminal_names_trouble_and_what_holds_it_up(now: datetime):
    found = figures(trouble="database is locked", holds=["queue is full"], last_error={"at": "now", "text": "oh"})
    status.save(identity(now), found, now)
    told = "\n".join(status.lines(status.report(now)))

    assert "TROUBLE    database is locked" in told
    assert "(now: queue is full)" in told
    assert "waiting    3 records, 2,048 bytes" in told


# --- The page ----------------------------------------------------------------------------------------------------


def test_the_page_tells_how_long_rows_are_kept_and_renews_itself(admin_client: Client):
    answer = admin_client.get("/status")

    assert answer["Refresh"] == "5"
    assert "Rows are kept 30 days" in answer.content.decode()
    assert "No bridge has run yet" in answer.content.decode()


def test_what_strangers_sent_is_text_on_the_page(admin_client: Client, now: datetime):
    counted = Figures()
    counted.reject("malformed", HOSTILE, peer="10.0.0.7", data=HOSTILE.encode(), at=now)
    status.save(identity(now), counted.as_dict(queue_frames=0, queue_bytes=0), now)
    shown = admin_client.get("/status").content.decode()

    assert "<script>alert" not in shown
    assert shown.count("&lt;script&gt;alert(1)&lt;/script&gt;{{ settings.SECRET_KEY }}") == 2


def test_a_silent_bridge_and_its_trouble_are_alerts(admin_client: Client, now: datetime):
    status.save(identity(now), figures(trouble="no such table: logs_log"), now - timedelta(days=400))
    shown = admin_client.get("/status").content.decode()

    assert "No word for" in shown
    assert "The database takes no records: no such table: logs_log" in shown


def test_a_full_disk_is_an_alert(admin_client: Client, settings):
    settings.DISK_FREE_MIN_PERCENT = 101.0
    shown = admin_client.get("/status").content.decode()

    assert page()["is_full"] is (page()["room"] is not None)
    assert ("herald takes no more records until there is room" in shown) is page()["is_full"]


def test_a_stranger_sees_no_status(client: Client):
    answer = client.get("/status", headers={"accept": "text/html"})

    assert answer.status_code == 302
    assert answer["Location"].startswith("/login")


def test_the_page_tells_what_is_kept_for_how_long_how_much_and_who_missed_rows(client: Client, settings):
    settings.SIZE_MAX_GB = 0.5
    RetentionPolicy.objects.create(name="errors <i>", query="level:>=ERROR", age=timedelta(days=365))
    RetentionPolicy.objects.create(name="off", query="x", age=timedelta(days=1), enabled=False)
    ReaderPosition.objects.create(name="neelix", position="0.0", cut=1_204)
    client.force_login(get_user_model().objects.create_user("ada"), "django.contrib.auth.backends.ModelBackend")

    shown = " ".join(client.get("/status").content.decode().split())

    assert "<td>errors &lt;i&gt;</td><td><code><bdi>level:&gt;=ERROR</bdi></code></td><td>365 days</td>" in shown
    assert "<td>HERALD_RETENTION_DAYS</td><td>all others</td><td>30 days</td>" in shown
    assert "<td>off</td>" not in shown
    assert "of the 476.8 MB it may (HERALD_SIZE_MAX_GB=0.5)" in shown
    assert "1,204 rows were deleted before neelix had read them." in shown
    assert "/prune" not in shown


# --- Where rows go on to, and where they come from -----------------------------------------------------------------


def shown(client: Client) -> str:
    page = client.get("/status").content.decode()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_a_destination_is_told_with_all_that_matters(admin_client: Client):
    now = timezone.now()
    destination(
        now,
        dropped="exc_text",
        masked="message",
        level=40,
        waiting=12_345,
        lag_seconds=130,
        rejected=7,
        error="the connection broke (reset)",
        error_at=now - timedelta(minutes=3),
    )
    page = shown(admin_client)

    for text in (
        "head-office connected since",
        "herald at 127.0.0.1:9017",
        "head office , level 50 (40 is asked for); its clock is 2.1 s ahead",
        "12,345, the oldest for 2 min",
        "1,234 rows",
        "Rejected there 7 rows",
        "3 min ago : the connection broke (reset)",
        "exc_text dropped, message masked",
    ):
        assert text in page


def test_trouble_is_counted_at_the_top_and_in_words(admin_client: Client):
    now = timezone.now()
    destination(now, "one", state="unreachable")
    destination(now, "two", state="silent")
    destination(now, "three")
    hop(now, "gone-one", connected=False)
    page = shown(admin_client)

    assert "3 destinations 2 in trouble" in page
    assert "1 bridge that sends here 1 in trouble" in page
    assert "one tunnel down" in page
    assert "two bridge down" in page
    assert "gone-one gone" in page
    assert "No bridge of this site runs, so none of these is heard" in page


@pytest.mark.django_db(transaction=True)  # on PostgreSQL a row is read once its transaction has ended
def test_rows_that_wait_are_counted_where_nobody_forwards(admin_client: Client):
    now = timezone.now()
    waiting = destination(now, held_until=None, updated=now - timedelta(hours=1), waiting=0)
    forward.begin(waiting)
    waiting.save()
    store.append([record("one"), record("two")])
    page = shown(admin_client)

    assert "no bridge forwards" in page
    assert "Waiting 2, the oldest for" in page


def test_an_incoming_bridge_is_told_with_its_lag_and_those_behind_it(admin_client: Client):
    now = timezone.now()
    hop(now, "branch")
    hop(now, "till", via="branch")
    page = shown(admin_client)

    assert "branch up" in page
    assert "lay there 1.2 s, on the way 100 ms" in page
    assert "its clock is 3.2 s behind" in page
    assert "till up behind branch" in page


def test_without_either_the_page_says_so(admin_client: Client):
    page = shown(admin_client)

    assert "manage.py destinations add NAME HOST:PORT" in page
    assert "No other bridge sends its rows here" in page


def test_what_other_bridges_call_themselves_is_text(admin_client: Client):
    now = timezone.now()
    destination(now, far_name=HOSTILE + "\u202e", error=HOSTILE, error_at=now, query=HOSTILE, masked=HOSTILE)
    destination(now, "refused", state="refused", state_text=HOSTILE)
    hop(now, HOSTILE, peer=HOSTILE)
    hop(now, HOSTILE + "2", via=HOSTILE)
    page = admin_client.get("/status").content.decode()

    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert page.count("&lt;script&gt;alert(1)") >= 8


def test_repeated_records_and_gaps_are_counted(admin_client: Client):
    now = timezone.now()
    status.save(identity(now), figures(repeated=1_500, gaps=2), now)
    page = shown(admin_client)

    assert "1,500 sent again, stored once" in page
    assert "Gaps 2: senders were acknowledged what this database does not hold" in page


def test_a_bridge_of_an_older_herald_is_shown_too(admin_client: Client):
    now = timezone.now()
    old = figures()
    del old["repeated"], old["gaps"]
    status.save(identity(now), old, now)

    assert "0 sent again, stored once" in shown(admin_client)


def test_the_page_asks_no_more_for_many_destinations_that_are_forwarded_for(admin_client: Client):
    now = timezone.now()

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            admin_client.get("/status")
        return len(queries)

    destination(now, "first")
    hop(now, "first")
    few = asked()
    for number in range(20):
        destination(now, f"to-{number}")
        hop(now, f"from-{number}")

    assert asked() == few
