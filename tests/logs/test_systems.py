from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from logs import store
from logs.models import LogCount, SystemVersion
from logs.store import append
from logs.systems import BUCKETS, PER_PAGE, RETIRED_AFTER, Host, Overview, Sort, overview
from tests.logs.records import record

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def heard(at: datetime, system: str = "shop", host: str = "web-1", version: str = "", **fields: Any) -> None:
    append([record(at=at, system_id=system, sub_system_id=host, package_version=version, **fields)])


def names(found: Overview) -> list[str]:
    return [system.name for system in found.systems]


def host_of(found: Overview) -> Host:
    (system,) = found.systems
    (host,) = system.hosts
    return host


# --- Which ones ------------------------------------------------------------------------------------------------------


def test_systems_have_their_hosts_the_one_heard_of_last_first(now: datetime):
    heard(now - HOUR, host="web-1")
    heard(now - MINUTE, host="web-2")
    heard(now, "till", "desk")

    found = overview(now)

    assert names(found) == ["shop", "till"]
    assert [(host.name, host.newest) for host in found.systems[0].hosts] == [
        ("web-2", now - MINUTE),
        ("web-1", now - HOUR),
    ]


def test_hosts_silent_for_seven_days_are_counted_and_shown_only_to_who_asks(now: datetime):
    heard(now - RETIRED_AFTER - MINUTE, "old", "a")
    heard(now - RETIRED_AFTER - MINUTE, "shop", "gone")
    heard(now - RETIRED_AFTER + MINUTE, "shop", "here")

    found, retired = overview(now), overview(now, retired=True)

    assert [(system.name, [host.name for host in system.hosts]) for system in found.systems] == [("shop", ["here"])]
    assert found.retired == 2
    assert [(system.name, [host.name for host in system.hosts]) for system in retired.systems] == [
        ("old", ["a"]),
        ("shop", ["gone"]),
    ]


def test_systems_are_sorted_by_name_by_the_last_sign_of_life_or_by_errors(now: datetime):
    heard(now - MINUTE, "b", levelno=40)
    heard(now - 2 * MINUTE, "A", levelno=50)
    heard(now - 2 * MINUTE, "A", levelno=40)
    heard(now, "c")

    assert names(overview(now)) == ["A", "b", "c"]
    assert names(overview(now, sort=Sort.SEEN)) == ["c", "b", "A"]
    assert names(overview(now, sort=Sort.ERRORS)) == ["A", "b", "c"]


def test_a_text_finds_systems_with_all_their_hosts_and_hosts_alone(now: datetime):
    heard(now, "Übung", "web-1")
    heard(now, "Übung", "web-2")
    heard(now, "shop", "web-2")

    assert [len(system.hosts) for system in overview(now, text=" ÜBUNG").systems] == [2]
    found = overview(now, text="EB-2")
    assert [(system.name, len(system.hosts)) for system in found.systems] == [("shop", 1), ("Übung", 1)]
    assert overview(now, text="nowhere").number == 0


def test_many_systems_come_in_pages_of_a_hundred_with_a_handful_of_queries(now: datetime):
    append([record(at=now, system_id=f"s{n:03}", package_version="1") for n in range(250)])

    with CaptureQueriesContext(connection) as queries:
        found = overview(now, first=2 * PER_PAGE)

    assert (found.number, len(found.systems), found.systems[0].name) == (250, 50, "s200")
    assert len(queries) <= 5
    assert not any('FROM "logs_log"' in query["sql"] for query in queries)


@pytest.mark.parametrize(("systems", "known"), [(["herald.bridge"], False), (["herald.bridge", "shop"], True)])
def test_herald_alone_is_nobody_yet(now: datetime, systems: list[str], known: bool):
    for system in systems:
        heard(now, system)

    assert overview(now).known is known


# --- How much, and how bad -------------------------------------------------------------------------------------------


def test_levels_are_of_the_last_hour_the_gravest_first(now: datetime):
    for age, level in ((1, 20), (2, 20), (59, 40), (61, 50), (3, 30)):
        heard(now - age * MINUTE, levelno=level)

    (system,) = overview(now).systems

    assert list(system.levels.items()) == [(40, 1), (30, 1), (20, 2)]
    assert system.errors == 1


def test_rates_are_rows_by_ten_minutes_of_the_last_six_hours_over_all_writers():
    now = datetime(2026, 11, 22, 12, 4, 30, tzinfo=UTC)
    for age, level in ((0, 20), (4, 20), (5, 40), (14, 20), (5 * 60 + 54, 20), (5 * 60 + 55, 20)):
        heard(now - age * MINUTE, levelno=level)
    LogCount.objects.create(
        minute=datetime(2026, 11, 22, 12, 1, tzinfo=UTC), system_id="shop", level=20, writer="other", count=100
    )

    (system,) = overview(now).systems

    assert len(system.rates) == BUCKETS == 36
    assert (system.rates[-1], system.rates[-2], system.rates[0]) == (102, 2, 1)
    assert system.errors_by_bucket[-2] == 1
    assert sum(system.rates) == 105


# --- Versions --------------------------------------------------------------------------------------------------------


def test_a_version_runs_since_it_was_heard_of_first_after_the_one_before(now: datetime):
    heard(now - 3 * DAY, version="1.4.1")
    heard(now - 5 * HOUR, version="1.4.2")
    heard(now, version="1.4.2")

    host = host_of(overview(now))

    assert [(version.name, version.since) for version in host.running] == [("1.4.2", now - 5 * HOUR)]
    assert host.before is not None
    assert host.before.name == "1.4.1"


def test_two_versions_at_work_beside_each_other_both_run(now: datetime):
    for minute in range(30, -1, -1):
        heard(now - minute * MINUTE, version="2.0" if minute % 2 and minute < 20 else "1.9")

    host = host_of(overview(now))

    assert [(version.name, version.since) for version in host.running] == [
        ("2.0", now - 19 * MINUTE),
        ("1.9", now - 30 * MINUTE),
    ]
    assert host.before is None


def test_a_deployment_that_was_undone_begins_the_old_version_anew(now: datetime):
    heard(now - 3 * DAY, version="1.9")
    heard(now - 40 * MINUTE, version="2.0")
    heard(now - 10 * MINUTE, version="1.9")

    host = host_of(overview(now))

    assert [(version.name, version.since) for version in host.running] == [("1.9", now - 10 * MINUTE)]
    assert host.before is not None
    assert host.before.name == "2.0"


def test_a_system_that_seldom_speaks_keeps_its_since(now: datetime):
    for day in (9, 6, 3, 0):
        heard(now - day * DAY, version="1.0")

    assert host_of(overview(now)).running[0].since == now - 9 * DAY


@pytest.mark.parametrize("version", ["", "None", "undef"])
def test_no_version_is_not_shown_as_one(now: datetime, version: str):
    heard(now, version=version)

    assert host_of(overview(now)).running == []


def test_a_version_is_written_down_at_most_once_a_minute(now: datetime):
    def written(at: datetime) -> int:
        with CaptureQueriesContext(connection) as queries:
            heard(at, version="1.0")
        return sum("logs_systemversion" in query["sql"] for query in queries)

    assert [written(now + n * timedelta(seconds=20)) for n in range(7)] == [1, 0, 0, 1, 0, 0, 1]
    assert SystemVersion.objects.get().last_seen == now + 2 * MINUTE


def test_a_batch_that_is_refused_leaves_its_version_to_be_written_with_the_next(now: datetime):
    faulty = record(at=now, package_version="1.0")._replace(message=None)  # type: ignore[arg-type]
    with pytest.raises(Exception, match=r"(?i)null"):
        append([faulty])
    heard(now, version="1.0")

    assert SystemVersion.objects.get().version == "1.0"


def test_a_sender_that_invents_versions_gets_no_more_than_twenty_an_hour_written_down(now: datetime):
    append([record(at=now, package_version=f"v{n}") for n in range(500)])
    for n in range(50):
        heard(now + n * timedelta(seconds=1), version=f"w{n}")
    assert SystemVersion.objects.count() == store.VERSIONS_MAX

    heard(now + HOUR, version="real")
    assert SystemVersion.objects.filter(version="real").exists()


def test_systems_beyond_the_bound_have_no_versions(now: datetime, settings):
    settings.SYSTEMS_MAX = 2
    append([record(at=now, system_id=f"s{n}", package_version="1") for n in range(9)])

    assert SystemVersion.objects.count() == 2


def test_versions_long_silent_are_forgotten_and_so_are_too_many(now: datetime):
    for n in range(10):
        heard(now - n * DAY, "s", f"h{n}", version="1")

    assert store.forget_versions(now - 8 * DAY, 100) == 1
    assert store.forget_versions(now - 8 * DAY, 4) == 5
    assert SystemVersion.objects.count() == 4
