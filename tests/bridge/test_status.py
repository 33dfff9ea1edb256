from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from bridge import status
from bridge.models import BridgeStatus
from bridge.status import Figures, Identity, State
from bridge.views import page
from logs.models import ReaderPosition, RetentionPolicy

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
