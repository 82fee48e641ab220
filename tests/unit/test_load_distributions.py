"""Key distributions against the frequencies that they are defined by, and due times against their rate."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice, pairwise
from statistics import mean

import pytest
from hashrange_client.load.distributions import (
    DISTRIBUTIONS,
    SCRAMBLED_RANKS,
    SCRAMBLED_ZETA,
    THETA,
    Latest,
    Sequential,
    Zipfian,
    ZipfRanks,
    chooser,
    fnv64,
    zeta,
)
from hashrange_client.load.schedule import arrivals
from hypothesis import given
from hypothesis import strategies as st

DRAWS = 40_000


def chance(seed: int = 7) -> random.Random:
    return random.Random(seed)


def test_the_sum_over_ten_thousand_million_ranks_is_right() -> None:
    near = 20_000
    integral = (SCRAMBLED_RANKS ** (1 - THETA) - near ** (1 - THETA)) / (1 - THETA)
    ends = 0.5 * (SCRAMBLED_RANKS**-THETA - near**-THETA)  # Euler and Maclaurin
    assert zeta(near) + integral + ends == pytest.approx(SCRAMBLED_ZETA, abs=1e-8)


def test_a_sum_carried_on_is_the_sum() -> None:
    assert zeta(1_000, known=400, known_sum=zeta(400)) == pytest.approx(zeta(1_000))


def test_zipf_ranks_have_zipfs_frequencies() -> None:
    count = 1_000
    ranks = ZipfRanks(chance().random, count)
    seen = Counter(ranks(count) for _ in range(DRAWS))
    total = zeta(count)
    for rank in (0, 1):  # exact by construction; from the third on the method is an approximation
        assert seen[rank] / DRAWS == pytest.approx(1 / (rank + 1) ** THETA / total, rel=0.08)
    for low, high in ((2, 10), (10, 100), (100, 1_000)):
        share = sum(seen[rank] for rank in range(low, high)) / DRAWS
        wanted = sum(1 / (rank + 1) ** THETA for rank in range(low, high)) / total
        assert share == pytest.approx(wanted, rel=0.1)


def test_ranks_grow_with_their_count_as_if_made_for_it() -> None:
    grown, made = ZipfRanks(chance().random, 100), ZipfRanks(chance().random, 5_000)
    for count in (100, 101, 999, 5_000):
        grown(count)
    again = chance(3)
    grown._chance = made._chance = again.random
    first = [grown(5_000) for _ in range(500)]
    again.seed(3)
    assert [made(5_000) for _ in range(500)] == first


def test_scrambled_zipf_has_one_hottest_item_whatever_the_size_of_the_table() -> None:
    for count in (1_000, 50_000):
        choose = Zipfian(chance().random, count)
        seen = Counter(choose(count) for _ in range(DRAWS))
        (hottest, times), (_, second) = seen.most_common(2)
        assert hottest == fnv64(0) % count
        assert times / DRAWS == pytest.approx(1 / SCRAMBLED_ZETA, rel=0.1)
        assert second / DRAWS == pytest.approx(0.5**THETA / SCRAMBLED_ZETA, rel=0.15)


def test_items_that_are_not_there_yet_are_not_drawn_and_change_nobodys_popularity() -> None:
    choose = Zipfian(chance().random, 2_000)
    seen = Counter(choose(1_500) for _ in range(DRAWS))
    assert max(seen) < 1_500
    whole = Zipfian(chance(9).random, 2_000)
    later = Counter(whole(2_000) for _ in range(DRAWS))
    best = [item for item, _ in later.most_common(20) if item < 1_500]
    assert set(best[:3]) <= {item for item, _ in seen.most_common(12)}


def test_fnv_is_the_published_hash() -> None:
    def by_the_book(value: int) -> int:
        mixed = 0xCBF29CE484222325
        for octet in value.to_bytes(8, "little"):
            mixed = ((mixed ^ octet) * 1_099_511_628_211) % 2**64
        return min(mixed, 2**64 - mixed)

    for value in (0, 1, 255, 256, 65_537, 123_456_789, SCRAMBLED_RANKS - 1):
        assert fnv64(value) == by_the_book(value)


def test_latest_is_counted_back_from_the_newest_while_items_are_added() -> None:
    choose = Latest(chance().random, 500)
    seen = Counter(500 + added - 1 - choose(500 + added) for added in range(DRAWS // 10))
    assert min(seen) == 0
    assert seen.most_common(1)[0][0] == 0
    share = seen[0] / (DRAWS // 10)
    assert 1 / zeta(4_500) * 0.85 < share < 1 / zeta(500) * 1.15


def test_a_hotspot_has_its_share() -> None:
    choose = chooser("hotspot", chance().random, 1_000, hot_keys=10, hot_share=0.8)
    seen = Counter(choose(1_000) for _ in range(DRAWS))
    hot = sum(seen[item] for item in range(10)) / DRAWS
    assert hot == pytest.approx(0.8, abs=0.01)
    assert seen[3] / DRAWS == pytest.approx(0.08, rel=0.15)
    assert len(seen) == 1_000


def test_uniform_draws_all_alike_and_sequential_one_after_the_other() -> None:
    choose = chooser("uniform", chance().random, 100)
    seen = Counter(choose(100) for _ in range(DRAWS))
    assert min(seen.values()) / max(seen.values()) > 0.7
    assert [*map(Sequential(1, 3), [10] * 5)] == [1, 4, 7, 0, 3]


@given(
    name=st.sampled_from(DISTRIBUTIONS),
    count=st.integers(1, 5_000),
    seed=st.integers(0, 99),
    more=st.integers(0, 50),
)
def test_every_distribution_stays_within_the_items_and_repeats_itself(
    name: str, count: int, seed: int, more: int
) -> None:
    one, other = (chooser(name, chance(seed).random, count, most=count + 20) for _ in range(2))
    drawn = [one(count + min(more, step)) for step in range(30)]
    assert all(0 <= item < count + more for item in drawn)
    assert drawn == [other(count + min(more, step)) for step in range(30)]


def test_what_is_no_distribution_is_refused() -> None:
    with pytest.raises(ValueError, match="choose one of uniform, zipfian"):
        chooser("normal", chance().random, 10)
    with pytest.raises(ValueError, match="nothing to choose"):
        ZipfRanks(chance().random, 0)


def test_constant_arrivals_do_not_drift_and_processes_interleave() -> None:
    due = list(islice(arrivals("constant", 1_000.0, 5.0, chance().random), 10_001))
    assert due[0] == 5.0
    assert due[10_000] == pytest.approx(15.0, abs=1e-9)
    halves = [islice(arrivals("constant", 500.0, 0.0, chance().random, part / 2), 50) for part in (0, 1)]
    together = sorted(due for half in halves for due in half)
    assert together == pytest.approx([number / 1_000 for number in range(100)])


def test_poisson_arrivals_have_the_rate_and_the_spread_of_independent_users() -> None:
    due = list(islice(arrivals("poisson", 100.0, 2.0, chance().random), DRAWS))
    gaps = [later - earlier for earlier, later in pairwise(due)]
    assert min(gaps) >= 0
    assert mean(gaps) == pytest.approx(0.01, rel=0.03)
    spread = mean((gap - 0.01) ** 2 for gap in gaps) ** 0.5
    assert spread == pytest.approx(0.01, rel=0.05)
    with pytest.raises(ValueError, match="constant, poisson"):
        arrivals("often", 1.0, 0.0, chance().random)
