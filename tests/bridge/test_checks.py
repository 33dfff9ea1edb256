from __future__ import annotations

import pytest

from bridge.addresses import is_loopback, shown
from bridge.checks import check_bridge


def ids() -> list[str | None]:
    return [message.id for message in check_bridge(None)]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "LOCALHOST"])
def test_loopback_is_what_only_this_machine_reaches(host: str):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "10.0.0.7", "herald.example.net", "localhost.example.net"])
def test_everything_else_may_be_public(host: str):
    assert not is_loopback(host)


def test_defaults_have_nothing_to_warn_of():
    assert ids() == []


def test_a_public_record_port_is_a_warning(settings):
    settings.BRIDGE_HOST, settings.BRIDGE_PUBLIC = "0.0.0.0", True

    assert ids() == ["bridge.W001"]


def test_loopback_that_may_be_public_is_none(settings):
    settings.BRIDGE_PUBLIC = True

    assert ids() == []


@pytest.mark.parametrize("frame_max", [0, 2**29])
def test_a_frame_limit_that_cannot_work_is_an_error(settings, frame_max: int):
    settings.FRAME_MAX = frame_max

    assert ids() == ["bridge.E001"]


@pytest.mark.parametrize("name", ["BATCH_ROWS", "QUEUE_BYTES", "CLIENTS_MAX"])
def test_a_limit_of_nothing_is_an_error(settings, name: str):
    setattr(settings, name, 0)

    assert ids() == ["bridge.E002"]


def test_addresses_are_written_as_people_write_them():
    assert shown("127.0.0.1", 9020) == "127.0.0.1:9020"
    assert shown("::1", 9020) == "[::1]:9020"
