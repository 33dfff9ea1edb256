"""The short form of the fuzz test; `make fuzz` runs the same for minutes."""

from __future__ import annotations

import subprocess
import sys
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.codecs import Reason
from tests.bridge import fuzz_codecs as fuzz

FATES = {*Reason, "stored"}


@settings(deadline=None)
@given(st.sampled_from(["", "}", "(", "\x80", "{"]), st.binary(max_size=300))
def test_any_bytes_are_a_record_or_rejected(first: str, rest: bytes):
    assert fuzz.check(first.encode("latin-1") + rest) in FATES


@settings(deadline=None, max_examples=300)
@given(st.randoms(use_true_random=False))
def test_mutated_frames_are_a_record_or_rejected(random: Random):
    assert fuzz.check(fuzz.mutated(random)) in FATES


@settings(deadline=None, max_examples=200)
@given(st.randoms(use_true_random=False))
def test_soup_of_opcodes_is_a_record_or_rejected(random: Random):
    assert fuzz.check(fuzz.soup(random)) in FATES


@settings(deadline=None, max_examples=300)
@given(st.randoms(use_true_random=False))
def test_strange_objects_are_a_record_or_rejected(random: Random):
    assert fuzz.check(fuzz.crafted(random)) in FATES


@settings(deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 5))
def test_all_who_read_a_safe_frame_read_the_same(random: Random, protocol: int):
    fuzz.check_agreement(fuzz.fields(random), protocol)


def test_fuzzing_from_the_command_line_tells_what_became_of_the_payloads():
    told = subprocess.run(
        [sys.executable, "-m", "tests.bridge.fuzz_codecs", "--seconds", "1", "--seed", "1"],
        capture_output=True,
        text=True,
        timeout=250,
    )

    assert told.returncode == 0, told.stderr
    assert "malformed" in told.stdout
    assert "stored" in told.stdout


def test_a_broken_rule_is_noticed():
    def breaks(payload: bytes) -> None:
        raise IndexError("as a faulty decoder would")

    with pytest.raises(fuzz.Broken, match="faulty decoder"):
        fuzz.fate_within_time(breaks, b"}.")
