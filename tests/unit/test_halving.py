"""Choosing where to split: near the middle of the data, whatever their shape, and never within one key."""

from __future__ import annotations

import pytest
from hashrange_node.replica.halving import Sampling
from hashrange_node.replica.place import HASH_MAX, Place
from hashrange_node.storage import keyspace
from hashrange_node.storage.memory import MemoryEngine

from hashrange.model.key import hash_of


def engine_with(hashes: list[int], size: int = 100) -> MemoryEngine:
    engine = MemoryEngine()
    prefix = keyspace.space_prefix(1, keyspace.ITEMS)
    engine.write(
        [(prefix + h.to_bytes(8, "big") + b"%06d" % number, b"x" * size) for number, h in enumerate(hashes)]
    )
    return engine


def sampled(engine: MemoryEngine, place: Place) -> Sampling:
    sampling = Sampling(engine, place)
    while not sampling.step():
        pass
    return sampling


@pytest.mark.parametrize("count", [10, 1000, 30_000])
def test_uniform_data_are_halved_near_the_middle(count: int) -> None:
    hashes = [int.from_bytes(hash_of(b"%d" % number), "big") for number in range(count)]
    sampling = sampled(engine_with(hashes), Place.only(1))
    at = sampling.halving_hash()
    assert at is not None
    below = sum(h < at for h in hashes) / count
    assert 0.4 <= below <= 0.6
    assert abs(sampling.share_below(at) - below) < 0.1


def test_data_on_one_side_are_halved_there() -> None:
    hashes = [int.from_bytes(hash_of(b"%d" % number), "big") >> 4 for number in range(20_000)]
    at = sampled(engine_with(hashes), Place.only(1)).halving_hash()
    assert at is not None
    assert 0.35 <= sum(h < at for h in hashes) / len(hashes) <= 0.65


def test_a_partition_of_one_key_or_none_cannot_be_split() -> None:
    assert sampled(engine_with([12345 << 40] * 500), Place.only(1)).halving_hash() is None
    assert sampled(engine_with([]), Place.only(1)).halving_hash() is None


def test_the_place_lies_within_the_partition() -> None:
    place = Place(7, 1, HASH_MAX - 5, HASH_MAX)
    at = sampled(engine_with([HASH_MAX - 5, HASH_MAX - 1, HASH_MAX]), place).halving_hash()
    assert at is not None
    assert place.lo < at <= place.hi
