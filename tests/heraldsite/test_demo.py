"""The demo's story: believable, varied, and the same for the same seed."""

from __future__ import annotations

import logging
from logging.handlers import SocketHandler

import pytest
from django.core.management import CommandError

from heraldsite import demo
from heraldsite.management.commands.demo import Command

NUMBER = 2_000


def tell(seed: int) -> list[logging.LogRecord]:
    story = demo.Story(seed)
    return [story.record(number / NUMBER) for number in range(NUMBER)]


@pytest.fixture(scope="module")
def records() -> list[logging.LogRecord]:
    return tell(1)


def test_a_seed_tells_the_same_story_again_and_another_seed_another(records):
    messages = [record.getMessage() for record in records]
    assert messages == [record.getMessage() for record in tell(1)]
    assert messages != [record.getMessage() for record in tell(2)]


def test_all_levels_systems_and_several_hosts_occur(records):
    assert {record.levelname for record in records} == {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}
    assert {system.name for system in demo.SYSTEMS} <= {record.__dict__.get("SYSTEM_ID") for record in records}
    assert len({record.__dict__.get("SUB_SYSTEM_ID") for record in records}) > 10


def test_library_loggers_know_no_ids(records):
    without = [record.name for record in records if "SYSTEM_ID" not in record.__dict__]
    assert set(without) == {"shop.orders.db", "urllib3.connectionpool"}


def test_the_new_version_comes_half_way_and_misbehaves_for_a_while(records):
    orders = [record.__dict__.get("package_version") for record in records if record.name == "shop.orders"]
    assert orders == sorted(orders)
    assert set(orders) == {"3.4.1", demo.BROKEN_IN}
    troubled = [n / NUMBER for n, record in enumerate(records) if "rejected" in record.getMessage()]
    assert troubled
    assert demo.TROUBLE[0] <= min(troubled)
    assert max(troubled) < demo.TROUBLE[1]


def test_every_record_can_travel_with_its_traceback_and_extras(records):
    handler = SocketHandler("127.0.0.1", 9)
    frames = [handler.makePickle(record) for record in records]
    assert any(b"ZeroDivisionError" in frame for frame in frames)
    assert any(b"The above exception was the direct cause" in frame for frame in frames)
    assert any("Ольга".encode() in frame for frame in frames)
    assert any(b"decimal" in frame.lower() for frame in frames)


def test_records_come_when_their_time_has_come():
    moments = iter([0.0] + [100.0] * 50)  # a clock that is always late: nothing is waited for
    told = list(demo.told(1, rate=20, seconds=2, clock=lambda: next(moments)))
    assert len(told) == 40
    assert sum("deployed 3.5.0" in record.getMessage() for record in told) == 1


def test_where_nobody_listens_that_is_said():
    with pytest.raises(demo.NobodyListens, match=r"nobody listens on 127\.0\.0\.1:9$"):
        demo.connect("127.0.0.1", 9)


@pytest.mark.parametrize(
    "arguments", [("--rate", "fast"), ("--rate", "-1"), ("--seconds", "0"), ("--seconds", "nan"), ("--port", "x")]
)
def test_a_number_that_makes_no_sense_is_refused(arguments):
    with pytest.raises(CommandError, match=f"argument {arguments[0]}: "):
        Command().create_parser("manage.py", "demo").parse_args(arguments)


def test_the_defaults_lead_to_this_machines_own_bridge(settings):
    settings.BRIDGE_HOST = "0.0.0.0"
    options = Command().create_parser("manage.py", "demo").parse_args([])
    assert (options.host, options.port) == ("127.0.0.1", settings.BRIDGE_PORT)
