"""The vendor at the leader of the control plane: on one node, and in a cluster in virtual time."""

from __future__ import annotations

from typing import Any

from hashrange_node.meta.vending import Vending
from hashrange_node.meta.vendor import VendorSettings

from hashrange.wire.capacity import CapacityNeed, CapacityReport
from hashrange.wire.faults import NotLeader
from tests.unit.meta_nodes import TestCluster
from tests.unit.node_support import Bench

PROVISIONED = {
    "BillingMode": "PROVISIONED",
    "ProvisionedThroughput": {"ReadCapacityUnits": 50, "WriteCapacityUnits": 50},
}


def report(number: int = 1, used: int = 0, router: str = "a", left: int = 0) -> CapacityReport:
    return CapacityReport(router, number, [CapacityNeed("Things", "", 0, used, 0, left, 0, 0)])


def vended(bench: Bench, **settings: Any) -> Vending:
    vending = Vending(bench.node, VendorSettings(**settings), now=lambda: bench.scheduler.now)
    vending.start()
    return vending


def test_a_report_is_answered_with_what_the_table_may_consume() -> None:
    bench = Bench()
    vended(bench)
    bench.create(**PROVISIONED)
    bench.scheduler.tick(10.0)
    (answer,) = bench.send(report())
    assert answer["grants"][0]["write"] == 1_000
    assert answer["valid_ms"] > answer["period_ms"] > 0


def test_what_tables_were_there_before_is_known() -> None:
    bench = Bench()
    bench.create(**PROVISIONED)
    vended(bench)
    assert len(bench.send(report())[0]["grants"]) == 1


def test_a_table_that_is_gone_is_not_vended() -> None:
    bench = Bench()
    vending = vended(bench)
    bench.create(**PROVISIONED)
    vending._changed("Things", None, None)
    assert bench.send(report())[0]["grants"] == []


def grow(bench: Bench, a_second: int, seconds: int, first: int) -> None:
    for second in range(seconds):
        bench.send(report(first + second, a_second))
        bench.scheduler.tick(1.0)
        bench.scheduler.run(5)


def test_what_a_table_on_demand_has_grown_to_is_put_into_its_document() -> None:
    bench = Bench()
    vended(bench, peak_window_s=60.0)
    bench.create()
    grow(bench, 8_000, 40, 1)
    assert bench.node.catalogue.documents["Things"]["Warm"]["Write"] == 4_000
    grow(bench, 8_000, 40, 100)
    assert bench.node.catalogue.documents["Things"]["Warm"] == {"Read": 12_000, "Write": 8_000}
    (answer,) = bench.send(report(1_000))
    assert answer["grants"][0]["write_rate"] == 16_000.0


def test_reports_are_answered_where_the_control_plane_is_led_and_after_it_moved() -> None:
    cluster = TestCluster()
    cluster.begin()
    vending = {}
    for id_, each in cluster.nodes.items():
        vending[id_] = Vending(each.node, VendorSettings(), now=lambda: cluster.world.now)
        vending[id_].start()
    cluster.create(**PROVISIONED)
    cluster.world.run(20.0)
    first = cluster.control
    answer = cluster.ask(report())
    held = answer["grants"][0]["write"]
    assert held >= 20 * 100
    for id_, each in cluster.nodes.items():
        assert (vending[id_].vendor is not None) == (id_ == first.id)
        if id_ != first.id:
            answers: list[Any] = []
            each.node.send(report(2), answers.append)
            assert isinstance(answers[0], NotLeader)
    first.stop()
    cluster.world.until(cluster.led)
    router = next(id_ for id_, node in cluster.nodes.items() if node.up)
    moved = CapacityReport("a", 2, [CapacityNeed("Things", "", 0, 100, 0, 1_900, 0, 0)])
    answers = []
    cluster.nodes[router].node.transport.send(moved, answers.append)
    cluster.world.until(lambda: answers)
    (grant,) = answers[0]["grants"]
    assert -1_900 <= grant["write"] <= 300, "what the router had left, and what has come in since"
    assert grant["write"] >= -100
