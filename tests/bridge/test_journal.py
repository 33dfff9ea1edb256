from __future__ import annotations

import logging
from datetime import datetime, timedelta

from bridge.journal import ADDRESSES_MAX, BURST, Acquaintances, Journal

HOUR = timedelta(hours=1)


def test_a_doing_becomes_a_row_of_herald_s_own(now: datetime):
    journal = Journal("web-3")
    journal.say(logging.WARNING, "the disk is full", now)
    (row,) = journal.take()

    assert (row.system_id, row.sub_system_id, row.levelno, row.levelname) == ("herald.bridge", "web-3", 30, "WARNING")
    assert (row.message, row.created, row.received) == ("the disk is full", now, now)
    assert journal.take() == []


def test_a_flood_of_doings_is_bounded_and_what_is_left_out_is_told(now: datetime):
    journal = Journal("web-3")
    for number in range(BURST + 500):
        journal.say(logging.INFO, f"doing {number}", now)
    first = journal.take()
    journal._allowance = 5  # as after a while
    journal.say(logging.INFO, "later", now)
    (later,) = journal.take()

    assert len(first) == BURST
    assert later.message.startswith("later (and ")
    assert later.message.endswith(" more messages, left out)")


def test_rows_that_cannot_be_stored_do_not_pile_up(now: datetime):
    journal = Journal("web-3")
    for _ in range(10):
        journal._allowance = float(BURST)
        for number in range(BURST):
            journal.say(logging.INFO, f"doing {number}", now)

    assert len(journal.take()) == BURST


def test_an_address_is_announced_once_an_hour(now: datetime):
    known = Acquaintances()

    assert known.is_new("10.0.0.7", now)
    assert not known.is_new("10.0.0.7", now + HOUR / 2)
    assert known.is_new("10.0.0.8", now + HOUR / 2)
    assert known.is_new("10.0.0.7", now + HOUR)


def test_only_so_many_addresses_are_remembered(now: datetime):
    known = Acquaintances()
    for number in range(ADDRESSES_MAX + 1):
        known.is_new(f"address {number}", now)

    assert known.is_new("address 0", now)
    assert not known.is_new(f"address {ADDRESSES_MAX}", now)
