"""How long searches take, beside the same SQL written by hand, in turns. Both give the same rows, of the same types.

A query is parsed once beforehand: that takes the same time for every log.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from statistics import median, quantiles
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db import connection

from logs import search
from logs.models import Log
from logs.query import Query, parse
from logs.tail import NAMES, row_maker
from tests.benchmarks import Result
from tests.benchmarks._log_of_a_day import MILLION, RARE, SYSTEMS, log_of, moment, sizes
from tests.end_to_end.conftest import SERVER

ANYBODY = AnonymousUser()
LIMIT = 100
ROUNDS = 40
BATCHES = 9
GOAL = 2.0
# What takes less than a millisecond by hand counts as one: nobody waits for the difference.
LEAST = 0.001
COLUMNS = ", ".join(f"logs_log.{name}" for name in NAMES)
DESCENDING = f"ORDER BY logs_log.id DESC LIMIT {LIMIT}"
_Work = Callable[[], Any]


def measure() -> Iterator[Result]:
    taken: list[dict[str, float]] = []
    for rows in sizes():
        size = f"search.{rows // MILLION}m"
        with log_of(rows):
            results = list(_measure(rows, size))
        yield from results
        taken.append({each.name.removeprefix(size): each.value for each in results if each.unit == "ms"})
    for name in taken[0] if len(taken) > 1 else ():
        if "by_hand" not in name and "scan" not in name:
            ratio = taken[1][name] / taken[0][name]
            yield Result(f"search.5m_over_1m{name.removesuffix('_ms')}", ratio, "ratio", goal=3.0, at_most=True)


def in_turns(*works: _Work, rounds: int = ROUNDS) -> list[list[float]]:
    """Return the seconds each of `works` takes, run in turns."""
    answers = [work() for work in works]
    if isinstance(answers[0], search.Page) and answers[0].rows != answers[1]:
        raise RuntimeError("the rows by hand are others")
    taken: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for times, work in zip(taken, works, strict=True):
            begun = time.perf_counter()
            work()
            times.append(time.perf_counter() - begun)
    return taken


def p95(*works: _Work, rounds: int = ROUNDS) -> list[float]:
    """Return the 95th percentile of the seconds each of `works` takes: the median of those of BATCHES batches.

    Where other work shares the machine, one batch has a pause of many milliseconds among its slowest calls, another none.
    """
    batches = [in_turns(*works, rounds=rounds) for _ in range(BATCHES)]
    return [median(quantiles(batch[at], n=20)[-1] for batch in batches) for at in range(len(works))]


def by_hand(sql: str, *params: Any) -> _Work:
    def run() -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            found: list[Any] = cursor.fetchall()
            return found

    return run


def rows_by_hand(sql: str, *params: Any) -> _Work:
    run, row_of = by_hand(sql, *params), row_maker(NAMES)
    return lambda: list(map(row_of, run()))


def page(query: Query, **options: Any) -> _Work:
    return lambda: search.page(ANYBODY, query, limit=LIMIT, **options)


def beside(name: str, work: _Work, hand: _Work, rounds: int = ROUNDS) -> Iterator[Result]:
    taken, plain = p95(work, hand, rounds=rounds)
    yield Result(f"{name}_over_hand", taken / max(plain, LEAST), "ratio", goal=GOAL, at_most=True)
    yield Result(f"{name}_ms", taken * 1_000, "ms")
    yield Result(f"{name}_by_hand_ms", plain * 1_000, "ms")


def _measure(rows: int, name: str) -> Iterator[Result]:
    yield from _of_a_system(name)
    yield from _texts(name)
    yield from _in_time(name, rows)
    yield from _deep(name, rows)
    yield from _histogram(name)
    yield from _facets(name)


def _of_a_system(name: str) -> Iterator[Result]:
    system = SYSTEMS[3]
    sql = f"SELECT {COLUMNS} FROM logs_log WHERE system_id = %s AND levelno >= 40 {DESCENDING}"
    query = parse(f"system:{system.upper()} level:>=ERROR")
    yield from beside(f"{name}.errors_of_a_system", page(query), rows_by_hand(sql, system))


def _texts(name: str) -> Iterator[Result]:
    for kind, text in (("rare", RARE), ("frequent", "payment order"), ("absent", "payment unicorn")):
        yield from beside(f"{name}.text_{kind}", page(parse(f'"{text}"')), _text_by_hand(text))


def _text_by_hand(text: str) -> _Work:
    either = (
        "(message ILIKE %s OR exc_text ILIKE %s)"
        if SERVER
        else "(logs_log.message LIKE %s OR logs_log.exc_text LIKE %s)"
    )
    if SERVER:
        return rows_by_hand(f"SELECT {COLUMNS} FROM logs_log WHERE {either} {DESCENDING}", f"%{text}%", f"%{text}%")
    tokens = " AND ".join(f'"{text[at : at + 3]}"' for at in range(len(text) - 2))
    sql = (
        f"SELECT {COLUMNS} FROM logs_log_text JOIN logs_log ON logs_log.id = +logs_log_text.rowid "
        f"WHERE logs_log_text MATCH %s AND {either} ORDER BY logs_log_text.rowid DESC LIMIT {LIMIT}"
    )
    return rows_by_hand(sql, tokens, f"%{text}%", f"%{text}%")


def _in_time(name: str, rows: int) -> Iterator[Result]:
    since = moment(rows // 3, rows)
    sql = f"SELECT {COLUMNS} FROM logs_log WHERE sub_system_id = %s AND created >= %s AND created < %s {DESCENDING}"
    for minutes in (5, 60):
        until = since + timedelta(minutes=minutes)
        bounds = (since, until) if SERVER else (str(since)[:-6], str(until)[:-6])
        work = page(parse("host:HOST-3").within(since, until))
        yield from beside(f"{name}.host_in_{minutes}_minutes", work, rows_by_hand(sql, "host-3", *bounds))


def _deep(name: str, rows: int) -> Iterator[Result]:
    before = (
        Log.objects.filter(created__gte=moment(rows // 2, rows))
        .order_by("created", "id")
        .values_list("id", flat=True)[0]
    )
    sql = f"SELECT {COLUMNS} FROM logs_log WHERE id < %s {DESCENDING}"
    everything = parse("")
    yield from beside(f"{name}.middle", page(everything, before=before), rows_by_hand(sql, before))
    deep, first = p95(lambda: page(everything, before=before)().rows, lambda: page(everything)().rows)
    yield Result(f"{name}.middle_over_first", deep / first, "ratio", goal=GOAL, at_most=True)


def _histogram(name: str) -> Iterator[Result]:
    unit = "date_trunc('hour', {})" if SERVER else "substr({}, 1, 13)"
    counts = f"SELECT {unit.format('minute')}, level, sum(count) FROM logs_logcount GROUP BY 1, 2"
    scan = f"SELECT {unit.format('created')}, levelno, count(*) FROM logs_log GROUP BY 1, 2"
    everything = parse("")
    until = Log.objects.order_by("-id").values_list("created", flat=True)[0]
    found = search.histogram(ANYBODY, everything, until=until)
    if found.kind != "counts":
        raise RuntimeError(f"the histogram comes from {found.kind}")

    def work() -> object:
        return search.histogram(ANYBODY, everything, until=until)

    yield from beside(f"{name}.histogram", work, by_hand(counts), rounds=20)
    # Few, as a scan takes long: so few have a median, and no percentile.
    taken, whole = map(median, in_turns(work, by_hand(scan), rounds=7))
    yield Result(f"{name}.histogram_over_scan", taken / whole, "ratio", goal=0.2, at_most=True)
    yield Result(f"{name}.histogram_scan_ms", whole * 1_000, "ms")


def _facets(name: str) -> Iterator[Result]:
    columns = ("levelno", "system_id", "sub_system_id", "package_version", "name")
    newest = "SELECT {0} FROM logs_log WHERE levelno >= 20 ORDER BY id DESC LIMIT 5000"
    works = [
        by_hand(f"SELECT {each}, count(*) FROM ({newest.format(each)}) AS newest GROUP BY 1 ORDER BY 2 DESC LIMIT 10")
        for each in columns
    ]
    query = parse("level:>=INFO")
    yield from beside(
        f"{name}.facets", lambda: search.facets(ANYBODY, query), lambda: [work() for work in works], rounds=20
    )
