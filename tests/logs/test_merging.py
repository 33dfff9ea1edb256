"""`msg % args` as Python does it, as long as it is plain; anything that could cost much is left unmerged."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logs.merging import CONVERSIONS_MAX, merge

LIMIT = 10_000


@pytest.mark.parametrize(
    ("msg", "args", "merged"),
    [
        ("%s is %d", ["x", 3], "x is 3"),
        ("%5.2f%% of %s", [2.5, "it"], " 2.50% of it"),
        ("%-5s|%05d|%+d|% d|%#x", ["a", 42, 1, 1, 255], "a    |00042|+1| 1|0xff"),
        (
            "%i %u %o %X %e %E %g %G %c %c",
            [1, 2, 8, 255, 1.0, 1.0, 0.5, 0.5, "a", 66],
            "1 2 10 FF 1.000000e+00 1.000000E+00 0.5 0.5 a B",
        ),
        ("%r %a", ["ü", "ü"], r"'ü' '\xfc'"),
        ("%ld %hd", [1, 2], "1 2"),
        ("%s", [None], "None"),
        ("%s %r", [[1, "a"], {"b": None}], "[1, 'a'] {'b': None}"),
        ("%(a)s and %(b)d", {"a": "x", "b": 2, "unused": 1}, "x and 2"),
        ("%(a)s%(a)s", {"a": "x"}, "xx"),
        ("%s", {"a": 1}, "{'a': 1}"),
        ("%%", [], "%"),
        ("%d", [True], "1"),
        ("%s", ["%s %(a)s {0}"], "%s %(a)s {0}"),
    ],
)
def test_plain_message_is_merged_as_python_merges_it(msg: str, args: object, merged: str):
    assert merge(msg, args, LIMIT) == merged


@pytest.mark.parametrize(
    ("msg", "args"),
    [
        pytest.param("%999999999d", [1], id="wide"),
        pytest.param("%100d", [1], id="three-digits"),
        pytest.param("%.999999999f", [1.0], id="precise"),
        pytest.param("%*d", [999999999, 1], id="width-from-args"),
        pytest.param("%.*f", [999999999, 1.0], id="precision-from-args"),
        pytest.param("100%, surely", [1], id="no-conversion"),
        pytest.param("%", [1], id="a-lone-sign"),
        pytest.param("%5%", [], id="an-odd-percent"),
        pytest.param("%s", [1, 2], id="too-many"),
        pytest.param("%s %s", [1], id="too-few"),
        pytest.param("%d", ["x"], id="no-number"),
        pytest.param("%c", [-1], id="no-character"),
        pytest.param("%d", [float("nan")], id="not-a-number"),
        pytest.param("%(missing)s", {"a": 1}, id="no-such-name"),
        pytest.param("%(a)s", ["x"], id="names-for-a-list"),
        pytest.param("%(a)s %s", {"a": 1}, id="names-and-positions"),
        pytest.param("no conversion", {"a": 1}, id="dict-for-nothing"),
        pytest.param("%s", "text", id="args-are-text"),
        pytest.param("%s", 5, id="args-are-a-number"),
        pytest.param("%f", [10**400], id="number-beyond-floats"),
        pytest.param("%s", ["x" * (LIMIT + 1)], id="long-argument"),
        pytest.param("%(a)s" * 100, {"a": "x" * 200}, id="long-result"),
        pytest.param("%(a)s" * (CONVERSIONS_MAX + 1), {"a": ""}, id="many-conversions"),
    ],
)
def test_unusual_message_is_left_unmerged(msg: str, args: object):
    assert merge(msg, args, LIMIT) is None


def test_attribute_and_index_access_is_plain_text():
    assert merge("{0.__class__.__mro__} %s", ["x"], LIMIT) == "{0.__class__.__mro__} x"


def test_conversions_that_print_nothing_still_pay_for_what_they_look_at():
    args = {"a": ["x" * 1_000] * 1_000, "b": "y" * 250_000}

    taken = []
    for _ in range(3):  # the machine may stall for a moment; a slow merge is slow every time
        start = time.perf_counter()
        assert merge("%(a).0s" * 900, args, 262_144) is None
        assert merge("%(b).0r" * 900, args, 262_144) is None
        taken.append(time.perf_counter() - start)

    assert min(taken) < 0.5


plain = st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False) | st.text(max_size=10)


@settings(deadline=None)
@given(
    st.lists(
        st.text(st.characters(exclude_characters="%"), max_size=5) | st.sampled_from(["%s", "%d", "%5.1f", "%r", "%%"])
    ),
    st.lists(plain, max_size=4),
)
def test_whatever_is_merged_is_what_python_makes_of_it(pieces: list[str], args: list[object]):
    msg = "".join(pieces)
    merged = merge(msg, args, LIMIT)

    if merged is not None:
        assert merged == msg % tuple(args)


@settings(deadline=None)
@given(
    st.text(alphabet="%sdr()a.*09-+ #lx{}", max_size=30),
    st.lists(plain, max_size=3) | st.dictionaries(st.just("a"), plain),
)
def test_no_template_raises(msg: str, args: object):
    merged = merge(msg, args, LIMIT)

    assert merged is None or len(merged) <= LIMIT
