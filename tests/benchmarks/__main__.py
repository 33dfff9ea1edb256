"""Run the benchmarks of one area, or all; see the package's first lines."""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
import time

import django

import tests.benchmarks as package


def modules(area: str) -> list[str]:
    """Return the names of the benchmark modules of `area` (all for an empty one)."""
    found = sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))
    return [name for name in found if not area or name == area or name.startswith(f"{area}_")]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--area", default="", help="only this area: bridge, live, …")
    chosen = modules(parser.parse_args().area)
    if not chosen:
        print("no such area; there are:", ", ".join(sorted({n.split("_")[0] for n in modules("")})), file=sys.stderr)
        return 2
    missed = 0
    for name in chosen:
        begun = time.monotonic()
        for result in importlib.import_module(f"tests.benchmarks.{name}").measure():
            print(json.dumps(result.as_dict()), flush=True)
            missed += not result.holds
        print(f"{name}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    django.setup()
    sys.exit(main())
