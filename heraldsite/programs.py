"""Which programs make up herald, and the one supervisord configuration that runs them.

`manage.py up` and `deploy/supervisord.conf` both come from `configuration()`. After a change here, write the sample anew:
`.venv/bin/python -m heraldsite.programs > deploy/supervisord.conf`.
"""

from __future__ import annotations

import os
import resource
import shlex
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.conf import settings

from heraldsite.stage import PRODUCTION, Stage

# A Unix socket's address holds 107 bytes, and supervisord first binds the name with its process id behind it.
SOCKET_PATH_MAX = 107 - len(".4194304")
# What supervisord waits after SIGTERM before it kills, and at the least how much longer than a program's own drain.
STOP_WAIT = timedelta(seconds=20)
STOP_MARGIN = timedelta(seconds=12)
# A bridge needs a descriptor per client, and some for itself.
DESCRIPTORS_BESIDE_CLIENTS = 256


@dataclass(frozen=True, slots=True)
class Program:
    """One program herald consists of. It has started when one of its lines contains `ready`, whatever the case."""

    name: str
    argv: tuple[str, ...]
    ready: str


@dataclass(frozen=True, slots=True)
class Site:
    """What the programs of one installation depend on."""

    stage: Stage
    python: Path
    root: Path
    data_dir: Path
    web_host: str
    web_port: int
    behind_proxy: bool
    drain: timedelta
    descriptors: int
    as_root: bool

    @property
    def log_dir(self) -> Path:
        return self.data_dir / "log"

    @property
    def configuration_path(self) -> Path:
        return self.data_dir / "supervisord.conf"

    @property
    def control_socket(self) -> Path | None:
        """The socket `supervisorctl` speaks to; None where the path is longer than a socket's may be."""
        path = self.data_dir / "supervisor.sock"
        return path if len(os.fsencode(path)) <= SOCKET_PATH_MAX else None


def this_site() -> Site:
    """Return the installation this process's settings describe."""
    return Site(
        stage=settings.STAGE,
        python=Path(sys.executable).absolute(),
        root=settings.BASE_DIR,
        data_dir=settings.DATA_DIR,
        web_host=settings.WEB_HOST,
        web_port=settings.WEB_PORT,
        behind_proxy=getattr(settings, "BEHIND_TLS", False),
        drain=settings.DRAIN,
        # As many handshakes may be under way beside the clients.
        descriptors=descriptors_for(settings.CLIENTS_MAX * (2 if settings.BRIDGE_TLS_PORT else 1)),
        as_root=os.geteuid() == 0,
    )


def documented_site() -> Site:
    """Return the installation that `deploy/README.md` describes: PRODUCTION with nothing but the defaults."""
    return Site(
        stage=PRODUCTION,
        python=Path("/srv/herald/.venv/bin/python"),
        root=Path("/srv/herald"),
        data_dir=Path("/var/lib/herald/production"),
        web_host="127.0.0.1",
        web_port=PRODUCTION.web_port,
        behind_proxy=True,
        drain=timedelta(seconds=8),
        descriptors=1_000 + DESCRIPTORS_BESIDE_CLIENTS,
        as_root=False,
    )


def descriptors_for(clients: int) -> int:
    """Return how many open files to ask for: enough for `clients`, no more than this process is allowed."""
    wanted = clients + DESCRIPTORS_BESIDE_CLIENTS
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return wanted if allowed == resource.RLIM_INFINITY else min(wanted, allowed)


def programs(site: Site | None = None) -> list[Program]:
    """Return the programs of `site` (default: this one), in the order in which they start."""
    site = site or this_site()
    return [
        Program("bridge", (str(site.python), str(site.root / "manage.py"), "run_bridge"), ready="listening on"),
        Program("web", web_argv(site), ready="listening on"),
        Program("reader", (str(site.python), str(site.root / "manage.py"), "run_readers"), ready="following the log"),
    ]


def web_argv(site: Site) -> tuple[str, ...]:
    """Return how daphne is started: without its access log, and believing a proxy only where there must be one."""
    proxy = ("--proxy-headers",) if site.behind_proxy else ()
    address = ("-b", site.web_host, "-p", str(site.web_port))
    return (
        str(site.python),
        "-m",
        "daphne",
        "-v",
        "0",
        "--no-server-name",
        *proxy,
        *address,
        "heraldsite.asgi:application",
    )


def configuration(site: Site, *, foreground: bool = False) -> str:
    """Return supervisord's configuration for `site`.

    With `foreground` the programs' output is handed on as events (to the terminal of `manage.py up`) and a program that
    does not start is given up soon; without, output goes to rotated files and a start is tried for half an hour.
    """
    parts = [HEADER, supervisord_section(site), control_sections(site), group_section(programs(site))]
    parts += [program_section(program, site, foreground=foreground) for program in programs(site)]
    return "\n\n".join(part for part in parts if part) + "\n"


# At a terminal heraldsite.supervision judges by what a program says; supervisord only has to keep from haste.
START_WATCHED = ("startsecs=1", "startretries=5")
# Elsewhere a program that fails on a slow machine must not pass for one that has worked and then ended.
START_UNWATCHED = ("startsecs=10", "startretries=60")

HEADER = """\
; Made by heraldsite/programs.py: a change here is lost. `manage.py up --print-config` prints it for an installation
; with other paths or ports."""


def supervisord_section(site: Site) -> str:
    lines = [
        "[supervisord]",
        f"identifier=herald-{site.stage.name.lower()}",
        # The programs inherit the rest of the environment: secrets stay out of this file.
        f"environment={environment(site)}",
        f"logfile={literal(site.log_dir / 'supervisord.log')}",
        "logfile_maxbytes=2000000",
        "logfile_backups=3",
        f"pidfile={literal(site.data_dir / 'supervisord.pid')}",
        f"childlogdir={literal(site.log_dir)}",
        "nodaemon=true",
        "silent=true",
        f"minfds={site.descriptors}",
    ]
    # Said aloud, supervisord does not warn about it; an ordinary user may not say it at all.
    return "\n".join([*lines, "user=root"] if site.as_root else lines)


def environment(site: Site) -> str:
    """What the programs must agree on with whoever made this file, wherever that was started from."""
    values = {
        "DJANGO_SETTINGS_MODULE": site.stage.settings_module,
        "HERALD_DATA_DIR": literal(site.data_dir.parent),
        "PYTHONUNBUFFERED": "1",
    }
    return ",".join(f'{name}="{value}"' for name, value in values.items())


def control_sections(site: Site) -> str:
    socket = site.control_socket
    if socket is None:
        return ""
    return f"""\
[unix_http_server]
file={literal(socket)}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{literal(socket)}"""


def group_section(members: list[Program]) -> str:
    """One group: supervisord stops groups one after the other, but the members of a group at the same time."""
    return f"[group:herald]\nprograms={','.join(program.name for program in members)}"


def program_section(program: Program, site: Site, *, foreground: bool) -> str:
    lines = [
        f"[program:{program.name}]",
        f"command={literal(shlex.join(program.argv))}",
        f"directory={literal(site.root)}",
        "autostart=true",
        "autorestart=true",
        *(START_WATCHED if foreground else START_UNWATCHED),
        # Never stopasgroup: a task queue's workers, signalled beside their master, leave it waiting for ever.
        f"stopwaitsecs={max(STOP_WAIT, site.drain + STOP_MARGIN) // timedelta(seconds=1)}",
        "killasgroup=true",
        "redirect_stderr=true",
    ]
    return "\n".join(lines + (output_to_events() if foreground else output_to_files(program, site)))


def output_to_events() -> list[str]:
    return ["stdout_logfile=NONE", "stdout_events_enabled=true"]


def output_to_files(program: Program, site: Site) -> list[str]:
    # Twice, because supervisord expands this one value twice.
    path = literal(literal(site.log_dir / f"{program.name}.log"))
    return [f"stdout_logfile={path}", "stdout_logfile_maxbytes=10000000", "stdout_logfile_backups=10"]


def literal(value: Path | str) -> str:
    """Return `value` so that supervisord reads it as it is: a percent sign begins an expansion there."""
    return str(value).replace("%", "%%")


if __name__ == "__main__":
    sys.stdout.write(configuration(documented_site()))
