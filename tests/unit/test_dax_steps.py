"""Steps of the DAX API: changes in spite of others, slots given once, events noted once, the life of a cluster."""

from __future__ import annotations

from typing import Any

import pytest
from hashrange_router.dax import lifecycle, slots
from hashrange_router.dax.events import EVENTS_MAX, with_event
from hashrange_router.dax.service import handlers
from hashrange_router.dax.setting import DaxSite
from hashrange_router.dax.steps import ALL, RACES_MAX, change, perform, record_event

from hashrange.errors import ApiError, unavailable
from hashrange.model import dax
from hashrange.wire.documents import ChangeDocument
from hashrange.wire.messages import ConflictError, Done
from tests.unit.dax_catalogue import NOW, Catalogue, Task

SITE = DaxSite("127.0.0.1", 8111, lambda: ("az1", "az2", "az3"))
CREATE = {
    "ClusterName": "c",
    "NodeType": "dax.r5.large",
    "ReplicationFactor": 1,
    "IamRoleArn": "arn:aws:iam::1:role/r",
}


def create(catalogue: Catalogue, **changes: Any) -> Any:
    return handlers(catalogue.context, SITE)["CreateCluster"]({**CREATE, **changes})


def node(name: str, process: str = "p", port: int = 8112, reboots: int = 0) -> Any:
    return {
        "NodeId": name,
        "Number": 1,
        "AvailabilityZone": "az1",
        "Host": "h",
        "Port": port,
        "Process": process,
        "Started": NOW,
        "Reboots": reboots,
    }


def register(catalogue: Catalogue, cluster: str, document: Any) -> None:
    name = dax.node_name(cluster, document["NodeId"])
    catalogue.run(change(catalogue.context.controls, dax.NODE, name, lambda known: document))


def messages(catalogue: Catalogue) -> list[str]:
    return [event["Message"] for event in (catalogue.document(dax.EVENTS, ALL) or {"Events": []})["Events"]]


# Changes.


def test_a_change_is_planned_again_when_another_was_faster() -> None:
    catalogue = Catalogue()
    controls = catalogue.context.controls

    def more(by: int) -> Any:
        return lambda known: {"n": (known["n"] if known else 0) + 1, "by": by}

    first, second = (Task(catalogue, change(controls, "k", "a", more(by))) for by in range(2))
    for task in (first, second, second):
        task.advance()
    assert first.ended and second.ended
    assert catalogue.document("k", "a") == {"n": 2, "by": 1}


def test_a_change_that_went_through_unnoticed_is_made_once() -> None:
    catalogue = Catalogue()
    catalogue.unnoticed = lambda change: True
    made = catalogue.run(create(catalogue))
    assert made["Cluster"]["ClusterName"] == "c"
    catalogue.run(record_event(catalogue.context, "c", "CLUSTER", "once"))
    assert messages(catalogue) == ["once"]


def test_a_race_that_is_always_lost_ends() -> None:
    catalogue = Catalogue()
    tried: list[ChangeDocument] = []

    def lost(change: ChangeDocument) -> ApiError:
        tried.append(change)
        return ConflictError()

    catalogue.fails = lost
    with pytest.raises(ApiError) as refused:
        catalogue.run(change(catalogue.context.controls, "k", "a", lambda known: {"n": 1}))
    assert refused.value.type_name == "InvalidClusterStateFault" and len(tried) == RACES_MAX


def test_what_changes_nothing_is_not_proposed() -> None:
    catalogue = Catalogue()
    assert catalogue.run(change(catalogue.context.controls, "k", "a", lambda known: known)) is None
    assert not catalogue.changes


def test_perform_tells_the_outcome_once() -> None:
    catalogue = Catalogue()

    class Carrier:
        def send(self, message: Any, done: Done) -> None:
            done(catalogue.apply(message))

    told: list[Any] = []
    perform(Carrier(), lifecycle.ensure_cluster(catalogue.context, SITE, "dax", 3), told.append)
    catalogue.fails = lambda change: unavailable("away")
    perform(Carrier(), lifecycle.ensure_cluster(catalogue.context, SITE, "other", 3), told.append)
    assert told[0] is True and isinstance(told[1], ApiError) and len(told) == 2


# Slots.


def test_two_clusters_made_at_once_have_slots_of_their_own() -> None:
    catalogue = Catalogue()
    tasks = [Task(catalogue, create(catalogue, ClusterName=name, ReplicationFactor=2)) for name in ("a", "b")]
    while not all(task.ended for task in tasks):
        for task in tasks:
            if not task.ended:
                task.advance()
    taken: list[int] = []
    for name in ("a", "b"):
        document = catalogue.document(dax.CLUSTER, name)
        taken += [document["Slot"], *(each["Slot"] for each in document["Nodes"])]
    assert sorted(taken) == list(range(6))
    assert catalogue.document(dax.TAKEN, ALL)["Given"] == {}


def test_slots_of_a_refused_cluster_are_given_back() -> None:
    catalogue = Catalogue()
    catalogue.fails = lambda change: unavailable("away") if change.kind == dax.CLUSTER else None
    with pytest.raises(ApiError, match="away"):
        catalogue.run(create(catalogue))
    assert catalogue.document(dax.TAKEN, ALL)["Given"] == {}


def test_slots_that_nobody_gave_back_are_free_after_a_while() -> None:
    catalogue = Catalogue()
    lost = Task(catalogue, create(catalogue))
    lost.advance()
    assert (
        catalogue.run(create(catalogue, ClusterName="b"))["Cluster"]["ClusterDiscoveryEndpoint"]["Port"]
        == 8113
    )
    catalogue.now += slots.KEPT_S
    assert (
        catalogue.run(create(catalogue, ClusterName="d"))["Cluster"]["ClusterDiscoveryEndpoint"]["Port"]
        == 8111
    )


def test_a_node_that_still_runs_keeps_its_slot() -> None:
    used = slots.taken([], [node("x", port=8112)], 8111)
    assert slots.give(2, used, None, NOW, "id", "F")[0] == [0, 2]


def test_there_is_no_room_for_more_than_there_are_slots() -> None:
    with pytest.raises(ApiError) as refused:
        slots.give(3, set(range(98)), None, NOW, "id", "NodeQuotaForCustomerExceededFault")
    assert refused.value.type_name == "NodeQuotaForCustomerExceededFault"


# The life of a cluster.


def test_nodes_are_spread_over_the_zones() -> None:
    catalogue = Catalogue()
    catalogue.run(lifecycle.ensure_cluster(catalogue.context, SITE, "dax", 4))
    document = catalogue.document(dax.CLUSTER, "dax")
    assert [each["AvailabilityZone"] for each in document["Nodes"]] == ["az1", "az2", "az3", "az1"]
    assert [each["NodeId"] for each in document["Nodes"]] == ["dax-1", "dax-2", "dax-3", "dax-4"]
    assert document["Slot"] == 0 and document["Managed"] and document["NextNumber"] == 5


def test_the_default_cluster_needs_a_place_and_has_at_most_eleven_nodes() -> None:
    catalogue = Catalogue()
    with pytest.raises(ApiError) as refused:
        catalogue.run(lifecycle.ensure_cluster(catalogue.context, None, "dax", 1))
    assert refused.value.type_name == "InsufficientClusterCapacityFault"
    with pytest.raises(ApiError) as refused:
        catalogue.run(lifecycle.ensure_cluster(catalogue.context, SITE, "dax", 12))
    assert refused.value.type_name == "NodeQuotaForClusterExceededFault"
    assert not catalogue.changes


def test_a_cluster_ensured_by_two_is_made_by_one() -> None:
    catalogue = Catalogue()
    tasks = [Task(catalogue, lifecycle.ensure_cluster(catalogue.context, SITE, "dax", 1)) for _ in range(2)]
    while not all(task.ended for task in tasks):
        for task in tasks:
            if not task.ended:
                task.advance()
    assert sorted(task.outcome for task in tasks) == [False, True]


def test_settling_twice_changes_nothing_more() -> None:
    catalogue = Catalogue()
    catalogue.run(create(catalogue, ReplicationFactor=2))
    register(catalogue, "c", node("c-1"))
    catalogue.run(lifecycle.settle(catalogue.context, "c"))
    assert messages(catalogue) == ["Added node c-1."]
    before = len(catalogue.changes)
    catalogue.run(lifecycle.settle(catalogue.context, "c"))
    assert len(catalogue.changes) == before
    register(catalogue, "c", node("c-2"))
    catalogue.run(lifecycle.settle(catalogue.context, "c"))
    assert messages(catalogue) == ["Added node c-1.", "Added node c-2.", "Cluster created."]


def test_a_node_that_has_left_by_itself_is_noted_as_removed_once_it_is_gone() -> None:
    catalogue = Catalogue()
    controls = catalogue.context.controls
    catalogue.run(create(catalogue, ReplicationFactor=2))
    for name in ("c-1", "c-2"):
        register(catalogue, "c", node(name))
    catalogue.run(lifecycle.settle(catalogue.context, "c"))
    smaller = {"ClusterName": "c", "NewReplicationFactor": 1}
    catalogue.run(handlers(catalogue.context, SITE)["DecreaseReplicationFactor"](smaller))
    catalogue.run(lifecycle.settle(catalogue.context, "c"))
    assert "Removed node c-2." not in messages(catalogue), "it still runs"
    catalogue.run(change(controls, dax.NODE, dax.node_name("c", "c-2"), lambda known: None))
    for _ in range(2):
        catalogue.run(lifecycle.settle(catalogue.context, "c"))
    assert messages(catalogue).count("Removed node c-2.") == 1


def test_settling_no_cluster_or_one_on_its_way_out_does_nothing() -> None:
    catalogue = Catalogue()
    catalogue.run(lifecycle.settle(catalogue.context, "c"))
    catalogue.run(create(catalogue))
    catalogue.run(handlers(catalogue.context, SITE)["DeleteCluster"]({"ClusterName": "c"}))
    register(catalogue, "c", node("c-1"))
    before = len(catalogue.changes)
    catalogue.run(lifecycle.settle(catalogue.context, "c"))
    assert len(catalogue.changes) == before


def test_a_cluster_is_forgotten_when_its_last_node_is_gone() -> None:
    catalogue = Catalogue()
    catalogue.run(create(catalogue))
    register(catalogue, "c", node("c-1"))
    catalogue.run(lifecycle.settle(catalogue.context, "c"))
    catalogue.run(change(catalogue.context.controls, dax.PRIMARY, "c", lambda known: {"NodeId": "c-1"}))

    def forget() -> Any:
        return catalogue.run(lifecycle.forget_if_gone(catalogue.context, "c"))

    assert not forget()
    catalogue.run(handlers(catalogue.context, SITE)["DeleteCluster"]({"ClusterName": "c"}))
    assert not forget(), "a node still runs"
    assert catalogue.document(dax.PRIMARY, "c") is not None
    assert not catalogue.run(lifecycle.gone(catalogue.context, "c", "c-1", "another"))
    assert catalogue.run(lifecycle.gone(catalogue.context, "c", "c-1", "p"))
    assert forget()
    assert catalogue.document(dax.CLUSTER, "c") is None and catalogue.document(dax.PRIMARY, "c") is None
    assert not forget(), "it is gone already"
    assert messages(catalogue)[2:] == ["Removed node c-1.", "Cluster deleted."]


def test_a_supervised_cluster_without_nodes_stays() -> None:
    catalogue = Catalogue()
    catalogue.run(create(catalogue))
    assert not catalogue.run(lifecycle.forget_if_gone(catalogue.context, "c"))
    assert catalogue.document(dax.CLUSTER, "c") is not None


def test_a_node_that_joins_keeps_its_cluster() -> None:
    catalogue = Catalogue()
    catalogue.run(lifecycle.ensure_cluster(catalogue.context, None, "c", 0, managed=False))
    forgetting = Task(catalogue, lifecycle.forget_if_gone(catalogue.context, "c"))
    assert catalogue.run(lifecycle.next_number(catalogue.context, "c")) == 1
    register(catalogue, "c", node("c-1"))
    while not forgetting.ended:
        forgetting.advance()
    assert forgetting.outcome is False
    assert catalogue.document(dax.CLUSTER, "c")["NextNumber"] == 2


def test_numbers_are_given_once() -> None:
    catalogue = Catalogue()
    catalogue.run(lifecycle.ensure_cluster(catalogue.context, None, "c", 0, managed=False))
    tasks = [Task(catalogue, lifecycle.next_number(catalogue.context, "c")) for _ in range(3)]
    while not all(task.ended for task in tasks):
        for task in tasks:
            if not task.ended:
                task.advance()
    assert sorted(task.outcome for task in tasks) == [1, 2, 3]


# Events.


def test_nothing_fails_because_an_event_was_not_noted() -> None:
    catalogue = Catalogue()
    catalogue.fails = lambda change: unavailable("away") if change.kind == dax.EVENTS else None
    made = catalogue.run(
        handlers(catalogue.context, SITE)["CreateParameterGroup"]({"ParameterGroupName": "g"})
    )
    assert made["ParameterGroup"]["ParameterGroupName"] == "g"
    assert messages(catalogue) == []


def test_events_are_bounded_and_counted() -> None:
    document = None
    for number in range(EVENTS_MAX + 5):
        event: dax.Event = {"SourceName": str(number), "SourceType": "CLUSTER", "Message": "", "Date": NOW}
        document = with_event(document, event)
    assert document is not None and document["Total"] == EVENTS_MAX + 5
    assert [document["Events"][at]["SourceName"] for at in (0, -1)] == ["5", str(EVENTS_MAX + 4)]


# Times to live.


def test_times_to_live_follow_the_group_of_the_cluster() -> None:
    catalogue = Catalogue()
    controls = catalogue.context.controls
    assert dax.ttls_of(controls, "c") == (300_000, 300_000)
    api = handlers(catalogue.context, SITE)
    catalogue.run(api["CreateParameterGroup"]({"ParameterGroupName": "g"}))
    given = [{"ParameterName": "record-ttl-millis", "ParameterValue": "007"}]
    catalogue.run(api["UpdateParameterGroup"]({"ParameterGroupName": "g", "ParameterNameValues": given}))
    catalogue.run(create(catalogue, ParameterGroupName="g"))
    assert dax.ttls_of(controls, "c") == (7, 300_000)
    assert dax.ttls_of(controls, "other") == (300_000, 300_000)
