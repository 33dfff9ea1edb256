from __future__ import annotations

from pathlib import Path

from logs.query import FIELDS
from logs.query.reference import page

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_page_about_the_language_is_what_the_tables_make():
    assert (ROOT / "docs" / "query.md").read_text() == page(), "run `make generated`"


def test_the_page_names_every_field():
    assert [field.name for field in FIELDS if f"| `{field.name}`" not in page()] == []
