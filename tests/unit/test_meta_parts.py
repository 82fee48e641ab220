"""Parts of the control plane by themselves: the feed's ring, heat, registration, what a leader has heard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hashrange_node.meta import records
from hashrange_node.meta.feed import CatalogueFeed
from hashrange_node.meta.observed import REPORT_AGE_S, Observed
from hashrange_node.meta.placement import child_placements
from hashrange_node.meta.reconcile import ReconcileSettings
from hashrange_node.meta.registry import TAKEOVER_S, register
from hashrange_node.replica.heat_sample import SAMPLE_MIN, HeatSample

from hashrange.errors import ApiError
from hashrange.model.table_document import HASH_MAX
from hashrange.routing.view import ClusterView
from hashrange.wire.cluster import CatalogueUpdate, GroupReport, NodeReport, RegisterNode, WatchCatalogue

from .meta_nodes import TestCluster
from .meta_support import node

# ---- the feed


class Watcher:
    """Feeds a view, as a router does."""

    def __init__(self) -> None:
        self.closed = False
        self.view = ClusterView()
        self.updates: list[CatalogueUpdate] = []
        self.lose = False

    def cast(self, message: Any) -> None:
        if not self.lose:
            self.updates.append(message)
            self.view.apply(message)


class Soon:
    """What is to run at the end of the tick."""

    def __init__(self) -> None:
        self.callbacks: list[Callable[[], None]] = []

    def __call__(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)

    def run(self) -> None:
        callbacks, self.callbacks = self.callbacks, []
        for callback in callbacks:
            callback()


class Source:
    """A catalogue outside group 0 that the test changes."""

    def __init__(self) -> None:
        cluster = TestCluster("abca")
        cluster.begin()
        self.catalogue = cluster.nodes[4].node.catalogue
        assert not self.catalogue.member
        self.soon = Soon()
        self.feed = CatalogueFeed(self.catalogue, self.soon)

    def change(self, number: int) -> None:
        index = self.catalogue.index
        entries = [(records.node_key(number), records.dump(node(number, "a")))]
        assert self.catalogue.follow(CatalogueUpdate(index + 3, False, list(entries), index))

    def watch(self, watcher: Watcher, after: int = 0) -> None:
        answers: list[Any] = []
        self.feed.watch(watcher, WatchCatalogue(after), answers.append)
        assert answers == [None]


def test_a_watcher_gets_everything_and_then_what_changes_once_a_tick() -> None:
    source, watcher = Source(), Watcher()
    source.watch(watcher)
    assert watcher.updates[0].full
    assert sorted(watcher.view.nodes) == [1, 2, 3, 4]
    source.change(10)
    source.change(11)
    assert len(watcher.updates) == 1
    source.soon.run()
    assert len(watcher.updates) == 2
    assert not watcher.updates[1].full
    assert {10, 11} <= watcher.view.nodes.keys()
    assert watcher.view.index == source.catalogue.index


def test_a_watcher_that_missed_little_gets_little_and_one_that_missed_much_everything() -> None:
    source, watcher = Source(), Watcher()
    source.watch(watcher)
    watcher.lose = True
    source.change(10)
    source.soon.run()
    watcher.lose = False
    source.change(11)
    source.soon.run()
    assert 11 not in watcher.view.nodes, "there is a gap before it"
    source.watch(watcher, watcher.view.index)
    assert not watcher.updates[-1].full
    assert {10, 11} <= watcher.view.nodes.keys()
    watcher.lose = True
    for number in range(1_100):
        source.change(20 + number)
    source.soon.run()
    watcher.lose = False
    source.watch(watcher, watcher.view.index)
    assert watcher.updates[-1].full
    assert watcher.view.nodes.keys() == source.catalogue.nodes.keys()


def test_a_watcher_that_knows_everything_is_told_just_that() -> None:
    source, watcher = Source(), Watcher()
    source.change(10)
    source.soon.run()
    source.watch(watcher, source.catalogue.index)
    assert watcher.updates[-1].entries == []
    assert not watcher.updates[-1].full


def test_closed_connections_are_forgotten() -> None:
    source, watcher = Source(), Watcher()
    source.watch(watcher)
    watcher.closed = True
    source.change(10)
    source.soon.run()
    assert source.feed.watchers == 0
    assert len(watcher.updates) == 1


def test_a_full_update_removes_what_is_there_no_more() -> None:
    source = Source()
    source.change(10)
    update = source.catalogue.as_update()
    entries = [(key, value) for key, value in update.entries if key != records.node_key(10)]
    assert source.catalogue.follow(CatalogueUpdate(update.index + 1, True, list(entries)))
    assert 10 not in source.catalogue.nodes
    assert source.catalogue.engine.get(records.node_key(10)) is None


def test_a_copy_does_not_take_over_what_does_not_follow_on_it() -> None:
    source = Source()
    index = source.catalogue.index
    assert not source.catalogue.follow(CatalogueUpdate(index + 9, False, [], index + 5))
    assert source.catalogue.index == index


# ---- heat


def test_load_is_halved_where_it_is_not_in_the_middle() -> None:
    sample = HeatSample()
    for number in range(200):
        sample.observe((number % 50).to_bytes(8, "big"))
    assert sample.halving() == 25


def test_a_single_hot_key_is_not_split() -> None:
    sample = HeatSample()
    for number in range(200):
        sample.observe((7 if number % 3 else number).to_bytes(8, "big") + b"rest of the key")
    assert sample.halving() is None


def test_two_hot_keys_are_parted() -> None:
    sample = HeatSample()
    for number in range(200):
        sample.observe((5 if number % 2 else 9).to_bytes(8, "big"))
    assert sample.halving() == 9


def test_little_load_says_nothing() -> None:
    sample = HeatSample()
    for number in range(SAMPLE_MIN - 1):
        sample.observe(number.to_bytes(8, "big"))
    assert sample.halving() is None


# ---- registration

CLAIM = RegisterNode(7, "a", "h:1", "h:2", "beef", "")


def test_a_new_node_begins_with_generation_1() -> None:
    record = register(CLAIM, None, "c1", 0.0, False)
    assert not isinstance(record, ApiError)
    assert (record["generation"], record["state"], record["incarnation"]) == (1, "up", "beef")


def test_a_node_that_comes_back_keeps_its_generation_and_may_have_moved() -> None:
    before = register(CLAIM, None, "c1", 0.0, False)
    assert not isinstance(before, ApiError)
    again = RegisterNode(7, "a", "h:9", "h:2", "beef", "c1")
    record = register(again, {**before, "state": "draining"}, "c1", 0.0, True)
    assert not isinstance(record, ApiError)
    assert (record["generation"], record["state"], record["address"]) == (1, "draining", "h:9")


@pytest.mark.parametrize(
    ("silent_s", "still_there", "outcome"),
    [(0.5, True, "NodeRefused"), (0.5, False, "ServiceUnavailable"), (TAKEOVER_S + 1, False, None)],
)
def test_another_directory_takes_an_id_over_only_from_a_silent_one(
    silent_s: float, still_there: bool, outcome: str | None
) -> None:
    record = register(CLAIM, node(7, "a"), "c1", silent_s, still_there)
    if outcome is None:
        assert not isinstance(record, ApiError)
        assert record["generation"] == 2
    else:
        assert isinstance(record, ApiError)
        assert record.type_name == outcome


def test_a_directory_of_another_cluster_is_refused() -> None:
    other = RegisterNode(7, "a", "h:1", "h:2", "beef", "c2")
    refusal = register(other, None, "c1", 0.0, False)
    assert isinstance(refusal, ApiError)
    assert "belongs to cluster c2" in (refusal.message or "")


def test_a_removed_node_comes_back_only_empty() -> None:
    removed = {**node(7, "a", "removed"), "incarnation": "beef"}
    refusal = register(CLAIM, removed, "c1", 99.0, False)  # type: ignore[arg-type]
    assert isinstance(refusal, ApiError)
    record = register(CLAIM, node(7, "a", "removed"), "c1", 0.0, False)
    assert not isinstance(record, ApiError)
    assert (record["generation"], record["state"]) == (2, "up")


# ---- what a leader has heard


def test_nobody_is_silent_for_longer_than_the_leadership_lasts() -> None:
    observed = Observed(100.0)
    assert observed.silent_s(1, 103.0) == 3.0
    observed.take(NodeReport(1, 1, 0, 0.0, []), 104.0, ReconcileSettings())
    assert observed.silent_s(1, 106.0) == 2.0


def test_old_reports_do_not_count_and_heat_must_last() -> None:
    settings = ReconcileSettings(split_writes_per_s=100.0)
    observed = Observed(0.0)
    group = GroupReport(5, 1, "leader", 1, 10, writes_per_s=200.0)
    for at in (1.0, 2.0, 3.0):
        observed.take(NodeReport(1, 1, 0, 0.0, [group]), at, settings)
    view = observed.view({}, {}, {}, frozenset(), 3.5)
    assert view.hot_s[5] == 2.5
    assert 5 in view.reports
    assert 5 not in observed.fresh(3.0 + REPORT_AGE_S + 0.1)
    group = GroupReport(5, 1, "leader", 1, 10, writes_per_s=20.0)
    observed.take(NodeReport(1, 1, 0, 0.0, [group]), 4.0, settings)
    assert 5 not in observed.view({}, {}, {}, frozenset(), 4.5).hot_s


def test_children_cover_their_parent_without_a_gap() -> None:
    cluster = TestCluster()
    cluster.begin()
    cluster.create()
    parent = cluster.control.node.catalogue.placements[1]
    low, high = child_placements(parent, 1 << 40, [8, 9])
    assert (low["lo"], low["hi"], high["lo"], high["hi"]) == (0, (1 << 40) - 1, 1 << 40, HASH_MAX)
    assert low["store"] == high["store"] == 1
    assert low["initial"] == [1, 2, 3]
    assert low["parent"] == 1
