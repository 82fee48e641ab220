"""Global tables converge: any writes in any regions, delivered in any order and again, end equal everywhere.

The same check has to go red for each rule that is taken out of it.
"""

from __future__ import annotations

from typing import Any

import pytest
from hashrange_node.regions import apply, versions
from hashrange_node.replica.effects import Effects
from hashrange_node.storage import keyspace
from hashrange_node.transactions import evaluate as transactions
from hypothesis import given, settings
from hypothesis import strategies as st

from hashrange.model import record as records
from hashrange.wire.codec import Codec, FrameError
from hashrange.wire.pb import node_pb2 as pb
from hashrange.wire.pb import rpc_pb2 as rpc
from hashrange.wire.regions import ApplyReplicated, ReplicatedOutcome

from .model_regions import ACTS, KEYS, random_script, run

steps = st.tuples(st.integers(0, ACTS - 1), st.integers(0, 2), st.integers(0, KEYS - 1), st.integers(0, 40))


@settings(max_examples=150)
@given(st.lists(steps, max_size=120), st.integers(0, 1000))
def test_regions_end_equal_with_the_greatest_versions(script: list[Any], seed: int) -> None:
    assert run(script, seed) == []


@pytest.mark.parametrize("seed", range(40))
def test_long_scripts_end_equal_too(seed: int) -> None:
    assert run(random_script(seed, 200), seed) == []


def _by_time_alone(record: bytes, stored: bytes) -> bool:
    return records.stamp(record) > records.stamp(stored)


def _by_arrival(record: bytes, stored: bytes) -> bool:
    return True


def _nothing_left(*arguments: Any) -> None:
    """A deletion leaves nothing behind."""


_replaced = apply._replaced


def _not_kept(*arguments: Any) -> Any:
    """A deletion from elsewhere deletes, and is forgotten."""
    effects = _replaced(*arguments)
    effects.mutations = [each for each in effects.mutations if each[0][9] != keyspace.TOMBSTONES]
    return effects


_stamped = transactions.stamped


def _restamped_quietly(effects: Effects, schema: Any, *arguments: Any) -> Effects:
    """A check leaves its stamp in the item, and nobody else hears of it."""
    before = len(effects.mutations)
    stamped = _stamped(effects, schema, *arguments)
    if before == 0 and stamped.marked is not None:
        stamped.mutations, stamped.marked = stamped.mutations[:1], None
    return stamped


BROKEN: dict[str, tuple[Any, str, Any]] = {
    "versions are told apart by time alone": (versions, "wins", _by_time_alone),
    "the last to arrive wins": (versions, "wins", _by_arrival),
    "deletions leave no tombstones": (versions, "bury", _nothing_left),
    "deletions from elsewhere are forgotten": (apply, "_replaced", _not_kept),
    "changes leave no marks": (versions, "mark", _nothing_left),
    "new stamps leave no marks": (transactions, "stamped", _restamped_quietly),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_without_any_of_the_rules_regions_differ(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*BROKEN[rule])
    assert any(run(random_script(seed, 200), seed) for seed in range(40)), rule


# ---- messages

codec = Codec()
ids = st.integers(0, 2**64 - 1)
entries = st.tuples(st.binary(max_size=40), st.binary(max_size=40) | st.just(b"r" * 70_000))
requests = st.builds(ApplyReplicated, ids, ids, st.text(max_size=30), st.lists(entries, max_size=5))
outcomes = st.builds(ReplicatedOutcome, st.binary(max_size=20), ids)


@given(requests, outcomes)
def test_messages_come_back(message: ApplyReplicated, outcome: ReplicatedOutcome) -> None:
    assert codec.decode_request(codec.encode_request(message)) == message
    assert codec.decode_reply(codec.encode_reply(message, outcome)) == outcome


@given(st.sampled_from([rpc.APPLY_REPLICATED, rpc.READ_ITEM]), st.binary(max_size=60))
def test_garbage_is_refused_or_read(number: int, data: bytes) -> None:
    for decode, kind in ((codec.decode_request, number), (codec.decode_reply, rpc.ANSWER_REPLICATED_OUTCOME)):
        try:
            decode(bytes((kind,)) + data)
        except FrameError:
            pass


def test_keys_without_records_are_refused() -> None:
    data = pb.ApplyReplicated(keys=[b"a", b"b"], records=[b"r"]).SerializeToString()
    with pytest.raises(FrameError):
        codec.decode_request(bytes((rpc.APPLY_REPLICATED,)) + data)
