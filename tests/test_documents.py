"""What the documents promise: the variables, files and commands they name exist, and none is left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from heraldsite import programs
from tests.heraldsite.test_stages import PRODUCTION, settings_of

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + [
    *sorted((ROOT / "deploy").glob("**/*.md")),
    *sorted((ROOT / "docs").glob("**/*.md")),
]
EXAMPLE = (ROOT / "deploy" / "env.example").read_text()
SHOWN_DEFAULT = re.compile(r"^#(HERALD_\w+)=(.*)$", re.MULTILINE)
LISTED = re.compile(r"^#?(HERALD_\w+)=", re.MULTILINE)


def test_env_example_lists_each_variable_the_settings_read_and_no_other():
    read = set()
    for path in (ROOT / "heraldsite" / "settings").glob("*.py"):
        read |= set(re.findall(r'"(HERALD_[A-Z_]+)"', path.read_text()))
    listed = LISTED.findall(EXAMPLE)
    assert len(listed) == len(set(listed))
    assert set(listed) == read


def test_the_defaults_shown_in_env_example_are_the_defaults(tmp_path):
    shown = dict(SHOWN_DEFAULT.findall(EXAMPLE))
    assert len(shown) > 15
    without = settings_of(tmp_path, **PRODUCTION)
    assert settings_of(tmp_path, **PRODUCTION, **shown) == without


def test_the_supervisord_configuration_in_deploy_is_what_the_programs_make():
    made = programs.configuration(programs.documented_site())
    assert (ROOT / "deploy" / "supervisord.conf").read_text() == made, "run `make generated`"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_of_a_document_leads_to_a_file(document):
    targets = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", document.read_text())
    targets += re.findall(r'(?:src|srcset)="(?!https?://)([^"#]+)"', document.read_text())
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_make_command_a_document_names_exists(document):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert targets
    named = set(re.findall(r"(?:`|^\s+)make ([a-z-]+)", document.read_text(), re.MULTILINE))
    assert named <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_variable_a_document_names_is_one_herald_reads(document):
    named = set(re.findall(r"\bHERALD_[A-Z_]+[A-Z]\b", document.read_text()))
    assert named <= {*LISTED.findall(EXAMPLE), "HERALD_REQUIRE_ALL"}


def test_each_package_of_the_apt_list_is_a_name_on_a_line_of_its_own():
    lines = (ROOT / "deploy" / "apt-packages.txt").read_text().splitlines()
    packages = [name for line in lines if (name := line.partition("#")[0].strip())]
    assert {"python3", "python3-venv", "postgresql", "chromium", "openssh-server", "autossh"} <= set(packages)
    assert [name for name in packages if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name)] == []
