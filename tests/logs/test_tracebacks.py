from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logs.tracebacks import is_library, pieces

CHAIN = """Traceback (most recent call last):
  File "/srv/shop/pay.py", line 3, in pay
    gateway.charge(
      amount,
    )
  File "/srv/shop/.venv/lib/python3.11/site-packages/gateway/api.py", line 9, in charge
    raise Refused()
gateway.Refused: no

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/usr/lib/python3.11/threading.py", line 1, in run
    self.go()
ValueError: x"""
GROUP = """  + Exception Group Traceback (most recent call last):
  |   File "/srv/shop/run.py", line 1, in <module>
  |     go()
  | ExceptionGroup: two (1 sub-exception)"""


def test_frames_of_a_kind_stand_together_and_words_between_them():
    assert [(piece.kind, piece.text.count("\n") + 1) for piece in pieces(CHAIN)] == [
        ("words", 1),
        ("own", 4),
        ("library", 2),
        ("words", 5),
        ("library", 2),
        ("words", 1),
    ]


def test_the_frames_of_a_group_of_exceptions_are_found():
    assert [piece.kind for piece in pieces(GROUP)] == ["words", "own", "words"]


@pytest.mark.parametrize(
    ("path", "library"),
    [
        ("/srv/shop/pay.py", False),
        ("/home/anna/python3/pay.py", False),
        ("<string>", False),
        ("/usr/lib/python3/dist-packages/x.py", True),
        ("/usr/local/lib/python3.12/asyncio/runners.py", True),
        ("C:\\Python311\\Lib\\threading.py", True),
        ("<frozen importlib._bootstrap>", True),
    ],
)
def test_installed_packages_and_the_standard_library_are_libraries(path: str, library: bool):
    assert is_library(path) is library


@given(st.text(alphabet='File "/x", line 1\n |+-'))
def test_nothing_of_a_text_is_lost(text: str):
    assert "\n".join(piece.text for piece in pieces(text)) == text
