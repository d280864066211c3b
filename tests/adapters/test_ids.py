"""Identifiers that sort by time."""

import re
import threading

from pinjam.adapters.ids import Ulids


def test_an_id_is_a_prefix_and_a_ulid() -> None:
    assert re.fullmatch(r"evt_[0-9A-HJKMNP-TV-Z]{26}", Ulids().new("evt"))


def test_later_ids_sort_after_earlier_ones() -> None:
    ids = Ulids()
    made = [ids.new("x") for _ in range(2_000)]
    assert made == sorted(made)
    assert len(set(made)) == 2_000


def test_ids_made_at_once_are_different() -> None:
    ids = Ulids()
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.extend(ids.new("x") for _ in range(500))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(set(made)) == 2_000
