"""What `manage.py up` looks at before it starts anything, and whom it lets in first."""

from __future__ import annotations

import errno
import re
import socket
from dataclasses import replace

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.core.management import CommandError

from heraldsite import accounts
from heraldsite.addresses import Address, obstacle, sentence
from heraldsite.programs import this_site
from heraldsite.start import only_one, refuse_taken_ports


def test_a_free_port_is_no_obstacle_even_just_after_a_connection_to_it():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()
        client.close()
    assert obstacle(Address("records", "127.0.0.1", port, "HERALD_BRIDGE")) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost", ""])
def test_a_taken_port_is_named_with_the_variable_that_changes_it(host):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = obstacle(Address("records", host, port, "HERALD_BRIDGE"))
    assert found
    assert f"port {port}" in found
    assert "HERALD_BRIDGE_PORT" in found


def test_the_encrypted_record_port_is_looked_at_when_there_is_one(settings):
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as other:
        settings.BRIDGE_PORT = other.getsockname()[1]
        settings.BRIDGE_TLS_PORT = server.getsockname()[1]
        with pytest.raises(CommandError, match=f"port {settings.BRIDGE_TLS_PORT} .*HERALD_BRIDGE_TLS_PORT"):
            refuse_taken_ports()


@pytest.mark.parametrize("host", ["192.0.2.77", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_refused_with_the_variable_that_names_it(host):
    found = obstacle(Address("web pages", host, 1, "HERALD_WEB"))
    assert found
    assert host in found
    assert "HERALD_WEB_HOST" in found


def test_a_port_for_root_alone_is_explained():
    address = Address("web pages", "127.0.0.1", 80, "HERALD_WEB")
    assert "above 1023" in sentence(address, PermissionError(errno.EACCES, "denied"))


def test_an_address_is_shown_as_one_types_it():
    assert str(Address("", "127.0.0.1", 80, "")) == "127.0.0.1:80"
    assert str(Address("", "::1", 80, "")) == "[::1]:80"
    assert str(Address("", "0.0.0.0", 80, "")) == f"{socket.gethostname()}:80"


def test_a_data_directory_belongs_to_one_up_at_a_time(tmp_path):
    site = replace(this_site(), data_dir=tmp_path / "data")
    with only_one(site), pytest.raises(CommandError, match=r"is up already in .*/data"), only_one(site):
        pytest.fail("the second was let in")
    with only_one(site):
        assert (site.data_dir / "up.lock").read_text().strip().isdigit()


@pytest.mark.django_db
def test_the_first_account_comes_in_with_its_one_time_password_and_must_change_it(rf):
    password = accounts.make_first_account()
    assert password
    person = authenticate(rf.post("/login"), username="admin", password=password)
    assert person is not None
    assert person.is_superuser
    assert person.groups.filter(name=accounts.MUST_CHANGE_PASSWORD).exists()


@pytest.mark.django_db
def test_where_somebody_has_an_account_none_is_made():
    get_user_model().objects.create_user("ada")
    assert accounts.make_first_account() is None
    assert get_user_model().objects.count() == 1


def test_one_time_passwords_differ_and_can_be_read_aloud():
    made = {accounts.one_time_password() for _ in range(100)}
    assert len(made) == 100
    for password in made:
        assert re.fullmatch(r"[a-km-np-z2-9]{4}(-[a-km-np-z2-9]{4}){3}", password), password
