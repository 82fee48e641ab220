"""Whatever is asked of the DAX API at once, and however it interleaves: no two things ever have the same slot."""

from __future__ import annotations

from typing import Any

from hashrange_router.dax import lifecycle
from hashrange_router.dax.service import handlers
from hashrange_router.dax.setting import DaxSite, clusters
from hashrange_router.dax.steps import ALL
from hypothesis import given
from hypothesis import strategies as st

from hashrange.errors import ApiError
from hashrange.model import dax
from hashrange.model.dax import NODES_MAX
from tests.unit.dax_catalogue import Catalogue, Task

SITE = DaxSite("127.0.0.1", 8111)
NAMES = st.sampled_from(["a", "b", "c"])
ASKED = st.one_of(
    st.tuples(st.just("create"), NAMES, st.integers(1, 4)),
    st.tuples(st.just("ensure"), NAMES, st.integers(1, 4)),
    st.tuples(st.just("increase"), NAMES, st.integers(2, 6)),
    st.tuples(st.just("decrease"), NAMES, st.integers(1, 4)),
    st.tuples(st.just("reboot"), NAMES, st.integers(1, 4)),
    st.tuples(st.just("join"), NAMES, st.just(0)),
    st.tuples(st.just("delete"), NAMES, st.just(0)),
    st.tuples(st.just("forget"), NAMES, st.just(0)),
    st.tuples(st.just("settle"), NAMES, st.just(0)),
    st.tuples(st.just("run"), NAMES, st.just(0)),
)


def steps(catalogue: Catalogue, what: str, name: str, number: int) -> Any:
    """What is asked for, as steps."""
    context, api = catalogue.context, handlers(catalogue.context, SITE)
    named = {"ClusterName": name}
    described = {"NodeType": "dax.r5.large", "IamRoleArn": "arn:aws:iam::1:role/r"}
    return {
        "create": lambda: api["CreateCluster"]({**named, **described, "ReplicationFactor": number}),
        "ensure": lambda: lifecycle.ensure_cluster(context, SITE, name, number),
        "increase": lambda: api["IncreaseReplicationFactor"]({**named, "NewReplicationFactor": number}),
        "decrease": lambda: api["DecreaseReplicationFactor"]({**named, "NewReplicationFactor": number}),
        "reboot": lambda: api["RebootNode"]({**named, "NodeId": f"{name}-{number}"}),
        "join": lambda: lifecycle.next_number(context, name),
        "delete": lambda: api["DeleteCluster"](named),
        "forget": lambda: lifecycle.forget_if_gone(context, name),
        "settle": lambda: lifecycle.settle(context, name),
    }[what]()


def start_nodes(catalogue: Catalogue, name: str) -> None:
    """All wanted nodes of a cluster run, and no others."""
    controls = catalogue.context.controls
    for known in list(controls.of(dax.NODE)):
        if known.startswith(f"{name}/"):
            controls.put(dax.NODE, known, None)
    stored = controls.get(dax.CLUSTER, name)
    for node in stored["document"]["Nodes"] if stored is not None else []:
        document = {
            **node,
            "Host": "h",
            "Port": SITE.ports(node["Slot"]).wire,
            "Process": "p",
            "Started": catalogue.now,
        }
        controls.put(
            dax.NODE, dax.node_name(name, node["NodeId"]), {"generation": 10**9, "document": document}
        )


def check(catalogue: Catalogue) -> None:
    """Slots are nobody else's, clusters have 1 to 11 nodes of different numbers."""
    taken: list[int] = []
    for cluster in clusters(catalogue.context.controls):
        taken += [cluster["Slot"], *(node["Slot"] for node in cluster["Nodes"])]
        assert 1 <= len(cluster["Nodes"]) <= NODES_MAX
        mine = {node["Number"] for node in cluster["Nodes"]}
        assert len(mine) == len(cluster["Nodes"]) and max(mine) < cluster["NextNumber"]
    assert len(taken) == len(set(taken))


@given(
    asked=st.lists(ASKED, min_size=1, max_size=12),
    order=st.lists(st.integers(0, 11), max_size=150),
    unnoticed=st.sets(st.integers(0, 40), max_size=6),
)
def test_slots_are_given_once(
    asked: list[tuple[str, str, int]], order: list[int], unnoticed: set[int]
) -> None:
    catalogue = Catalogue()
    catalogue.unnoticed = lambda change: len(catalogue.changes) in unnoticed
    waiting, tasks = list(asked), []
    choices = iter(order)
    while waiting or not all(task.ended for task in tasks):
        choice = next(choices, 0)
        running = [task for task in tasks if not task.ended]
        if waiting and choice >= len(running):
            what, name, number = waiting.pop(0)
            if what == "run":
                start_nodes(catalogue, name)
            else:
                tasks.append(Task(catalogue, steps(catalogue, what, name, number)))
        elif running:
            running[choice % len(running)].advance()
        check(catalogue)
    failed = [task.outcome for task in tasks if isinstance(task.outcome, ApiError)]
    assert all(error.type_name.endswith(("Fault", "Exception")) for error in failed)
    given_out = catalogue.document(dax.TAKEN, ALL)
    assert given_out is None or given_out["Given"] == {}, "all were given back"
