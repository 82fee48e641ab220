"""Control documents: compare-and-set in the catalogue, replicated and followed like tables."""

from __future__ import annotations

from typing import Any

import orjson
from hashrange_node.meta import records

from hashrange.routing.settling import SettlingTransport
from hashrange.routing.view import ClusterView
from hashrange.wire.cluster import CatalogueUpdate
from hashrange.wire.documents import ChangeDocument
from hashrange.wire.messages import ConflictError
from tests.unit.meta_nodes import TestCluster
from tests.unit.node_support import Bench


def change(bench: Bench, name: str, expected: int | None, document: dict[str, Any] | None) -> Any:
    answers = bench.send(ChangeDocument("scaling", name, expected, document))
    bench.scheduler.run()
    assert len(answers) == 1
    return answers[0]


def test_a_document_is_made_changed_and_removed() -> None:
    bench = Bench()
    made = change(bench, "a", None, {"x": 1})
    assert made["document"] == {"x": 1}
    assert bench.node.catalogue.controls.get("scaling", "a") == made
    changed = change(bench, "a", made["generation"], {"x": 2})
    assert changed["generation"] > made["generation"]
    assert change(bench, "a", changed["generation"], None) is None
    assert bench.node.catalogue.controls.of("scaling") == {}


def test_a_lost_race_is_told() -> None:
    bench = Bench()
    made = change(bench, "a", None, {"x": 1})
    assert isinstance(change(bench, "a", None, {"x": 2}), ConflictError)
    assert isinstance(change(bench, "a", made["generation"] + 1, {"x": 2}), ConflictError)
    assert isinstance(change(bench, "b", 1, None), ConflictError)
    assert bench.node.catalogue.controls.get("scaling", "a") == made


def test_a_change_sees_those_proposed_before_it() -> None:
    bench = Bench()
    bench.log.held = []
    first = bench.send(ChangeDocument("scaling", "a", None, {"x": 1}))
    second = bench.send(ChangeDocument("scaling", "a", None, {"x": 2}))
    other = bench.send(ChangeDocument("scaling", "b", None, {"x": 3}))
    bench.scheduler.run()
    bench.log.release()
    bench.scheduler.run()
    assert isinstance(second[0], ConflictError)
    assert first[0]["generation"] != other[0]["generation"]


def test_a_document_made_again_has_another_generation() -> None:
    bench = Bench()
    made = change(bench, "a", None, {"x": 1})
    change(bench, "a", made["generation"], None)
    again = change(bench, "a", None, {"x": 1})
    assert again["generation"] > made["generation"]
    assert isinstance(change(bench, "a", made["generation"], {"x": 2}), ConflictError)


def test_documents_and_generations_survive_a_restart() -> None:
    bench = Bench()
    made = change(bench, "table/T|dimension", None, {"x": 1})
    change(bench, "gone", change(bench, "gone", None, {})["generation"], None)
    again = Bench(engine=bench.engine)
    assert again.node.catalogue.controls.of("scaling") == {"table/T|dimension": made}
    assert again.node.catalogue.next_generation == bench.node.catalogue.next_generation


def test_subscribers_hear_of_kind_name_before_and_after() -> None:
    bench = Bench()
    told: list[Any] = []
    bench.node.catalogue.subscribe_controls(lambda *what: told.append(what))
    made = change(bench, "a", None, {"x": 1})
    change(bench, "a", made["generation"], None)
    assert told == [("scaling", "a", None, made), ("scaling", "a", made, None)]


def test_a_view_follows_documents() -> None:
    bench = Bench()
    made = change(bench, "a", None, {"x": 1})
    view = ClusterView()
    told: list[Any] = []
    view.on_control.append(lambda *what: told.append(what))
    view.apply(bench.node.catalogue.as_update())
    assert view.controls.get("scaling", "a") == made
    key = records.document_key("scaling", "a")
    after = {"generation": 9, "document": {"x": 2}}
    entries: list[tuple[bytes, bytes | None]] = [(key, orjson.dumps(after))]
    view.apply(CatalogueUpdate(view.index + 1, False, entries, view.index))
    view.apply(CatalogueUpdate(view.index + 1, False, [(key, None)], view.index))
    assert told == [
        ("scaling", "a", None, made),
        ("scaling", "a", made, after),
        ("scaling", "a", after, None),
    ]
    assert view.controls.of("scaling") == {}


class Inner:
    def send(self, message: Any, done: Any) -> None:
        self.done = done


def test_an_answer_waits_until_the_view_shows_it() -> None:
    view, inner, answers = ClusterView(), Inner(), list[Any]()
    transport = SettlingTransport(inner, view, lambda delay_s, callback: None)
    key = records.document_key("scaling", "a")
    after = {"generation": 3, "document": {"x": 1}}
    transport.send(ChangeDocument("scaling", "a", None, {"x": 1}), answers.append)
    inner.done(after)
    assert answers == []
    view.apply(CatalogueUpdate(1, True, [(key, orjson.dumps(after))]))
    assert answers == [after]
    newer = {"generation": 4, "document": {"x": 2}}
    transport.send(ChangeDocument("scaling", "a", 3, {"x": 2}), answers.append)
    inner.done(newer)
    assert answers == [after]
    view.apply(CatalogueUpdate(2, False, [(key, orjson.dumps(newer))], 1))
    assert answers == [after, newer]
    transport.send(ChangeDocument("scaling", "a", 4, None), answers.append)
    inner.done(None)
    assert answers == [after, newer]
    view.apply(CatalogueUpdate(3, False, [(key, None)], 2))
    assert answers == [after, newer, None]


def test_a_cluster_has_documents_everywhere_and_keeps_them_over_a_change_of_the_leader() -> None:
    cluster = TestCluster("aabbcc")
    cluster.begin()
    made = cluster.ask(ChangeDocument("scaling", "a", None, {"x": 1}), via=2)
    cluster.world.run(2)
    for node in cluster.nodes.values():
        assert node.node.catalogue.controls.get("scaling", "a") == made
        assert node.plane.view.controls.get("scaling", "a") == made
    cluster.control.stop()
    cluster.world.until(cluster.led)
    changed = cluster.ask(ChangeDocument("scaling", "a", made["generation"], {"x": 2}))
    assert changed["generation"] > made["generation"]
    assert isinstance(cluster.ask(ChangeDocument("scaling", "a", made["generation"], None)), ConflictError)
    late = cluster.join("a")
    cluster.world.until(lambda: late.plane.view.controls.get("scaling", "a") == changed)
    assert late.node.catalogue.next_generation == changed["generation"] + 1
    assert cluster.errors() == []


def test_a_document_that_was_removed_while_a_node_was_away_is_gone_there_too() -> None:
    cluster = TestCluster("aabbcc")
    cluster.begin()
    made = cluster.ask(ChangeDocument("scaling", "a", None, {"x": 1}))
    cluster.world.run(2)
    away = cluster.nodes[2]
    away.stop()
    assert cluster.ask(ChangeDocument("scaling", "a", made["generation"], None)) is None
    away.start()
    cluster.world.until(lambda: away.plane.ready)
    cluster.world.until(lambda: away.node.catalogue.controls.of("scaling") == {})
    cluster.world.until(lambda: away.plane.view.controls.of("scaling") == {})
