from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from bridge import departures
from bridge.models import Departure
from tests.bridge.standing import destination

pytestmark = pytest.mark.django_db

HOSTILE = "<script>alert(1)</script>"
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def book(hour: datetime, rows: int, name: str = "far", *, redacted: int = 0, bridge: str = "b" * 32) -> None:
    Departure.objects.create(
        destination=name,
        address="10.0.0.1:9017",
        far_bridge=bridge,
        hour=hour.replace(minute=0, second=0, microsecond=0),
        rows=rows,
        bytes=100 * rows,
        redacted=redacted,
    )


def test_hours_are_summed_by_day_and_by_recipient(now: datetime):
    book(now, 5, redacted=2)
    book(now - HOUR, 10)
    book(now - DAY, 100, "near", bridge="c" * 32)
    destination(now, "near", far_bridge="c" * 32, far_name="head office")
    lately = departures.lately(now)

    assert departures.total(lately) == departures.Amount(115, 11_500, 2)
    days = [(line.start, line.amount.rows, line.amount.share) for line in departures.by_day(lately)]
    assert days == [
        (datetime(2026, 11, 22, tzinfo=UTC), 15, 15.0),
        (datetime(2026, 11, 21, tzinfo=UTC), 100, 100.0),
    ]
    to = [(line.recipient.destination, line.recipient.far_name, line.amount.rows) for line in recipients(now)]
    assert to == [("near", "head office", 100), ("far", "", 15)]
    assert recipients(now)[1].start == now - HOUR
    assert recipients(now)[1].end == now


def recipients(now: datetime) -> list[departures.Line]:
    return departures.by_recipient(departures.lately(now))


def test_a_day_is_told_hour_by_hour_and_ends_at_midnight(now: datetime):
    midnight = now.replace(hour=0)
    for hour, rows in ((midnight - HOUR, 1), (midnight, 2), (midnight + 23 * HOUR, 3), (midnight + DAY, 4)):
        book(hour, rows)

    assert [line.amount.rows for line in departures.by_hour(date(2026, 11, 22))] == [3, 2]


def test_what_left_more_than_thirty_days_ago_is_not_told_but_by_its_day(now: datetime):
    book(now - 29 * DAY, 1)
    book(now - 30 * DAY, 2)

    assert departures.total(departures.lately(now)).rows == 1
    assert [line.amount.rows for line in departures.by_hour((now - 30 * DAY).date())] == [2]


def test_one_destination_can_be_looked_at_alone(now: datetime):
    book(now, 1, "far")
    book(now, 2, "near")

    assert departures.total(departures.lately(now, "near")).rows == 2
    assert [line.amount.rows for line in departures.by_hour(now.date(), "near")] == [2]


# --- The page -------------------------------------------------------------------------------------------------------


def test_the_page_tells_to_whom_when_and_how_much(admin_client: Client):
    now = timezone.now()
    book(now, 1_234, redacted=56)
    page = admin_client.get("/departures").content.decode()

    assert f'href="?day={now:%Y-%m-%d}#hours"' in page
    assert "1,234" in page
    assert "<dt>Redacted rows</dt><dd>56</dd>" in page
    assert "10.0.0.1:9017" in page
    assert "hour by hour" not in page
    assert f"{now:%H}:00</td>" in admin_client.get(f"/departures?day={now:%Y-%m-%d}").content.decode()


def test_an_empty_page_tells_the_next_step(admin_client: Client, now: datetime):
    assert "manage.py destinations add" in admin_client.get("/departures").content.decode()
    destination(now)
    assert "no row has gone there in these days" in admin_client.get("/departures").content.decode()
    assert "Nothing left on this day" in admin_client.get("/departures?day=2026-01-31").content.decode()


@pytest.mark.parametrize(
    "day", ["yesterday", "2026-02-30", "0001-01-01", "9999-12-31", "2026-01-01T00:00", "%00", HOSTILE]
)
def test_what_is_no_day_is_answered_with_a_sentence(admin_client: Client, day: str):
    answer = admin_client.get("/departures", {"day": day})

    assert answer.status_code == 400
    assert "is no day. A day is written as 2026-01-31" in answer.content.decode()
    assert HOSTILE not in answer.content.decode()


def test_names_of_strangers_are_text(admin_client: Client):
    now = timezone.now()
    book(now, 1, HOSTILE, bridge=f"{HOSTILE}\u202e")
    destination(now, far_bridge="d" * 32, far_name=f"{HOSTILE}\u202e")
    book(now, 2, bridge="d" * 32)
    page = admin_client.get("/departures", {"day": f"{now:%Y-%m-%d}", "destination": ""}).content.decode()

    assert HOSTILE not in page
    assert "\u202e" not in page
    assert page.count("&lt;script&gt;") >= 6
    assert HOSTILE not in admin_client.get("/departures", {"destination": HOSTILE}).content.decode()


def test_however_much_left_the_page_asks_as_few_questions(admin_client: Client):
    now = timezone.now()

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            admin_client.get(f"/departures?day={now:%Y-%m-%d}")
        return len(queries)

    book(now, 1)
    few = asked()
    for number in range(300):
        book(now, number, f"to-{number}")

    assert asked() == few
    page = admin_client.get(f"/departures?day={now:%Y-%m-%d}").content.decode()
    assert page.count("<tr>") < 2 * departures.LISTED + 40


def test_a_stranger_does_not_learn_what_left(client: Client):
    assert client.get("/departures", headers={"accept": "text/html"})["Location"].startswith("/login")
