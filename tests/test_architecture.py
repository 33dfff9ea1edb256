"""What holds for the whole house: who may import whom, and what nobody may do."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
APPS = ("heraldsite", "bridge", "neelix", "logs")
SOURCES = sorted(path for app in APPS for path in (ROOT / app).rglob("*.py"))
CLIENT = sorted((ROOT / "logs" / "client").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
# The settings answer for the environment; before they are loaded, the stage must be chosen from it.
READS_ENVIRONMENT = ("heraldsite/settings/", "heraldsite/stage.py", "logs/client/")
UNPICKLERS = {"pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[str]:
    """Yield the first word of every module a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_there_are_sources_to_judge():
    assert len(SOURCES) > 30
    assert CLIENT


def test_imports_point_down_only():
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


def test_no_module_is_a_drawer_for_odds_and_ends():
    drawers = {"util", "utils", "helper", "helpers", "common", "core", "misc", "tools"}
    found = [name(path) for path in SOURCES if drawers & {path.stem, *path.relative_to(ROOT).parts}]
    assert found == []


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_nothing_can_unpickle(path):
    assert set(imports(path)) & UNPICKLERS == set()


@pytest.mark.parametrize("path", CLIENT, ids=name)
def test_the_client_imports_the_standard_library_alone(path):
    assert set(imports(path)) <= set(sys.stdlib_module_names) | {"logs", "__future__"}
    assert not re.search(r"\blogs\.(?!client\b)", path.read_text())


@pytest.mark.parametrize("path", CLIENT, ids=name)
def test_the_client_keeps_to_the_syntax_of_python_3_8(path):
    ast.parse(path.read_text(), feature_version=(3, 8))


def test_only_the_settings_read_the_environment():
    reads = re.compile(r"\bos\.(?:environ|getenv)\b|from os import .*\b(?:environ|getenv)\b")
    found = [name(path) for path in SOURCES if reads.search(path.read_text())]
    assert [path for path in found if not path.startswith(READS_ENVIRONMENT)] == []


def test_each_file_says_in_its_first_line_what_it_is():
    mute = []
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        if tree.body and "migrations" not in path.parts and path.name != "apps.py" and not ast.get_docstring(tree):
            mute.append(name(path))
    assert mute == []


def checks(test: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a test asserts, expects an exception, or calls something whose name says that it does."""
    for node in ast.walk(test):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func).rpartition(".")[2]
            if re.match(r"(raises|fail|warns|assert|expect|wait_for|check|must|parse)", called.lstrip("_")):
                return True
    return False


def test_every_test_can_fail():
    idle = []
    for path in TESTS:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                idle += [] if checks(node) else [f"{name(path)}::{node.name}"]
    assert idle == []
