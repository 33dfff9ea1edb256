"""Every shape of search goes by the index meant for it: the plan each engine makes of its statements is read."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection

from logs import search
from logs.models import Log
from logs.query import parse
from logs.search import walk
from logs.store import append
from tests.logs.records import record

ANYBODY = AnonymousUser()
HOUR = timedelta(hours=1)
SERVER = connection.vendor == "postgresql"

# What the plan of a shape must say on each engine.
NUMBER = (r"SEARCH logs_log USING INTEGER PRIMARY KEY \(rowid>\? AND rowid<\?\)", r"logs_log_default_pkey")
NUMBERS = (r"SEARCH logs_log USING INTEGER PRIMARY KEY \(rowid=\?\)", r"logs_log_default_pkey")
SYSTEM = (
    r"SEARCH logs_log USING (COVERING )?INDEX logs_log_system \(system_id=\? AND id>\? AND id<\?\)",
    r"logs_log_default_system_id_id_idx\b",
)
GRAVE = (
    r"SEARCH logs_log USING (COVERING )?INDEX logs_log_system_error \(system_id=\? AND id>\? AND id<\?\)",
    r"logs_log_default_system_id_id_idx1\b",
)
TEXT = (
    r"SCAN logs_log_text VIRTUAL TABLE INDEX .*SEARCH logs_log USING INTEGER PRIMARY KEY \(rowid=\?\)",
    r"Bitmap Index Scan on logs_log_default_message_exc_text_idx",
)
TIME = (
    r"SEARCH logs_log USING COVERING INDEX logs_log_created \(created>\? AND created<\?\)",
    r"logs_log_default_created_id_idx",
)
AROUND = (r"SEARCH logs_log USING INDEX logs_log_created \(created[=<>]", r"logs_log_default_created_id_idx")
SEEN = (r"SEARCH logs_seenvalue USING INDEX logs_seenvalue_folded \(field=\? AND folded=\?\)", r"logs_seenvalue_folded")
COUNTS = (r"SEARCH logs_logcount USING (COVERING )?INDEX \S+ \(minute>\? AND minute<\?\)", r"logs_logcount")


@pytest.fixture
def log(db: None, now: datetime) -> list[int]:
    """Rows of many systems over many hours; PostgreSQL gets statistics of them, and no liking for small tables."""
    append(
        [
            record(
                f"message {number} of {number % 7}",
                created=now + number * HOUR,
                levelno=50 if number % 9 == 0 else 20,
                system_id=f"s{number % 40}",
            )
            for number in range(2_000)
        ]
    )
    if SERVER:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE logs_log, logs_logcount, logs_seenvalue")
            cursor.execute("SET LOCAL enable_seqscan = off")
    return list(Log.objects.order_by("id").values_list("id", flat=True))


def plans(run: Callable[[], Any]) -> dict[str, str]:
    """Return the plan of each statement about the log that `run` makes, by the statement."""
    statements: list[tuple[str, Any]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        statements.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        run()
    explain = "EXPLAIN" if SERVER else "EXPLAIN QUERY PLAN"
    found = {}
    with connection.cursor() as cursor:
        for sql, params in statements:
            sql = re.sub(r"^(SET LOCAL [^;]*; )+", "", sql)
            if not sql.lstrip().startswith("SELECT"):
                continue
            if SERVER:
                # As `walk` has it where it lets PostgreSQL go by bitmaps alone.
                cursor.execute(f"SET LOCAL enable_indexscan = {'off' if 'id + 0' in sql else 'on'}")
                cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"{explain} {sql}", params)
            found[sql] = "\n".join(str(row[-1]) for row in cursor.fetchall())
    return found


def page(text: str, **options: Any) -> Callable[[list[int]], object]:
    return lambda ids: search.page(ANYBODY, parse(text), **options)


def during(text: str) -> Callable[[list[int]], object]:
    since = datetime.fromisoformat("2026-11-23T00:00Z")
    return lambda ids: search.page(ANYBODY, parse(text).within(since, since + 200 * HOUR))


SHAPES = {
    "everything": (page(""), [NUMBER]),
    "a page in the middle": (lambda ids: search.page(ANYBODY, parse(""), before=ids[900], limit=50), [NUMBER]),
    "the next newer page": (lambda ids: search.page(ANYBODY, parse("system:S3"), after=ids[9]), [SYSTEM, SEEN]),
    "a level": (page("level:>=ERROR"), [NUMBER]),
    "a system in another case": (page("system:S7"), [SYSTEM, SEEN]),
    "some systems": (page("system:(s1 OR s2 OR S3)"), [SYSTEM, SEEN]),
    "a system's errors": (page("system:s7 level:>=ERROR"), [GRAVE]),
    "a system's worst": (page("system:s7 level:>=CRITICAL host:WEB-1"), [GRAVE]),
    "a text": (page("message"), [TEXT]),
    "an absent text": (page("absent"), [TEXT]),
    "a text of a system": (page("message system:s7"), [(TEXT[0], SYSTEM[1]), SYSTEM]),
    "a regular expression": (page("/mess.*ge/"), [TEXT]),
    "two letters": (page("me"), [NUMBER]),
    "a time": (during("host:web-1"), [TIME]),
    "a long time": (during("sub:x OR message:/^x/"), [TIME, NUMBER]),
    "a count": (lambda ids: search.count(ANYBODY, parse("system:s7")), [SYSTEM]),
    "facets": (lambda ids: search.facets(ANYBODY, parse("level:>=ERROR")), [NUMBER]),
    "neighbours of the system": (lambda ids: search.neighbours(ANYBODY, ids[99], 2, "process"), [SYSTEM, NUMBERS]),
    "neighbours in time": (lambda ids: search.neighbours(ANYBODY, ids[99], 2, "time"), [AROUND, NUMBERS]),
    "minute counts": (
        lambda ids: search.histogram(ANYBODY, parse(""), *_two_days()),
        [COUNTS],
    ),
}


def _two_days() -> tuple[datetime, datetime]:
    since = datetime.fromisoformat("2026-11-23T00:00Z")
    return since, since + 48 * HOUR


@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_of_search_goes_by_its_index(log: list[int], name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(walk, "FIRST_SLICE", 100)
    monkeypatch.setattr(walk, "PROBE", 100)
    monkeypatch.setattr(walk, "OFTEN", 0)
    if name == "a long time":
        monkeypatch.setattr(walk, "NARROW", 10)
    run, wanted = SHAPES[name]

    found = plans(lambda: run(log))

    everything = "\n".join(found.values())
    for sqlite, postgresql in wanted:
        assert re.search(postgresql if SERVER else sqlite, everything, re.DOTALL), everything
    for sql, plan in found.items():
        assert not re.search(r"Seq Scan on logs_log|SCAN logs_log\b(?! USING COVERING INDEX)", plan), f"{sql}\n{plan}"
        if not SERVER and "ORDER BY logs_log" in sql and "id + 0" not in sql:
            assert "TEMP B-TREE" not in plan, f"{sql}\n{plan}"
