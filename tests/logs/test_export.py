from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.test import AsyncClient, Client

from logs import export as exporting
from logs import search
from logs.export import FORMATS, NDJSON, cell, export
from logs.query import parse
from logs.store import append
from tests.logs.records import record

stored = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_a_cell_is_no_formula(text: str):
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["plain", "a=b", "", 5, -5, None, "'=1"])
def test_other_cells_stay_as_they_are(value: object):
    assert cell(value) == value


async def downloaded(address: str) -> str:
    client = AsyncClient()
    person = await get_user_model().objects.acreate(username="anna")
    await client.aforce_login(person, "django.contrib.auth.backends.ModelBackend")
    answer: Any = await client.get(address)
    assert answer.status_code == 200
    assert re.search(r'attachment; filename="herald-[\dT-]+Z\.', answer["Content-Disposition"])
    return b"".join([part async for part in answer.streaming_content]).decode()


@stored
@pytest.mark.asyncio
async def test_the_rows_of_a_query_come_as_csv():
    rows = [record('=cmd "quoted",\nsecond', extra='{"order": 42}'), record("calm"), record("x", system_id="till")]
    await sync_to_async(append)(rows)

    found = list(csv.DictReader(io.StringIO(await downloaded("/export.csv?q=system:shop"))))

    assert [row["message"] for row in found] == ["calm", '\'=cmd "quoted",\nsecond']
    assert found[1]["extra"] == '{"order":42}'
    assert found[0]["levelno"] == "20"


@stored
@pytest.mark.asyncio
async def test_the_rows_of_a_query_come_as_lines_of_json(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(exporting, "PAGE_ROWS", 3)
    await sync_to_async(append)([record(str(number), extra='{"a": [1]}') for number in range(10)])

    found = [orjson.loads(line) for line in (await downloaded("/export.ndjson?q=system:shop")).splitlines()]

    assert [row["message"] for row in found] == [str(number) for number in range(9, -1, -1)]
    assert found[0]["extra"] == {"a": [1]}


@stored
@pytest.mark.asyncio
@pytest.mark.parametrize(("most", "cut"), [(5, True), (6, True), (10, False)])
async def test_a_file_that_was_cut_says_so_in_its_last_line(most: int, cut: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(exporting, "PAGE_ROWS", 3)
    await sync_to_async(append)([record(str(number)) for number in range(10)])
    anna = await get_user_model().objects.acreate(username="anna")

    for form in FORMATS.values():
        text = b"".join([part async for part in export(anna, parse(""), form, most)]).decode()
        assert (f"Cut after {most} rows" in text.splitlines()[-1]) is cut
        assert len(text.splitlines()) == most + cut + (form is not NDJSON)


@stored
@pytest.mark.asyncio
async def test_a_file_that_grows_too_large_is_cut_and_says_after_how_many_rows(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(exporting, "PAGE_ROWS", 3)
    monkeypatch.setattr(exporting, "BYTES_MAX", 1)
    await sync_to_async(append)([record(str(number)) for number in range(10)])
    anna = await get_user_model().objects.acreate(username="anna")

    lines = b"".join([part async for part in export(anna, parse(""), NDJSON)]).splitlines()

    assert len(lines) == 4
    assert b"Cut after 3 rows" in lines[-1]


@stored
@pytest.mark.asyncio
async def test_no_more_rows_are_read_than_are_fetched(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(exporting, "PAGE_ROWS", 3)
    await sync_to_async(append)([record(str(number)) for number in range(10)])
    anna = await get_user_model().objects.acreate(username="anna")
    asked: list[int | None] = []
    page = search.page

    def counted(*args: Any, **options: Any) -> search.Page:
        asked.append(options["before"])
        return page(*args, **options)

    monkeypatch.setattr(search, "page", counted)

    stream = export(anna, parse(""), NDJSON)
    assert isinstance(stream, AsyncIterator)
    await anext(stream)
    assert (await anext(stream)).count(b"\n") == 3
    await stream.aclose()  # type: ignore[attr-defined]

    assert asked == [None]


@pytest.mark.django_db
def test_what_cannot_be_exported_is_said():
    client = Client()
    assert client.get("/export.csv").status_code in (302, 403)
    client.force_login(get_user_model().objects.create_user("anna"), "django.contrib.auth.backends.ModelBackend")

    assert b"There is no filter" in client.get("/export.csv?colour=red").content
    assert client.get("/export.xls").status_code == 404
    assert client.post("/export.csv").status_code == 405
