"""The files of deploy/tunnel, with a real sshd on loopback: the commands are taken from them, so that they cannot lie."""

from __future__ import annotations

import configparser
import contextlib
import os
import pwd
import re
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from logs.client import sender as line
from logs.client import wire
from tests.end_to_end.conftest import PATIENCE, ROOT, Running, Site, free_port
from tests.end_to_end.test_forwarding import destination, messages, send, wait_until

DEPLOY = ROOT / "deploy" / "tunnel"
SSHD, SSH, AUTOSSH, ANALYZE = map(
    Path, ("/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/autossh", "/usr/bin/systemd-analyze")
)
UNITS = ["herald-tunnel@.service", "herald-autossh@.service"]
STARTS = [*UNITS, "supervisord.conf", "crontab"]
USER = pwd.getpwuid(os.geteuid()).pw_name

needs_ssh = pytest.mark.skipif(
    not (SSHD.exists() and SSH.exists()),
    reason=f"{SSHD} or {SSH} is not there: apt-get install openssh-server openssh-client",
)
needs_autossh = pytest.mark.skipif(not AUTOSSH.exists(), reason=f"{AUTOSSH} is not there: apt-get install autossh")


@dataclass
class Etc:
    """What /etc/herald is on both machines: the files of deploy/tunnel, as README.md says to install them."""

    directory: Path
    sshd_port: int

    @property
    def restricted(self) -> Path:
        return self.directory / "tunnel-central.key"

    @property
    def bare(self) -> Path:
        """A key whose line in authorized_keys restricts nothing."""
        return self.directory / "bare.key"

    def here(self, name: str) -> str:
        """Return a file of deploy/tunnel, with these places instead of the documented ones."""
        text = (DEPLOY / name).read_text()
        return text.replace("/etc/herald", str(self.directory)).replace("User herald-tunnel", f"User {USER}")

    def install(self) -> None:
        for key in (self.restricted, self.bare, self.directory / "host.key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        (self.directory / "tunnel_ssh_config").write_text(self.here("ssh_config"))
        (self.directory / "sshd.conf").write_text(self.here("sshd.conf"))
        host = (self.directory / "host.key.pub").read_text()
        (self.directory / "tunnel-central.known_hosts").write_text(f"[127.0.0.1]:{self.sshd_port} {host}")
        (self.directory / "sshd_config").write_text(
            f"Port {self.sshd_port}\nListenAddress 127.0.0.1\nHostKey {self.directory}/host.key\nPidFile none\n"
            "StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nLogLevel VERBOSE\n"
            f"PermitRootLogin prohibit-password\nInclude {self.directory}/sshd.conf\n"
        )

    def configure(self, direction: str, listening: int, bridge: int) -> None:
        """Write the tunnel's settings, and let its key in on the other machine for just that."""
        env = self.here("tunnel.env.example")
        (forward,) = re.findall(rf'^#?(TUNNEL_FORWARD="{direction} .*")$', env, re.MULTILINE)
        changes = {
            r"^TUNNEL_FORWARD=.*": forward,
            r"^TUNNEL_TO=.*": f"TUNNEL_TO={USER}@127.0.0.1",
            r"^TUNNEL_PORT=22$": f"TUNNEL_PORT={self.sshd_port}",
            "tunnel-NAME": "tunnel-central",
            r"\b9017\b": str(listening),
            r"\b9024\b": str(bridge),
        }
        for old, new in changes.items():
            assert re.search(old, env, re.MULTILINE)
            env = re.sub(old, new, env, flags=re.MULTILINE)
        (self.directory / "tunnel-central.env").write_text(env)

        which = {"-L": "push", "-R": "pull"}[direction]
        lines = self.here("authorized_keys.example").splitlines()
        (allowed,) = [line for line in lines if line.endswith(f"PUBLIC-KEY {which}")]
        allowed = allowed.replace("9017", str(listening)).replace("9024", str(bridge))
        allowed = allowed.replace("PUBLIC-KEY", self.restricted.with_suffix(".key.pub").read_text().strip())
        bare = self.bare.with_suffix(".key.pub").read_text()
        (self.directory / "tunnel.authorized_keys").write_text(f"{allowed}\n{bare}")

    def command(self, name: str) -> list[str]:
        """Return what a unit, supervisord or cron would run."""
        text = self.here(name)
        if name == "crontab":
            (entry,) = [line for line in text.splitlines() if line.startswith("*")]
            return ["sh", "-c", f"TUNNEL=central DIRECTORY={self.directory}; {entry.split(maxsplit=5)[5]}"]
        if name == "supervisord.conf":
            command = parsed(text)["program:herald-tunnel-central"]["command"].replace("sleep 5;", "")
            return shlex.split(command)
        service = parsed(text)["Service"]
        env = environment(Path(service["EnvironmentFile"].replace("%i", "central")))
        more = shlex.split(service.get("Environment", ""))
        return ["/usr/bin/env", *more, *expanded(service["ExecStart"], env)]

    def with_key(self, key: Path, *arguments: str) -> list[str]:
        """Return an ssh command of somebody who has a key, and other wishes than a tunnel's."""
        known = f"UserKnownHostsFile={self.directory}/tunnel-central.known_hosts"
        config = f"{self.directory}/tunnel_ssh_config"
        return ["ssh", "-F", config, "-i", str(key), "-o", known, "-p", str(self.sshd_port), *arguments]

    def ssh(self, key: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return ended(self.with_key(key, *arguments))


def ended(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself; its exit code is not checked."""
    return subprocess.run(
        command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE
    )


def parsed(text: str) -> configparser.ConfigParser:
    """Parse a unit or supervisord's file: the former continues lines by a backslash."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(re.sub(r"\\\n\s*", "", text))
    return parser


def environment(path: Path) -> dict[str, str]:
    settings = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return {name: " ".join(shlex.split(value)) for name, _, value in (each.partition("=") for each in settings)}


def expanded(command: str, env: dict[str, str]) -> list[str]:
    """Put variables in as systemd does: ${X} within a word stays one word, a word $X becomes as many as it has."""
    words = []
    for word in shlex.split(command):
        if re.fullmatch(r"\$\w+", word):
            words += env[word[1:]].split()
        else:
            words.append(re.sub(r"\$\{(\w+)\}", lambda found: env[found[1]], word))
    return words


@pytest.fixture(scope="module")
def etc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etc]:
    """Two machines in one: /etc/herald, and a running sshd of the test's own."""
    found = Etc(tmp_path_factory.mktemp("etc"), free_port())
    found.install()
    found.configure("-L", 9017, 9024)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # what the package's service makes at its start
    daemon = Running([SSHD, "-D", "-e", "-f", found.directory / "sshd_config"], dict(os.environ))
    try:
        daemon.wait_for("Server listening")
        yield found
    finally:
        daemon.stop()


@dataclass
class Pair:
    """Two bridges with a tunnel's ends between them: rows of `near` go on to its own port `local`."""

    near: Site
    far: Site
    local: int
    far_process: Running

    def state(self) -> str:
        return str(destination(self.near)["state"])

    def told(self) -> str:
        return str(destination(self.near)["state_text"])

    def enable(self, yes: bool) -> None:
        self.near.sql("UPDATE bridge_destination SET enabled = %s", yes)


@pytest.fixture(scope="module")
def _bridges(shared_sites: Callable[[str], Site]) -> Pair:
    near, far = shared_sites("near"), shared_sites("far")
    local = free_port()
    done = near.manage("destinations", "add", "far", f"127.0.0.1:{local}")
    assert done.returncode == 0, done.stderr
    far_process = far.start_bridge()
    near.start_bridge()
    return Pair(near, far, local, far_process)


@pytest.fixture
def pair(_bridges: Pair, etc: Etc) -> Iterator[Pair]:
    """The pair with its destination on; between tests it is off, so that no back-off of one test delays another."""
    etc.configure("-L", _bridges.local, _bridges.far.bridge_port)
    _bridges.enable(True)
    yield _bridges
    _bridges.enable(False)


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[Running]:
    """Run a command that opens a tunnel; it and its children are gone afterwards."""
    process = Running(command, dict(os.environ))
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGSTOP)  # or it would begin anew what is killed next
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
        process.stop(signal.SIGKILL)


def wait_open(port: int, process: Running) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    pytest.fail(f"no tunnel was opened:\n{process.output}")


# --- Rows that go through ------------------------------------------------------------------------------------------------


@needs_ssh
def test_rows_wait_while_the_tunnel_is_down_and_arrive_once_when_it_is_back(pair: Pair, etc: Etc):
    with running(etc.command("herald-tunnel@.service")) as tunnel:
        send(pair.near, 0, 300, "tunnel")
        pair.far.wait_for_rows(300, "system_id = 'tunnel'")
        assert pair.state() == "connected"
        tunnel.stop(signal.SIGKILL)
        wait_until(lambda: pair.state() == "unreachable")
        assert "nothing accepts connections there" in pair.told()
        send(pair.near, 300, 300, "tunnel")
        pair.near.wait_for_rows(600, "system_id = 'tunnel'")
        wait_until(lambda: destination(pair.near)["waiting"] >= 300)
        assert pair.far.count("system_id = 'tunnel'") == 300
    with running(etc.command("herald-tunnel@.service")):
        pair.far.wait_for_rows(600, "system_id = 'tunnel'")
        assert messages(pair.far, "tunnel") == list(range(600))


@needs_ssh
def test_a_bridge_that_is_down_behind_a_tunnel_that_is_up_is_told_from_a_tunnel_that_is_down(pair: Pair, etc: Etc):
    with running(etc.command("herald-tunnel@.service")) as tunnel:
        send(pair.near, 0, 300, "bridge")
        pair.far.wait_for_rows(300, "system_id = 'bridge'")
        pair.far_process.stop(signal.SIGKILL)
        wait_until(lambda: pair.state() == "silent")
        assert "a tunnel that is up, to a bridge that is down" in pair.told()
        send(pair.near, 300, 300, "bridge")
        pair.near.wait_for_rows(600, "system_id = 'bridge'")
        pair.far_process = pair.far.start_bridge()
        pair.far.wait_for_rows(600, "system_id = 'bridge'")
        assert messages(pair.far, "bridge") == list(range(600))
        assert tunnel.poll() is None


@needs_ssh
def test_the_central_site_may_open_the_tunnel_and_pull(pair: Pair, etc: Etc):
    etc.configure("-R", pair.local, pair.far.bridge_port)
    with running(etc.command("herald-tunnel@.service")):
        send(pair.near, 0, 300, "pull")
        pair.far.wait_for_rows(300, "system_id = 'pull'")
        assert messages(pair.far, "pull") == list(range(300))


@needs_ssh
@needs_autossh
def test_autossh_begins_a_killed_ssh_again(pair: Pair, etc: Etc):
    with running(etc.command("herald-autossh@.service")) as autossh:
        send(pair.near, 0, 300, "autossh")
        pair.far.wait_for_rows(300, "system_id = 'autossh'")
        (first,) = psutil.Process(autossh.pid).children()
        first.kill()
        send(pair.near, 300, 300, "autossh")
        pair.far.wait_for_rows(600, "system_id = 'autossh'")
        assert messages(pair.far, "autossh") == list(range(600))
        assert psutil.Process(autossh.pid).children() != [first]


@needs_ssh
def test_a_tunnel_that_carries_nothing_over_is_silent(pair: Pair, etc: Etc, monkeypatch: pytest.MonkeyPatch):
    """A stopped ssh stands for one whose link is dead: the kernel still accepts connections in its name."""
    monkeypatch.setattr(line, "CONNECT_SECONDS", 1.0)
    pair.enable(False)
    states: list[tuple[str, str]] = []
    sender = line.Sender(
        lambda: line.Address("127.0.0.1", pair.local),
        Mute(),
        lambda: wire.Hello(sender="stopped-tunnel"),
        lambda *state: states.append(state),
    )
    thread = threading.Thread(target=sender.run, daemon=True)
    with running(etc.command("herald-tunnel@.service")) as tunnel:
        wait_open(pair.local, tunnel)
        tunnel.send_signal(signal.SIGSTOP)
        thread.start()
        wait_until(lambda: sender.state == "silent")
        tunnel.send_signal(signal.SIGCONT)
        wait_until(lambda: sender.state == "connected")
        sender.stop(0.0)
        thread.join(10)

    (text,) = {text for state, text in states if state == "silent"}
    assert "a tunnel's other end is gone" in text
    assert not {"unreachable", "refused"} & {state for state, _ in states}


class Mute(line.Buffer):
    """A buffer with nothing in it."""

    def begin(self, welcome: wire.Welcome, hello: wire.Hello) -> None:
        pass

    def read(self, bytes_max: int) -> list[tuple[wire.Sequence, bytes]]:
        return []


# --- The tunnel alone -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def echo() -> Iterator[int]:
    """Serve a port that says what it is told; stands for the bridge where no row is needed."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                with server.accept()[0] as client, contextlib.suppress(OSError):
                    while data := client.recv(100):
                        client.sendall(data)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)


@needs_ssh
@needs_autossh
@pytest.mark.parametrize("direction", ["-L", "-R"])
@pytest.mark.parametrize("start", STARTS)
def test_each_way_to_start_a_tunnel_opens_it_in_either_direction(etc: Etc, start: str, direction: str):
    local = free_port()
    with echo() as port:
        etc.configure(direction, local, port)
        with running(etc.command(start)) as tunnel:
            wait_open(local, tunnel)
            with socket.create_connection(("127.0.0.1", local), 10) as client:
                client.sendall(b"as it went in")
                assert client.recv(100) == b"as it went in"
            if start == "crontab":
                again = ended(etc.command(start))
                assert (again.returncode, again.stdout + again.stderr) == (0, "")


@needs_ssh
def test_a_tunnel_whose_other_machine_has_vanished_ends(etc: Etc):
    local = free_port()
    with echo() as port:
        etc.configure("-L", local, port)
        quick = (
            (etc.directory / "tunnel_ssh_config").read_text().replace("ServerAliveInterval 10", "ServerAliveInterval 1")
        )
        assert "ServerAliveInterval 1\n" in quick
        (etc.directory / "quick").write_text(quick)
        before = {process.pid for process in sessions()}
        command = [word.replace("tunnel_ssh_config", "quick") for word in etc.command("herald-tunnel@.service")]
        with running(command) as tunnel:
            wait_open(local, tunnel)
            there = [process for process in sessions() if process.pid not in before]
            for process in there:
                process.suspend()
            try:
                assert tunnel.wait(PATIENCE) == 255
            finally:
                for process in there:
                    process.kill()
    assert there


def sessions() -> list[psutil.Process]:
    """Return what this test's sshd has started for its clients."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if child.name() == "sshd" and child.parent() != psutil.Process()]


@needs_ssh
def test_a_tunnel_whose_port_is_taken_ends(etc: Etc):
    with echo() as port:
        etc.configure("-L", port, port)
        done = ended(etc.command("herald-tunnel@.service"))
    assert done.returncode == 255
    assert "Address already in use" in done.stderr


@needs_ssh
def test_a_machine_with_another_key_than_the_one_written_down_is_refused(etc: Etc):
    etc.configure("-L", free_port(), 9024)
    known = etc.directory / "tunnel-central.known_hosts"
    right = known.read_text()
    known.write_text(f"[127.0.0.1]:{etc.sshd_port} {etc.bare.with_suffix('.key.pub').read_text()}")
    try:
        done = ended(etc.command("herald-tunnel@.service"))
    finally:
        known.write_text(right)
    assert done.returncode == 255
    assert "Host key verification failed" in done.stderr


# --- What the key does not open -----------------------------------------------------------------------------------------------


@needs_ssh
@pytest.mark.parametrize("key", ["restricted", "bare"])
@pytest.mark.parametrize(("options", "command"), [([], []), ([], ["echo got in"]), (["-tt"], []), (["-s"], ["sftp"])])
def test_no_key_of_the_account_opens_a_shell(etc: Etc, key: str, options: list[str], command: list[str]):
    etc.configure("-L", 9017, 9024)
    done = etc.ssh(getattr(etc, key), *options, f"{USER}@127.0.0.1", *command)

    assert done.returncode != 0
    assert "got in" not in done.stdout
    assert "not available" in done.stdout + done.stderr or "request failed" in done.stderr


@needs_ssh
@pytest.mark.parametrize("direction", ["-L", "-R"])
def test_the_key_reaches_no_other_port_than_its_own(etc: Etc, direction: str):
    with echo() as elsewhere:
        etc.configure(direction, free_port(), free_port())
        done = etc.ssh(etc.restricted, "-W", f"127.0.0.1:{elsewhere}", f"{USER}@127.0.0.1")
    assert done.returncode == 255
    assert "administratively prohibited" in done.stderr


@needs_ssh
@pytest.mark.parametrize("direction", ["-L", "-R"])
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_the_key_listens_on_no_other_port_than_its_own(etc: Etc, direction: str, address: str):
    etc.configure(direction, free_port(), free_port())
    forward = f"{address}:{free_port()}:127.0.0.1:1"
    done = etc.ssh(etc.restricted, "-N", "-R", forward, f"{USER}@127.0.0.1")
    assert done.returncode == 255
    assert "remote port forwarding failed" in done.stderr


@needs_ssh
@pytest.mark.parametrize("key", ["restricted", "bare"])
def test_no_key_reaches_a_socket_in_the_file_system(etc: Etc, key: str):
    path = etc.directory / f"{key}.sock"
    local = free_port()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        server.setblocking(False)
        forward = ["-N", "-L", f"127.0.0.1:{local}:{path}", f"{USER}@127.0.0.1"]
        with running(etc.with_key(getattr(etc, key), *forward)) as ssh:
            wait_open(local, ssh)
            with socket.create_connection(("127.0.0.1", local), 10) as client:
                assert client.recv(1) == b""
        with pytest.raises(BlockingIOError):
            server.accept()


# --- The files themselves -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", UNITS)
def test_systemd_has_nothing_to_say_against_a_unit(tmp_path: Path, name: str):
    text = (DEPLOY / name).read_text()
    service = parsed(text)["Service"]
    assert (service["Restart"], service["User"]) == ("always", "herald-tunnel")
    assert parsed(text)["Unit"]["StartLimitIntervalSec"] == "0"
    if not ANALYZE.exists() or not Path(shlex.split(service["ExecStart"])[0]).exists():
        return
    (tmp_path / name).write_text(text)
    done = ended([str(ANALYZE), "verify", "--man=no", str(tmp_path / name)])
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("start", STARTS)
def test_all_ways_to_start_a_tunnel_give_ssh_the_same_options(start: str):
    text = re.sub(r"\\\n\s*", "", (DEPLOY / start).read_text())
    (command,) = re.findall(r"^(?:ExecStart=|command=|\*).*?(-F .*?)(?:'| >>.*)?$", text, re.MULTILINE)
    plain = re.sub(r'["{}]', "", command)
    assert plain == (
        "-F /etc/herald/tunnel_ssh_config -N -T -i $TUNNEL_KEY -o UserKnownHostsFile=$TUNNEL_KNOWN_HOSTS "
        "-p $TUNNEL_PORT $TUNNEL_FORWARD $TUNNEL_TO"
    )
