"""Admission by several routers, in virtual time: what they admit together, whatever befalls their reports."""

from __future__ import annotations

from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.admission_support import Site

SETTLED_S = 10.0
MEASURED_S = 60.0
REPORTS_A_S = 1.0

units = st.sampled_from((3, 5, 40, 300, 2_000))
weights = st.lists(st.floats(0.02, 1.0), min_size=1, max_size=6)
slow = settings(max_examples=15, deadline=None)


def overloaded(capacity: int, shares: list[float], seed: int, **options: object) -> Site:
    """Routers that together want at least twice what there is, in proportion to `shares`."""
    rate = 2 * capacity
    factor = 2 * rate / sum(shares)
    demands = {
        f"router-{place}": (lambda now, wanted=share * factor: wanted) for place, share in enumerate(shares)
    }
    return Site(capacity, demands, seed=seed, **options)  # type: ignore[arg-type]


def check(site: Site, capacity: int, unused: float = 0.0, over: float = 0.0) -> None:
    """Within 5 % of the rate, and nobody without what it wants or the floor of its share.

    `unused`: part of the rate that may be left lying. `over`: half units a second that may be admitted beyond it.
    """
    begin, end = SETTLED_S, SETTLED_S + MEASURED_S
    site.loop.run(end)
    rate = 2.0 * capacity
    quantum = 2.0 * len(site.routers) + 2
    expected = rate * MEASURED_S
    admitted = site.admitted(begin, end)
    assert (0.95 - unused) * expected - quantum <= admitted <= 1.05 * expected + over * MEASURED_S + quantum
    for router in site.routers:
        wanted = router.wanted(end) * MEASURED_S
        floor = expected * 0.2 / len(site.routers)
        assert router.admitted_between(begin, end) >= min(wanted, floor) * 0.8 - quantum, router.name


@slow
@given(units, weights, st.integers(0, 1_000))
def test_overload_is_admitted_at_the_rate(capacity: int, shares: list[float], seed: int) -> None:
    check(overloaded(capacity, shares, seed), capacity)


@settings(max_examples=6, deadline=None)
@given(st.lists(st.sampled_from((2, 30, 800)), min_size=1, max_size=3), st.integers(0, 1_000))
def test_requests_of_many_seconds_worth_are_paid_for(sizes: list[int], seed: int) -> None:
    """Items of 400 KB in a table of 5 units: each is 80 seconds' worth, whichever router it comes by."""
    site = Site(5, {f"router-{place}": (lambda now: 200.0) for place in range(len(sizes))}, seed=seed)
    for router, size in zip(site.routers, sizes, strict=True):
        router.size = size
    site.loop.run(SETTLED_S + 600.0)
    admitted = site.admitted(SETTLED_S, SETTLED_S + 600.0)
    assert 0.9 * 6_000 - sum(sizes) <= admitted <= 1.05 * 6_000 + sum(sizes)


@slow
@given(units, weights, st.integers(0, 1_000), st.floats(0.0, 0.15))
def test_lost_messages_change_nothing(capacity: int, shares: list[float], seed: int, loss: float) -> None:
    rng = Random(seed)
    check(overloaded(capacity, shares, seed, lose=lambda now: rng.random() < loss), capacity)


@slow
@given(units, weights, st.integers(0, 1_000), st.floats(0.3, 3.0))
def test_a_new_vendor_makes_neither_a_burst_nor_a_stall(
    capacity: int, shares: list[float], seed: int, away_s: float
) -> None:
    site = overloaded(capacity, shares, seed)
    site.loop.run(30.0)
    site.vendor = None
    site.loop.run(30.0 + away_s)
    site.restart_vendor()
    check(site, capacity)


@slow
@given(units, weights, st.integers(0, 1_000))
@example(3, [0.875, 0.03125, 0.03125], 0)
def test_without_a_vendor_the_last_shares_hold(capacity: int, shares: list[float], seed: int) -> None:
    """What a router does not want of its even share reaches nobody else. One that asks less than once a report may
    have had no share when the last grants were made: then the others hold what it admits under its earlier grant."""
    site = overloaded(capacity, shares, seed)
    site.loop.run(20.0)
    site.vendor = None
    rare = sum(
        router.wanted(0.0) for router in site.routers if router.wanted(0.0) / router.size < REPORTS_A_S
    )
    check(site, capacity, unused=0.2, over=rare)


@slow
@given(st.sampled_from((40, 300)), st.integers(2, 5), st.integers(0, 1_000))
def test_wandering_demand_is_followed(capacity: int, routers: int, seed: int) -> None:
    """Every few seconds another router wants everything."""
    rate = 2.0 * capacity
    demands = {
        f"router-{place}": (lambda now, own=place: 3 * rate if int(now / 8) % routers == own else 0.1 * rate)
        for place in range(routers)
    }
    site = Site(capacity, demands, seed=seed)
    site.loop.run(70.0)
    admitted = site.admitted(10.0, 70.0)
    assert 0.9 * 60 * rate <= admitted <= 1.05 * 60 * rate


@slow
@given(st.sampled_from((5, 40, 300)), weights, st.integers(0, 1_000))
def test_what_was_saved_up_is_admitted_once(capacity: int, shares: list[float], seed: int) -> None:
    """A hundred quiet seconds: then a hundred seconds' worth at once, and the rate from then on."""
    rate = 2.0 * capacity
    factor = 40 * rate / sum(shares)
    demands = {
        f"router-{place}": (lambda now, wanted=share * factor: wanted if now > 100 else 0.0)
        for place, share in enumerate(shares)
    }
    site = Site(capacity, demands, seed=seed)
    site.loop.run(120.0)
    expected = rate * 120
    assert abs(site.admitted(0.0, 120.0) - expected) <= 0.05 * expected + 4 * len(shares)


@slow
@given(units, st.integers(1, 6), st.floats(1.0, 1_000.0))
def test_messages_do_not_grow_with_requests(capacity: int, routers: int, load: float) -> None:
    demands = {f"r{place}": (lambda now: load) for place in range(routers)}
    site = Site(capacity, demands)
    site.loop.run(20.0)
    assert site.messages <= 20 * 5.1 * routers + routers
