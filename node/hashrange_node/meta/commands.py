"""What an operator asks of the control plane: split, move, drain, undrain, decommission, balance.

A command is checked and recorded in the catalogue; what follows from it the planner finds by itself. The answer is a
document with a `message` that tells what will happen. What cannot be done is refused with ValidationException.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hashrange.errors import ApiError, validation
from hashrange.wire.cluster import CONTROL, ClusterCommand, NodeRecord, Placement
from hashrange.wire.messages import Done
from hashrange_node.meta import placement as places
from hashrange_node.meta.placement import DRAINING, REMOVED, UP
from hashrange_node.meta.reconcile import moving
from hashrange_node.meta.splits import valid_at

if TYPE_CHECKING:
    from hashrange_node.meta.control import Control


class Commands:
    """Carries commands out at the leader of the control plane."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def run(self, command: ClusterCommand, done: Done) -> None:
        """Carry a command out; raises ApiError for one that cannot be."""
        verbs = {
            "split": self._split,
            "move": self._move,
            "drain": self._drain,
            "undrain": self._undrain,
            "decommission": self._decommission,
            "balance": self._balance,
        }
        verb = verbs.get(command.verb)
        if verb is None:
            raise validation(f"There is no command {command.verb}; there are {', '.join(verbs)}")
        verb(command.arguments, done)

    # ---- partitions

    def _split(self, arguments: dict[str, Any], done: Done) -> None:
        placement = self._partition(arguments)
        partition = placement["id"]
        if partition == CONTROL:
            raise validation("The control plane's own partition is not split")
        if "split" in placement or "successors" in placement:
            raise validation(f"Partition {partition} is being split already")
        if moving(placement):
            raise validation(f"A replica of partition {partition} is on its way; split it after that")
        at = self._number(arguments, "at", required=False)
        if at is not None and not valid_at(placement, at):
            raise validation(f"at must be above {placement['lo']} and at most {placement['hi']}")

        def answered(answer: Any) -> None:
            if isinstance(answer, ApiError):
                done(answer)
                return
            intent = answer["split"]
            low, high = intent["children"]
            message = f"partition {partition} becomes {low} and {high}, at hash {intent['at']:016x}"
            done({"message": message, "partition": partition, "children": [low, high], "at": intent["at"]})

        self._control.begin_split(partition, at, "asked for", answered)

    def _move(self, arguments: dict[str, Any], done: Done) -> None:
        placement = self._partition(arguments)
        partition = placement["id"]
        source, target = self._node(arguments, "from"), self._node(arguments, "to")
        if "split" in placement or "successors" in placement:
            raise validation(f"Partition {partition} is being split")
        if moving(placement):
            raise validation(f"A replica of partition {partition} is on its way already")
        replica = next((r for r in placement["replicas"] if r["node"] == source["id"]), None)
        if replica is None:
            raise validation(f"Node {source['id']} has no replica of partition {partition}")
        if any(r["node"] == target["id"] for r in placement["replicas"]):
            raise validation(f"Node {target['id']} has a replica of partition {partition} already")
        if target["state"] != UP:
            raise validation(f"Node {target['id']} is {target['state']} and takes no replicas")
        nodes = self._control.catalogue.nodes
        others = [r for r in placement["replicas"] if r is not replica]
        azs = {nodes[r["node"]]["az"] for r in others if r["node"] in nodes}
        if target["az"] in azs and not places.may_share(nodes.values(), len(placement["replicas"])):
            raise validation(f"Partition {partition} has another replica in {target['az']} already")
        after = places.with_replica(placement, target, replica["id"])
        message = f"a replica of partition {partition} moves from node {source['id']} to node {target['id']}"
        self._control.changes.place(after, _told(done, {"message": message, "partition": partition}))

    # ---- nodes

    def _drain(self, arguments: dict[str, Any], done: Done) -> None:
        record = self._node(arguments, "node")
        count, stuck = self._hosted(record)
        message = f"{_replicas(count - stuck)} away from node {record['id']}, and all leaders"
        if stuck:
            message += f"; for {stuck} there is no other node: they stay"
        self._set(record, DRAINING, retiring=False, done=done, message=message)

    def _undrain(self, arguments: dict[str, Any], done: Done) -> None:
        record = self._node(arguments, "node")
        if record["state"] == REMOVED:
            raise validation(f"Node {record['id']} was removed; start it with an empty data directory")
        message = f"node {record['id']} takes replicas again"
        self._set(record, UP, retiring=False, done=done, message=message)

    def _decommission(self, arguments: dict[str, Any], done: Done) -> None:
        record = self._node(arguments, "node")
        if record["state"] == REMOVED:
            done({"message": f"node {record['id']} is removed already", "node": record["id"]})
            return
        count, stuck = self._hosted(record)
        if stuck:
            raise validation(
                f"There is no other node for {stuck} of the {count} replicas on node {record['id']}; "
                "add one first"
            )
        message = f"{_replicas(count)} away from node {record['id']}; it is removed then"
        self._set(record, DRAINING, retiring=True, done=done, message=message)

    def _hosted(self, record: NodeRecord) -> tuple[int, int]:
        """How many replicas are on a node, and how many of them have nowhere to go."""
        if record["state"] == REMOVED:
            raise validation(f"Node {record['id']} was removed")
        catalogue = self._control.catalogue
        left = [n for n in catalogue.nodes.values() if n["state"] == UP and n["id"] != record["id"]]
        count = stuck = 0
        for placement in catalogue.placements.values():
            # A node that a replica is leaving may get one again once that is gone.
            hosts = {r["node"] for r in placement["replicas"] if not r.get("leaving")}
            if record["id"] in hosts:
                count += 1
                stuck += not any(n["id"] not in hosts for n in left)
        return count, stuck

    def _set(self, record: NodeRecord, state: str, *, retiring: bool, done: Done, message: str) -> None:
        after: NodeRecord = {**record, "state": state}
        after.pop("retiring", None)
        if retiring:
            after["retiring"] = True
        self._control.changes.node(after, _told(done, {"message": message, "node": record["id"]}))

    def _balance(self, arguments: dict[str, Any], done: Done) -> None:
        self._control.balancing = True
        done({"message": "leaders and replicas are spread evenly over the nodes"})

    # ---- arguments

    def _partition(self, arguments: dict[str, Any]) -> Placement:
        partition = self._number(arguments, "partition")
        placement = self._control.catalogue.placements.get(partition) if partition is not None else None
        if placement is None:
            raise validation(f"There is no partition {partition}")
        return placement

    def _node(self, arguments: dict[str, Any], name: str) -> NodeRecord:
        node = self._number(arguments, name)
        record = self._control.catalogue.nodes.get(node) if node is not None else None
        if record is None:
            raise validation(f"There is no node {node}")
        return record

    @staticmethod
    def _number(arguments: dict[str, Any], name: str, *, required: bool = True) -> int | None:
        value = arguments.get(name)
        if value is None and not required:
            return None
        if type(value) is not int:
            raise validation(f"{name} must be a whole number")
        return value


def _replicas(count: int) -> str:
    return "1 replica moves" if count == 1 else f"{count} replicas move"


def _told(done: Done, answer: dict[str, Any]) -> Done:
    """Answer with `answer` once the change is recorded."""
    return lambda result: done(result if isinstance(result, ApiError) else answer)
