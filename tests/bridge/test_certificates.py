"""The small CA: what it makes, what it refuses, and what its command tells."""

from __future__ import annotations

import io
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from django.core.management import CommandError, call_command

from bridge.authority import CA_LASTS, LEAF_LASTS, Authority, Entry, Kind, Refused
from tests.certificates import NAME, Papers, make_papers


@pytest.fixture
def authority(tmp_path: Path, now: datetime) -> Authority:
    found = Authority(tmp_path / "certificates")
    found.make_ca("herald's CA", CA_LASTS, now)
    return found


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return make_papers(tmp_path_factory.mktemp("ca"))


def read(entry: Entry | Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((entry if isinstance(entry, Path) else entry.path).read_bytes())


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """Let two contexts meet in memory; raises what the first to refuse raises."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for side in list(sides):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            sides.remove(side)
    assert sides == []


# --- What it makes -------------------------------------------------------------------------------------------


def test_the_ca_may_sign_leaves_and_nothing_else(authority: Authority):
    ca = read(authority.path)
    constraints = ca.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = ca.extensions.get_extension_for_class(x509.KeyUsage)

    assert (constraints.critical, constraints.value) == (True, x509.BasicConstraints(ca=True, path_length=0))
    assert (usage.critical, usage.value.key_cert_sign, usage.value.digital_signature) == (True, True, False)
    assert ca.subject.rfc4514_string() == "CN=herald's CA"


def test_a_leaf_is_for_one_purpose_and_points_to_its_ca(authority: Authority, now: datetime):
    ca = read(authority.path)
    for entry, purpose in [
        (authority.sign_server([NAME], LEAF_LASTS, now), ExtendedKeyUsageOID.SERVER_AUTH),
        (authority.sign_client("shop", LEAF_LASTS, now), ExtendedKeyUsageOID.CLIENT_AUTH),
    ]:
        leaf = read(entry)
        extensions = leaf.extensions
        key_id = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.key_identifier
        points_to = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier

        leaf.verify_directly_issued_by(ca)
        assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [purpose]
        assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        assert not extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
        assert points_to == key_id
        assert isinstance(leaf.public_key(), ec.EllipticCurvePublicKey)
        assert leaf.not_valid_after_utc == now + LEAF_LASTS
        assert leaf.not_valid_before_utc < now


def test_serial_numbers_are_random(authority: Authority, now: datetime):
    serials = [read(authority.sign_client(f"c{n}", LEAF_LASTS, now)).serial_number for n in range(5)]

    assert len(set(serials)) == 5
    assert min(serials) > 2**64


def test_a_server_is_known_by_all_its_names(authority: Authority, now: datetime):
    entry = authority.sign_server(["Herald.Example.org", "localhost", "10.0.0.7", "::1"], LEAF_LASTS, now)

    assert entry.names == ("herald.example.org", "localhost", "10.0.0.7", "::1")
    assert entry.path.name == "server-herald.example.org.pem"


def test_a_name_longer_than_a_common_name_is_no_obstacle(authority: Authority, now: datetime):
    name = "a" * 60 + ".example.org"
    entry = authority.sign_server([name], LEAF_LASTS, now)

    assert entry.names == (name,)
    assert read(entry).subject.rfc4514_string() == "CN=herald"


@pytest.mark.parametrize("name", [NAME, "127.0.0.1"])
def test_both_sides_know_one_another_also_by_the_strict_rules(papers: Papers, name: str):
    server, client = papers.server_context(mutual=True), papers.client_context(papers.client)
    for context in (server, client):
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    shake_hands(server, client, name)

    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake_hands(server, client, "another.test")


def test_nobody_else_may_read_what_it_made(authority: Authority, now: datetime):
    authority.sign_client("shop", LEAF_LASTS, now)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in authority.directory.iterdir()}

    assert stat.S_IMODE(authority.directory.stat().st_mode) == 0o700
    assert modes == dict.fromkeys(["ca.pem", "ca.key", "client-shop.pem", "client-shop.key"], 0o600)


def test_a_leaf_does_not_outlive_its_ca(authority: Authority, now: datetime):
    entry = authority.sign_client("shop", 2 * CA_LASTS, now)

    assert entry.ends == now + CA_LASTS


def test_it_knows_what_there_is(authority: Authority, now: datetime):
    authority.sign_server([NAME], LEAF_LASTS, now)
    authority.sign_client("shop", timedelta(days=5), now)
    (authority.directory / "other.pem").write_text("somebody's notes")

    assert [(entry.kind, entry.names, entry.ends) for entry in authority.entries()] == [
        (Kind.CA, ("herald's CA",), now + CA_LASTS),
        (Kind.CLIENT, ("shop",), now + timedelta(days=5)),
        (Kind.SERVER, (NAME,), now + LEAF_LASTS),
    ]


# --- What it refuses -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", ["ca.pem", "ca.key"])
def test_a_ca_is_never_made_over_another(authority: Authority, now: datetime, left: str):
    for path in authority.directory.iterdir():
        if path.name != left:
            path.unlink()
    before = (authority.directory / left).read_bytes()
    with pytest.raises(Refused, match="there is a CA"):
        authority.make_ca("another", CA_LASTS, now)

    assert [path.read_bytes() for path in authority.directory.iterdir()] == [before]


def test_a_leaf_that_is_good_for_long_is_replaced_on_demand_only(authority: Authority, now: datetime):
    first = authority.sign_client("shop", LEAF_LASTS, now)
    serial = read(first).serial_number
    with pytest.raises(Refused, match="--renew"):
        authority.sign_client("shop", LEAF_LASTS, now)
    kept = read(first).serial_number
    renewed = read(authority.sign_client("shop", LEAF_LASTS, now, renew=True)).serial_number
    due = authority.sign_client("shop", LEAF_LASTS, first.ends - timedelta(days=30))

    assert kept == serial != renewed
    assert due.ends > first.ends


@pytest.mark.parametrize("name", ["", "-x", "../x", "a/b", "a b", "x" * 65, "shop\n", "ö"])
def test_a_client_needs_a_name_that_can_be_a_file_s(authority: Authority, now: datetime, name: str):
    with pytest.raises(Refused, match="is no name for a client"):
        authority.sign_client(name, LEAF_LASTS, now)


@pytest.mark.parametrize(
    "name",
    ["", "a..b", "-a.b", "a_b/../c", "300.1.1.1", "herald.exämple", "*.example.org", "a\n", "fe80::1%eth0", "a" * 64],
)
def test_a_server_needs_names_that_can_be_reached(authority: Authority, now: datetime, name: str):
    with pytest.raises(Refused, match="neither a host's name nor an IP address"):
        authority.sign_server([NAME, name], LEAF_LASTS, now)
    assert [entry.kind for entry in authority.entries()] == [Kind.CA]


def test_a_ca_that_has_ended_signs_nothing(authority: Authority, now: datetime):
    with pytest.raises(Refused, match="has ended"):
        authority.sign_client("shop", LEAF_LASTS, now + CA_LASTS)


def test_without_a_ca_nothing_is_signed(tmp_path: Path, now: datetime):
    with pytest.raises(Refused, match="there is no CA in"):
        Authority(tmp_path).sign_client("shop", LEAF_LASTS, now)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda key: key.unlink(), "cannot be read"),
        (lambda key: key.write_text("lost"), "holds no private key"),
        (
            lambda key: key.write_bytes(
                generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            ),
            "is not the key this command made",
        ),
    ],
    ids=["gone", "rubbish", "another kind"],
)
def test_without_the_ca_s_key_nothing_is_signed(authority: Authority, now: datetime, spoil, why: str):
    spoil(authority.path.with_suffix(".key"))
    with pytest.raises(Refused, match=why):
        authority.sign_client("shop", LEAF_LASTS, now)


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path, now: datetime):
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match="cannot be written to"):
        Authority(tmp_path / "file" / "certificates").make_ca("CA", CA_LASTS, now)


# --- The command ---------------------------------------------------------------------------------------------


def said(*arguments: str) -> str:
    out = io.StringIO()
    call_command("certificates", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def directory(settings, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path / "certificates"


def test_the_command_makes_them_and_says_what_to_set(directory: Path):
    ca = said("ca", "--name", "our CA")
    server = said("server", NAME, "127.0.0.1")
    client = said("client", "shop", "--days", "40")

    assert f"HERALD_BRIDGE_TLS_CLIENT_CA={directory}/ca.pem" in ca
    assert f"HERALD_BRIDGE_TLS_CERTIFICATE={directory}/server-{NAME}.pem" in server
    assert f"HERALD_BRIDGE_TLS_KEY={directory}/server-{NAME}.key" in server
    assert "HERALD_BRIDGE_TLS_PORT=9110" in server
    assert f"made {directory}/client-shop.pem, good until" in client
    assert read(directory / "ca.pem").subject.rfc4514_string() == "CN=our CA"


def test_the_command_lists_them_with_what_is_left(directory: Path):
    now = datetime.now(UTC)
    authority = Authority(directory)
    authority.make_ca("our CA", CA_LASTS, now - timedelta(days=20))
    authority.sign_client("old", timedelta(days=10), now - timedelta(days=20))
    authority.sign_server([NAME, "::1"], timedelta(days=10, hours=1), now)
    ca, old, server = said("list").splitlines()

    assert ca.split()[0] == "ca"
    assert "HAS ENDED" in old
    assert "10 days left" in server
    assert f"{NAME}, ::1" in server


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["list"], "there is nothing in"),
        (["server", NAME], "`manage.py certificates ca` makes one"),
        (["ca", "--days", "0"], "no number of days from 1 to 36,500"),
        (["ca", "--days", "soon"], "no number of days"),
        (["ca", "--name", "n" * 65], "from 1 to 64 characters"),
    ],
)
def test_the_command_refuses_in_words(directory: Path, arguments: list[str], why: str):
    with pytest.raises(CommandError, match=why):
        said(*arguments)
    assert not directory.exists()
