"""supervisord in this very process, telling a person at a terminal what the programs do."""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text
from supervisor import events
from supervisor.medusa.asyncore_25 import ExitNow
from supervisor.options import ServerOptions
from supervisor.states import SupervisorStates
from supervisor.supervisord import Supervisor

from heraldsite.programs import Program

LAST_WORDS = 20
STARTS = 3
LINE_MAX = 65_536


class Terminal(Console):
    """A terminal, or a pipe in its place, whose going away ends nothing: what is said then is said to nobody."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        # Else the interpreter, when it flushes at its end, makes a failure of it.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


class Teller:
    """Writes the programs' output line by line, and knows which of them do their work and which has failed.

    A program does its work from the line on that says so. How long it has run means nothing: on a busy machine even a
    program that fails takes its time.
    """

    def __init__(self, programs: list[Program], console: Console, *, when_ready: str) -> None:
        self.failed: str | None = None
        names = [program.name for program in programs]
        self._ready = {program.name: program.ready.lower() for program in programs}
        self._working: set[str] = set()
        self._failed_starts = dict.fromkeys(names, 0)
        self._unfinished = dict.fromkeys(names, b"")
        self._last: dict[str, deque[str]] = {name: deque(maxlen=LAST_WORDS) for name in names}
        self._console = console
        self._when_ready: str | None = when_ready

    def output(self, name: str, data: bytes) -> None:
        """Take what the program wrote; a line is told once its end is there, or when it is too long to wait for."""
        *lines, rest = (self._unfinished[name] + data).split(b"\n")
        if len(rest) > LINE_MAX:
            lines, rest = [*lines, rest], b""
        self._unfinished[name] = rest
        for line in lines:
            self._line(name, line.decode(errors="backslashreplace").rstrip())

    def _line(self, name: str, line: str) -> None:
        self._last[name].append(line)
        self._tell(f"{name:>6} │ ", line, style="cyan")
        if self._ready[name] in line.lower():
            self._works(name)

    def _works(self, name: str) -> None:
        self._working.add(name)
        self._failed_starts[name] = 0
        if self._when_ready is not None and len(self._working) == len(self._ready):
            self.herald(self._when_ready)
            self._when_ready = None

    def ended(self, name: str) -> None:
        """Note that a program has ended untold; one that never got to its work a few times in a row has failed."""
        self._flush(name)
        if name in self._working:
            self._working.remove(name)
            self.herald(f"{name} has ended by itself; it is started again", style="yellow")
            return
        self._failed_starts[name] += 1
        if self._failed_starts[name] < STARTS:
            self.herald(f"{name} did not start; it is tried again", style="yellow")
        else:
            self.gave_up(name)

    def gave_up(self, name: str) -> None:
        """Note that a program cannot be started, with what it said last."""
        self.failed = name
        words = "\n".join(f"    {line}" for line in self._last[name]) or "    (it said nothing)"
        self.herald(f"{name} cannot be started. Its last words:\n{words}", style="bold red")

    def _flush(self, name: str) -> None:
        if self._unfinished[name]:
            self.output(name, b"\n")

    def herald(self, line: str, *, style: str = "bold green") -> None:
        self._tell("herald │ ", line, style=style)

    def _tell(self, who: str, line: str, *, style: str) -> None:
        try:
            self._console.print(Text(who, style=style) + Text(line), soft_wrap=True)
        except OSError:
            # A terminal that is gone fails with EIO, which is no broken pipe.
            pass


class Foreground(Supervisor):  # type: ignore[misc]
    """supervisord that stops, all of it, when one program cannot be started or when the terminal goes away."""

    def __init__(self, options: Any, teller: Teller) -> None:
        super().__init__(options)
        self.teller = teller

    def runforever(self) -> None:
        # Not earlier: supervisord forgets all subscribers just before this, and sets its own signals.
        events.subscribe(events.ProcessLogEvent, self._on_output)
        events.subscribe(events.ProcessStateExitedEvent, self._on_end)
        events.subscribe(events.ProcessStateBackoffEvent, self._on_end)
        events.subscribe(events.ProcessStateFatalEvent, self._on_fatal)
        signal.signal(signal.SIGHUP, lambda number, frame: self.options.signal_receiver.receive(signal.SIGTERM, frame))
        super().runforever()

    def handle_signal(self) -> None:
        before = self.options.mood
        super().handle_signal()
        if before == SupervisorStates.RUNNING and self.options.mood == SupervisorStates.SHUTDOWN:
            self.teller.herald("stopping …")

    def _on_output(self, event: Any) -> None:
        self.teller.output(name_of(event), event.data)

    def _on_end(self, event: Any) -> None:
        if self.options.mood == SupervisorStates.RUNNING:
            self.teller.ended(name_of(event))
            self._stop_after_failure()

    def _on_fatal(self, event: Any) -> None:
        # Told to stop, supervisord also gives up what it was about to start again: that is no failure.
        if self.options.mood == SupervisorStates.RUNNING:
            self.teller.gave_up(name_of(event))
            self._stop_after_failure()

    def _stop_after_failure(self) -> None:
        if self.teller.failed:
            self.options.mood = SupervisorStates.SHUTDOWN


def name_of(event: Any) -> str:
    return str(event.process.config.name)


def supervise(configuration: Path, teller: Teller) -> bool:
    """Run what `configuration` (a supervisord file) names until SIGINT, SIGTERM or SIGHUP; say whether it went well."""
    options = ServerOptions()
    options.realize(["--nodaemon", "--configuration", str(configuration)])
    options.first = True
    options.test = False
    try:
        Foreground(options, teller).main()
    except ExitNow:
        pass
    options.close_httpservers()
    options.close_logger()
    return teller.failed is None
