"""Records by TLS, from Python's own ssl to a bridge as an operator sets it up."""

from __future__ import annotations

import contextlib
import json
import logging
import logging.handlers
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pytest

from bridge.authority import Entry
from tests.certificates import NAME, Papers, make_papers
from tests.end_to_end.conftest import PATIENCE, Running, Site, free_port
from tests.end_to_end.frames import frame, frames


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return make_papers(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return make_papers(tmp_path_factory.mktemp("other"))


def variables(papers: Papers, *, mutual: bool = False, server: Entry | None = None) -> dict[str, Any]:
    server = server or papers.server
    return {
        "HERALD_BRIDGE_TLS_PORT": str(free_port()),
        "HERALD_BRIDGE_TLS_CERTIFICATE": str(server.path),
        "HERALD_BRIDGE_TLS_KEY": str(server.key),
        "HERALD_BRIDGE_TLS_CLIENT_CA": papers.ca if mutual else "",
    }


def start(site: Site, env: dict[str, Any]) -> tuple[Running, int]:
    """Start a bridge; return it and its encrypted port."""
    return site.start_bridge(**env), int(env["HERALD_BRIDGE_TLS_PORT"])


def connect(port: int, context: ssl.SSLContext, name: str = NAME) -> ssl.SSLSocket:
    raw = socket.create_connection(("127.0.0.1", port), PATIENCE)
    try:
        return context.wrap_socket(raw, server_hostname=name)
    except BaseException:
        raw.close()
        raise


def send_in_vain(port: int, context: ssl.SSLContext) -> None:
    """Send a record to a herald that turns this client away: in TLS 1.3 that is learned by reading."""
    with contextlib.suppress(ssl.SSLError, ConnectionError), connect(port, context) as client:
        client.sendall(frame("never"))
        assert client.recv(1) == b""


def samples(site: Site, number: int) -> list[dict[str, str]]:
    """Return samples of what was rejected, as soon as the bridge has told of so many."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for (figures,) in site.sql("SELECT figures FROM bridge_bridgestatus"):
            found = figures if isinstance(figures, dict) else json.loads(figures)
            if sum(found["rejected"].values()) >= number:
                return list(found["samples"])
        time.sleep(0.1)
    pytest.fail(f"the bridge never told of {number} rejections")


def test_records_come_in_by_both_ports(site: Site, papers: Papers):
    bridge, port = start(site, variables(papers))
    with connect(port, papers.client_context()) as client, site.connect() as plain:
        client.sendall(frames(200, "encrypted"))
        plain.sendall(frames(200, "plain"))
        site.wait_for_rows(400, "system_id IN ('encrypted', 'plain')")

    assert bridge.wait_for("listening on") == (
        f"listening on 127.0.0.1:{site.bridge_port} and, with TLS, on 127.0.0.1:{port}"
    )
    assert [row["message"] for row in site.rows("system_id = 'encrypted'")] == [str(number) for number in range(200)]


def test_the_standard_library_s_handler_sends_by_tls_with_one_method_changed(site: Site, papers: Papers):
    _, port = start(site, variables(papers))
    context = papers.client_context()

    class Handler(logging.handlers.SocketHandler):
        def makeSocket(self, timeout: float = 10) -> socket.socket:
            return context.wrap_socket(super().makeSocket(timeout), server_hostname=NAME)

    handler = Handler("127.0.0.1", port)
    for number in range(100):
        record = logging.LogRecord("shop", logging.INFO, __file__, 1, "by TLS %d", (number,), None)
        handler.emit(record)
    handler.close()
    site.wait_for_rows(100, "name = 'shop'")

    assert [row["message"] for row in site.rows("name = 'shop'")] == [f"by TLS {number}" for number in range(100)]


def test_with_a_client_ca_only_its_clients_get_in(site: Site, papers: Papers, strangers: Papers):
    bridge, port = start(site, variables(papers, mutual=True))
    for shown in (None, papers.ended_client, strangers.client):
        send_in_vain(port, papers.client_context(shown))
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as plain:
        plain.sendall(frame("never either"))
        ended = plain.recv(1) == b""
    with connect(port, papers.client_context(papers.client)) as client:
        client.sendall(frame("known", "known"))
        site.wait_for_rows(1, "system_id = 'known'")
    details = [sample["detail"] for sample in samples(site, 4)]

    assert ended
    for detail, word in zip(details, ("no certificate", "expired", "issuer", "no TLS"), strict=True):
        assert word in detail
    assert site.count("system_id = 'svc'") == 0
    assert "Traceback" not in bridge.output


def test_a_client_turns_away_from_another_name_or_ca_and_the_bridge_says_so(
    site: Site, papers: Papers, strangers: Papers
):
    bridge, port = start(site, variables(papers))
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        connect(port, papers.client_context(), "elsewhere.test")
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        connect(port, strangers.client_context())
    details = {sample["reason"]: sample["detail"] for sample in samples(site, 2)}

    assert list(details) == ["TLS handshake"]
    assert "does not accept herald's certificate" in details["TLS handshake"]
    assert "Traceback" not in bridge.output


def test_a_certificate_that_has_ended_is_told_and_costs_no_local_record(site: Site, papers: Papers):
    bridge, port = start(site, variables(papers, server=papers.ended_server))
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        connect(port, papers.client_context())
    with site.connect() as plain:
        plain.sendall(frame("local"))
    site.wait_for_rows(1, "message = 'local'")
    site.wait_for_rows(1, "system_id = 'herald.bridge' AND message LIKE '%%has ended on%%'")

    assert "bridge.W003" in bridge.output


def test_files_that_cannot_be_used_are_told_before_anything_runs(site: Site, papers: Papers, tmp_path: Path):
    env = variables(papers)
    absent = site.manage("run_bridge", **env | {"HERALD_BRIDGE_TLS_CERTIFICATE": str(tmp_path / "absent.pem")})
    foreign = site.manage("run_bridge", **env | {"HERALD_BRIDGE_TLS_KEY": str(papers.client.key)})

    assert (absent.returncode, foreign.returncode) == (1, 1)
    assert "HERALD_BRIDGE_TLS_CERTIFICATE: there is no file" in absent.stderr
    assert "is not the key of the certificate" in foreign.stderr
    assert "Traceback" not in absent.stderr + foreign.stderr


def test_a_taken_port_is_one_clear_line(site: Site, papers: Papers):
    env = variables(papers)
    with socket.create_server(("127.0.0.1", int(env["HERALD_BRIDGE_TLS_PORT"]))):
        done = site.manage("run_bridge", **env)

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "set HERALD_BRIDGE_TLS_PORT" in done.stderr


def test_a_public_encrypted_port_needs_clients_that_are_known(site: Site, papers: Papers):
    public = {"HERALD_BRIDGE_TLS_HOST": "0.0.0.0"}
    refused = site.manage("run_bridge", **variables(papers) | public)
    bridge, port = start(site, variables(papers, mutual=True) | public)

    assert refused.returncode == 1
    assert "HERALD_BRIDGE_TLS_CLIENT_CA" in refused.stderr
    assert bridge.wait_for("listening on").endswith(f"on 0.0.0.0:{port}")
    assert "bridge.W" not in bridge.output


def test_what_the_command_says_is_enough_to_set_it_up(site: Site):
    """From nothing to a record, by the lines that the command prints."""
    printed = ""
    for arguments in (("ca",), ("server", NAME), ("client", "shop")):
        done = site.manage("certificates", *arguments)
        assert done.returncode == 0, done.stderr
        printed += done.stdout
    env = dict(line.strip().split("=", 1) for line in printed.splitlines() if line.startswith("  HERALD_"))
    _, port = start(site, env | {"HERALD_BRIDGE_TLS_PORT": str(free_port())})
    directory = site.data_dir / "certificates"
    context = ssl.create_default_context(cafile=directory / "ca.pem")
    context.load_cert_chain(directory / "client-shop.pem", directory / "client-shop.key")
    with connect(port, context) as client:
        client.sendall(frame("from the shop"))
    listed = site.manage("certificates", "list")

    assert site.wait_for_rows(1, "message = 'from the shop'") == 1
    assert set(env) == {f"HERALD_BRIDGE_TLS_{name}" for name in ("HOST", "PORT", "CERTIFICATE", "KEY", "CLIENT_CA")}
    assert len(listed.stdout.splitlines()) == 3
