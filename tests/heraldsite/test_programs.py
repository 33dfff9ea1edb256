"""The supervisord configuration, as supervisord itself reads it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from supervisor.options import ServerOptions

from heraldsite import programs
from heraldsite.programs import Site, configuration, documented_site, this_site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return replace(this_site(), data_dir=tmp_path / "development", as_root=False)


def read_back(site: Site, **kwargs: bool) -> Any:
    """supervisord's own reading of the configuration of `site`."""
    site.log_dir.mkdir(parents=True)
    path = site.data_dir / "supervisord.conf"
    path.write_text(configuration(site, **kwargs))
    options = ServerOptions()
    options.realize(["--configuration", str(path)])
    return options


def processes(options: Any) -> dict[str, Any]:
    (group,) = options.process_group_configs
    return {config.name: config for config in group.process_configs}


def test_all_programs_are_in_one_group_so_that_they_stop_at_the_same_time(site):
    assert list(processes(read_back(site))) == [program.name for program in programs.programs(site)]


def test_every_program_is_started_by_an_absolute_path_from_the_sources(site):
    for config in processes(read_back(site)).values():
        assert Path(config.command.split()[0]) == site.python
        assert site.python.is_absolute()
        assert config.directory == str(site.root)


@pytest.mark.parametrize("drain", [timedelta(seconds=1), timedelta(seconds=8), timedelta(seconds=40)])
def test_supervisord_waits_longer_than_any_program_drains(site, drain):
    for config in processes(read_back(replace(site, drain=drain))).values():
        assert timedelta(seconds=config.stopwaitsecs) >= max(drain + timedelta(seconds=10), timedelta(seconds=20))


def test_a_program_is_restarted_killed_with_its_children_and_never_signalled_with_them(site):
    for config in processes(read_back(site)).values():
        assert config.autorestart is not False
        assert config.killasgroup is True
        assert config.stopasgroup is False


def test_a_percent_sign_and_a_space_in_a_path_are_read_back_as_they_are(site, tmp_path):
    odd = replace(site, data_dir=tmp_path / "100% of it", root=tmp_path / "a %d b")
    odd.root.mkdir()
    options = read_back(odd)
    assert options.logfile == str(odd.log_dir / "supervisord.log")
    bridge = processes(options)["bridge"]
    assert bridge.stdout_logfile == str(odd.log_dir / "bridge.log")
    assert bridge.directory == str(odd.root)
    assert f"'{odd.root}/manage.py'" in bridge.command
    assert bridge.environment["HERALD_DATA_DIR"] == str(odd.data_dir.parent)


def test_the_programs_are_told_stage_and_data_directory_but_no_secret_is_written(site, settings):
    settings.SECRET_KEY = "not to be written anywhere"
    text = configuration(site)
    assert f'DJANGO_SETTINGS_MODULE="{site.stage.settings_module}"' in text
    assert settings.SECRET_KEY not in text


def test_only_root_names_a_user(site):
    assert "\nuser=root\n" in configuration(replace(site, as_root=True))
    assert "\nuser=" not in configuration(site)


def test_supervisorctl_finds_a_socket_that_only_its_owner_may_use(site):
    (server,) = read_back(site).server_configs
    assert server["file"] == str(site.control_socket)
    assert server["chmod"] == 0o700


def test_a_path_too_long_for_a_socket_costs_supervisorctl_and_nothing_else(site, tmp_path):
    far = replace(site, data_dir=tmp_path / ("d" * 100))
    assert far.control_socket is None
    options = read_back(far)
    assert options.server_configs == []
    assert "bridge" in processes(options)


def test_at_a_terminal_output_comes_as_events_and_elsewhere_it_goes_to_rotated_files(site, tmp_path):
    at_terminal = processes(read_back(site, foreground=True))["web"]
    assert at_terminal.stdout_events_enabled is True
    assert at_terminal.stdout_logfile is None
    deployed = processes(read_back(replace(site, data_dir=tmp_path / "other")))["web"]
    assert deployed.stdout_events_enabled is False
    assert deployed.stdout_logfile == str(tmp_path / "other" / "log" / "web.log")
    assert deployed.stdout_logfile_backups > 0


def test_forwarded_addresses_are_believed_only_behind_a_proxy(site):
    assert "--proxy-headers" not in configuration(site)
    assert "--proxy-headers" in configuration(documented_site())


def test_the_bridge_may_open_a_file_for_each_client_or_as_many_as_the_machine_allows(monkeypatch):
    monkeypatch.setattr("resource.getrlimit", lambda which: (1_024, 1_048_576))
    assert programs.descriptors_for(1_000) > 1_000
    monkeypatch.setattr("resource.getrlimit", lambda which: (512, 512))
    assert programs.descriptors_for(1_000) == 512


def test_handshakes_have_descriptors_beside_the_clients(settings, monkeypatch):
    monkeypatch.setattr("resource.getrlimit", lambda which: (1_024, 1_048_576))
    without = programs.this_site().descriptors
    settings.BRIDGE_TLS_PORT = 9110
    assert programs.this_site().descriptors == without + settings.CLIENTS_MAX
