from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge import exposure
from bridge.addresses import is_loopback, shown
from bridge.checks import check_bridge, check_certificates
from tests.certificates import Papers, make_papers


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return make_papers(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def encrypted(settings, papers: Papers):
    """An encrypted port with all its files in order."""
    settings.BRIDGE_TLS_PORT = 9110
    settings.BRIDGE_TLS_CERTIFICATE, settings.BRIDGE_TLS_KEY = str(papers.server.path), str(papers.server.key)
    return settings


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


def test_a_public_record_port_with_credentials_is_a_warning_of_what_can_be_read(settings):
    settings.BRIDGE_HOST, settings.BRIDGE_CREDENTIALS_REQUIRED = "0.0.0.0", True
    (message,) = check_bridge(None)

    assert message.id == "bridge.W001"
    assert message.msg.endswith("its clients are not encrypted.")


@pytest.mark.parametrize(
    ("plain", "encrypted_host", "said", "refused"),
    [
        ("127.0.0.1", "127.0.0.1", {}, []),
        ("0.0.0.0", "127.0.0.1", {}, ["HERALD_BRIDGE_HOST"]),
        ("0.0.0.0", "127.0.0.1", {"BRIDGE_PUBLIC": True}, []),
        ("0.0.0.0", "127.0.0.1", {"BRIDGE_CREDENTIALS_REQUIRED": True}, []),
        ("0.0.0.0", "127.0.0.1", {"BRIDGE_TLS_CLIENT_CA": "ca.pem"}, ["HERALD_BRIDGE_HOST"]),
        ("127.0.0.1", "0.0.0.0", {}, ["HERALD_BRIDGE_TLS_HOST"]),
        ("127.0.0.1", "0.0.0.0", {"BRIDGE_PUBLIC": True}, []),
        ("127.0.0.1", "0.0.0.0", {"BRIDGE_CREDENTIALS_REQUIRED": True}, []),
        ("127.0.0.1", "0.0.0.0", {"BRIDGE_TLS_CLIENT_CA": "ca.pem"}, []),
        ("127.0.0.1", "0.0.0.0", {"BRIDGE_TLS_PORT": 0}, []),
        ("0.0.0.0", "0.0.0.0", {}, ["HERALD_BRIDGE_HOST", "HERALD_BRIDGE_TLS_HOST"]),
    ],
)
def test_a_public_port_is_refused_unless_its_clients_are_known_or_it_is_meant(
    settings, plain: str, encrypted_host: str, said: dict[str, object], refused: list[str]
):
    settings.BRIDGE_HOST, settings.BRIDGE_TLS_HOST, settings.BRIDGE_TLS_PORT = plain, encrypted_host, 9110
    for name, value in said.items():
        setattr(settings, name, value)

    assert [sentence.split()[0] for sentence in exposure.refusals()] == refused


def test_an_encrypted_port_in_order_has_nothing_to_warn_of(encrypted):
    assert ids() == []


def test_an_encrypted_port_for_everybody_is_a_warning(encrypted, papers: Papers):
    encrypted.BRIDGE_TLS_HOST, encrypted.BRIDGE_PUBLIC = "0.0.0.0", True
    open_to_all = ids()
    encrypted.BRIDGE_TLS_CLIENT_CA = papers.ca

    assert (open_to_all, ids()) == (["bridge.W002"], [])


def test_files_that_cannot_be_used_are_an_error(encrypted, papers: Papers):
    encrypted.BRIDGE_TLS_KEY = str(papers.client.key)
    (message,) = check_bridge(None)

    assert message.id == "bridge.E003"
    assert "HERALD_BRIDGE_TLS_KEY" in message.msg


def test_a_certificate_is_warned_of_before_it_ends_and_after(encrypted, papers: Papers):
    now = datetime.now(UTC)
    early = check_certificates(papers.server.ends - timedelta(days=31))
    soon = check_certificates(papers.server.ends - timedelta(days=29))
    encrypted.BRIDGE_TLS_CERTIFICATE = str(papers.ended_server.path)
    encrypted.BRIDGE_TLS_KEY = str(papers.ended_server.key)
    late = check_certificates(now)

    assert early == []
    assert [(message.id, "ends on" in message.msg) for message in soon] == [("bridge.W003", True)]
    assert [(message.id, "has ended on" in message.msg) for message in late] == [("bridge.W003", True)]


def test_a_certificate_without_a_port_is_a_warning(settings, tmp_path: Path):
    settings.BRIDGE_TLS_CERTIFICATE = str(tmp_path / "server.pem")

    assert ids() == ["bridge.W004"]


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
