"""The Pythons of this machine, and what a program under one of them logs."""

from __future__ import annotations

import re
import shutil
from functools import cache
from pathlib import Path

VERSIONS = ("2.7", *(f"3.{minor}" for minor in range(6, 15)))

# Runs under Python 2.7 too. Argument: port, system, records for each of four connections.
CLIENT = """
# -*- coding: utf-8 -*-
import datetime, decimal, logging, logging.handlers, sys, threading

port, system, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
IDS = {"SYSTEM_ID": system, "SUB_SYSTEM_ID": "host-1"}
ODD = dict(IDS, raw=b"\\xff\\x00", many=set([1, 2]), when=datetime.datetime(2026, 11, 22), price=decimal.Decimal("1.50"))

def connection(number):
    logger = logging.getLogger("client.%d" % number)
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    logger.addHandler(logging.handlers.SocketHandler("127.0.0.1", port))
    return logger

def say(logger, number):
    for sequence in range(count):
        logger.info("%s/%d/%d", system, number, sequence, extra=ODD if sequence % 10 == 0 else IDS)

loggers = [connection(number) for number in range(4)]
threads = [threading.Thread(target=say, args=(loggers[number], number)) for number in range(1, 4)]
for thread in threads:
    thread.start()
if sys.version_info >= (3, 7):
    # As text: Python 2 does not know the syntax.
    exec("import asyncio\\nasync def main():\\n    say(loggers[0], 0)\\nasyncio.run(main())")
else:
    say(loggers[0], 0)
for thread in threads:
    thread.join()
logging.shutdown()
"""


@cache
def interpreters() -> dict[str, str]:
    """Return version → program of every Python found under ~/.pyenv/versions and on PATH."""
    found: dict[str, str] = {}
    for directory in sorted((Path.home() / ".pyenv" / "versions").glob("*")):
        match = re.match(r"(\d+\.\d+)\.", directory.name)
        program = directory / "bin" / "python"
        if match and program.exists():
            found[match[1]] = str(program)
    for version in VERSIONS:
        program_on_path = shutil.which(f"python{version}")
        if version not in found and program_on_path:
            found[version] = program_on_path
    return found


def as_numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
