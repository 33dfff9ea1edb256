"""What a person at the terminal of `manage.py up` is told, and how it ends; the programs here are small shell scripts."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from heraldsite.programs import Program
from heraldsite.supervision import LAST_WORDS, STARTS, Teller

ROOT = Path(__file__).resolve().parent.parent.parent
RUN = """
import json, sys
from pathlib import Path
from heraldsite.programs import Program
from heraldsite.supervision import Teller, Terminal, supervise
names = json.loads(sys.argv[2])
teller = Teller([Program(name, (), "listening on") for name in names], Terminal(), when_ready="READY")
sys.exit(0 if supervise(Path(sys.argv[1]), teller) else 1)
"""


@pytest.fixture
def said() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def teller(said: io.StringIO) -> Teller:
    members = [Program("bridge", (), "listening on"), Program("web", (), "listening on")]
    return Teller(members, Console(file=said, width=40), when_ready="ready: here")


def test_a_line_is_told_whole_under_its_programs_name_however_it_arrives(teller, said):
    teller.output("web", b"one\ntw")
    teller.output("bridge", b"other\n")
    teller.output("web", b"o\n")
    assert said.getvalue().splitlines() == ["   web │ one", "bridge │ other", "   web │ two"]


def test_a_long_line_is_neither_wrapped_nor_kept_for_ever(teller, said):
    teller.output("web", b"x" * 100_000)
    assert said.getvalue() == "   web │ " + "x" * 100_000 + "\n"


def test_what_looks_like_markup_or_is_no_text_is_told_as_it_stands(teller, said):
    teller.output("web", b"[bold]no[/bold] \xff\n")
    assert said.getvalue() == "   web │ [bold]no[/bold] \\xff\n"


def test_ready_is_said_once_after_the_last_program_has_said_so_of_itself(teller, said):
    teller.output("web", b"Listening on TCP address\n")
    assert "ready" not in said.getvalue()
    teller.output("bridge", b"listening on 127.0.0.1:1\n")
    teller.ended("bridge")
    teller.output("bridge", b"listening on 127.0.0.1:1\n")
    assert said.getvalue().count("ready: here") == 1


def test_a_program_that_never_gets_to_its_work_is_given_up_with_its_last_words(teller, said):
    for _ in range(STARTS):
        assert teller.failed is None
        for number in range(100):
            teller.output("bridge", f"line {number}\n".encode())
        teller.output("bridge", b"port taken")
        said.truncate(0)
        teller.ended("bridge")
    told = said.getvalue()
    assert teller.failed == "bridge"
    assert "bridge cannot be started" in told
    assert "    port taken" in told
    assert "    line 99" in told
    assert told.count("    line ") == LAST_WORDS - 1


def test_a_program_that_worked_in_between_is_never_given_up(teller):
    for _ in range(10 * STARTS):
        teller.ended("bridge")
        teller.output("bridge", b"listening on 127.0.0.1:1\n")
        teller.ended("bridge")
    assert teller.failed is None


@contextmanager
def supervised(directory: Path, **scripts: str) -> Iterator[subprocess.Popen[str]]:
    """supervise() over shell scripts, in a process of its own."""
    text = f"""
[supervisord]
nodaemon=true
silent=true
logfile={directory}/supervisord.log
pidfile={directory}/pid
"""
    for name, script in scripts.items():
        (directory / f"{name}.sh").write_text(script)
        text += f"""
[program:{name}]
command=/bin/sh {directory}/{name}.sh
startsecs=1
startretries=5
autorestart=true
redirect_stderr=true
stdout_logfile=NONE
stdout_events_enabled=true
"""
    (directory / "conf").write_text(text)
    command = [sys.executable, "-c", RUN, str(directory / "conf"), json.dumps(list(scripts))]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Return what was said up to the line that contains `text`."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return "".join(lines)
    pytest.fail(f"never said {text!r}:\n{''.join(lines)}")


STAYS = "echo listening on something; exec sleep 60"


def test_a_reader_of_the_output_that_goes_away_ends_nothing(tmp_path):
    beat = tmp_path / "beat"
    with supervised(
        tmp_path, one=f"echo listening on it; while sleep 0.1; do echo more; echo x >> {beat}; done"
    ) as process:
        read_until(process, "READY")
        assert process.stdout is not None
        process.stdout.close()
        deadline = time.monotonic() + 60
        while (beat.read_text() if beat.exists() else "").count("x") < 15 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert process.poll() is None
        assert beat.read_text().count("x") >= 15
        process.terminate()
        assert process.wait(60) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_and_a_closed_terminal_end_all_programs_well(tmp_path, number):
    with supervised(tmp_path, one=STAYS, two=STAYS) as process:
        read_until(process, "READY")
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "stopping" in said


@pytest.mark.parametrize("pause", [0, 1.5])
def test_one_program_that_cannot_start_ends_all_of_it_with_its_last_words_soon_or_late(tmp_path, pause):
    with supervised(tmp_path, good=STAYS, bad=f"sleep {pause}; echo the port is taken; exit 3") as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "bad cannot be started. Its last words:\n    the port is taken" in said


def test_a_program_that_ends_by_itself_is_said_and_started_again(tmp_path):
    first = f"{tmp_path}/first"
    with supervised(
        tmp_path, one=f"echo listening on it; [ -e {first} ] && exec sleep 60; touch {first}; sleep 2"
    ) as process:
        said = read_until(process, "one has ended by itself")
        read_until(process, "listening on it")
        process.terminate()
        process.communicate(timeout=60)
    assert said.count("READY") == 1
    assert process.returncode == 0


def test_a_stop_during_failed_starts_is_a_good_end(tmp_path):
    with supervised(tmp_path, good=STAYS, bad="exit 3") as process:
        read_until(process, "bad did not start")
        time.sleep(0.1)
        process.terminate()
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "cannot be started" not in said
