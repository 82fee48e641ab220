"""Slots of concurrency: reserved ones, those of the account, and the parts of several pools."""

from __future__ import annotations

import pytest
from hashrange_router.triggers.fleet import backoff_s
from hashrange_router.triggers.slots import RESERVED, UNRESERVED, Slot, Slots


def take(slots: Slots, function: str, reserved: int | None = None) -> Slot:
    slot = slots.take(function, reserved)
    assert isinstance(slot, Slot)
    return slot


def test_the_account_bounds_all_functions_together() -> None:
    slots = Slots(3)
    first = take(slots, "a")
    take(slots, "a")
    take(slots, "b")
    assert slots.take("c", None) == UNRESERVED
    slots.give_back(first)
    take(slots, "c")
    assert (slots.running("a"), slots.running("b"), slots.running("c")) == (1, 1, 1)


def test_a_reservation_is_the_functions_alone() -> None:
    slots = Slots(3)
    take(slots, "a", 2)
    take(slots, "a", 2)
    assert slots.take("a", 2) == RESERVED
    take(slots, "b")
    assert slots.take("b", None) == UNRESERVED, "two of the account's three are reserved"
    slots.forget("a")
    take(slots, "b")


def test_nothing_reserved_is_nothing_allowed() -> None:
    assert Slots(10).take("a", 0) == RESERVED


def test_a_reservation_that_changes_while_invocations_run() -> None:
    slots = Slots(4)
    shared = take(slots, "a")
    own = take(slots, "a", 1)
    assert slots.take("a", 1) == RESERVED
    slots.give_back(shared)
    slots.give_back(own)
    assert slots.running("a") == 0
    for _ in range(4):
        take(slots, "a")
    assert slots.take("a", None) == UNRESERVED


@pytest.mark.parametrize(("pools", "part"), [(1, 5), (2, 3), (3, 2), (5, 1), (100, 1)])
def test_pools_share_a_limit(pools: int, part: int) -> None:
    slots = Slots(5)
    slots.share(pools)
    for _ in range(part):
        take(slots, "a")
    assert slots.take("a", None) == UNRESERVED


def test_starts_that_fail_are_put_off_longer_and_longer() -> None:
    waits = [backoff_s(failures) for failures in range(40)]
    assert waits[:5] == [0, 0, 0, 0.25, 0.5]
    assert waits == sorted(waits)
    assert waits[-1] == 5
