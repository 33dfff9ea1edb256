from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import Error, connection, transaction

from logs import seen, store
from logs.models import Log, SeenValue
from logs.store import append
from tests.logs.records import record

# What is committed is remembered; so these tests commit.
pytestmark = pytest.mark.django_db(transaction=True)


def kept(field: str = "system_id") -> list[str]:
    return list(SeenValue.objects.filter(field=field).order_by("value").values_list("value", flat=True))


def test_every_value_is_kept_once_in_each_of_its_spellings():
    append([record(system_id="Shop"), record(system_id="shop")])
    append([record(system_id="shop"), record(system_id="SHOP", package_version="1.2")])

    assert kept() == ["SHOP", "Shop", "shop"]
    assert kept("package_version") == ["1.2"]
    assert kept("sub_system_id") == ["web-1"]
    assert kept("user_spec_1") == []
    assert seen.spellings("system_id", ["shop"]) == ["SHOP", "Shop", "shop"]


def test_a_value_that_was_never_seen_has_no_spellings():
    append([record()])

    assert seen.spellings("system_id", ["till"]) == []
    assert seen.spellings("system_id", ["till", "shop"]) == ["shop"]


@pytest.mark.parametrize(("field", "value"), [("message", "x"), ("system_id", "x" * 201)])
def test_what_the_table_has_no_place_for_is_not_known(field: str, value: str):
    assert seen.spellings(field, [value]) is None


def test_a_long_value_is_left_out_and_the_short_ones_stay_known():
    append([record(name="n" * 201), record(name="short")])

    assert kept("name") == ["short"]
    assert seen.spellings("name", ["short"]) == ["short"]
    assert seen.spellings("name", ["n" * 201]) is None


def test_a_field_with_too_many_values_is_known_to_be_incomplete(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(seen, "VALUES_MAX", 3)
    append([record(system_id=name) for name in "abcd"])
    append([record(system_id=name) for name in "efa"])

    assert kept() == ["", "a", "b", "c"]
    assert seen.spellings("system_id", ["a"]) is None
    assert seen.spellings("sub_system_id", ["web-1"]) == ["web-1"]
    assert seen.values("system_id", "", 10) == ["a", "b", "c"]


def test_another_process_that_knows_of_no_room_marks_the_field_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(seen, "VALUES_MAX", 2)
    append([record(system_id=name) for name in "ab"])
    assert seen.spellings("system_id", ["c"]) == []

    seen.forget()
    append([record(system_id="c")])

    assert seen.spellings("system_id", ["c"]) is None


def test_a_value_whose_batch_was_rolled_back_is_written_with_the_next():
    with suppress(Error), transaction.atomic():
        append([record(system_id="again")])
        raise Error
    assert kept() == []

    append([record(system_id="again")])

    assert kept() == ["again"]


def test_known_values_cost_no_statement(django_assert_num_queries):
    append([record(system_id="shop")])
    with django_assert_num_queries(0):
        seen.remember([record(system_id="shop")])

    assert kept() == ["shop"]


def test_more_combinations_than_are_remembered_lose_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(seen, "COMBINATIONS_MAX", 2)
    for name in "abcabc":
        append([record(system_id=name)])

    assert kept() == ["a", "b", "c"]


def test_values_are_completed_whatever_their_case():
    append([record(system_id=name) for name in ("Billing", "bill", "100%", "till", "Über")])

    assert seen.values("system_id", "BIL", 10) == ["bill", "Billing"]
    assert seen.values("system_id", "BIL", 1) == ["bill"]
    assert seen.values("system_id", "üb", 10) == ["Über"]
    assert seen.values("system_id", "%", 10) == []


def test_the_migration_fills_the_table_from_the_rows_that_are_there(monkeypatch: pytest.MonkeyPatch):
    migration = import_module("logs.migrations.0003_seen_values")
    monkeypatch.setattr(migration, "VALUES_MAX", 2)
    append([record(system_id=name, name="N" * 300) for name in "abc"])
    before = Log.objects.count()
    SeenValue.objects.all().delete()

    migration.fill(apps, SimpleNamespace(connection=connection))

    assert before == 3
    assert len(kept()) == 3
    assert seen.spellings("system_id", ["a"]) is None
    assert seen.spellings("sub_system_id", ["web-1"]) == ["web-1"]
    assert kept("name") == []


def test_seen_values_are_part_of_the_batch():
    append([record(system_id="first")], marks={"t": store.Move(store.NOWHERE, (0, 1))})
    with pytest.raises(store.MarkMoved):
        append([record(system_id="second")], marks={"t": store.Move((0, 5), (0, 6))})

    assert kept() == ["first"]
