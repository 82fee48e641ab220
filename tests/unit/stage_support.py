"""A stage for single situations of several nodes: three simulated machines with one partition, which may be split."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hashrange.errors import ApiError
from hashrange.wire.cluster import Placement, SplitPartition
from hashrange.wire.messages import ReadItem, WriteItem, WriteResult
from tests.sim.cluster import Cluster, Machine, Options
from tests.sim.events import World
from tests.sim.workload import Messages, table_document, value_of

PARENT, LOW, HIGH = 1, 2, 3
MIDDLE = 1 << 63


class Stage:
    """Three machines with one partition, whose engines are flushed only on demand."""

    def __init__(self, seed: int = 1, members: tuple[int, ...] = (1, 2, 3)) -> None:
        self.world = World(seed)
        options = Options(checkpoint_bytes=1 << 30, scrub_interval_s=1e6)
        self.cluster = Cluster(self.world, options, table_document(1))
        for placement in self.cluster.placements:
            placement["initial"] = list(members)
            placement["replicas"] = [{"id": number, "node": number, "generation": 1} for number in members]
        self.cluster.start()
        self.messages = Messages(self.cluster.schema)
        self.machines = self.cluster.machines
        self.run(8.0)

    def run(self, seconds: float) -> None:
        self.world.run(self.world.now + seconds)

    def until(self, holds: Callable[[], Any], within_s: float = 20.0) -> None:
        end = self.world.now + within_s
        while not holds():
            assert self.world.now < end, "it did not happen in time"
            self.run(0.01)

    def group(self, machine: Machine, partition: int = PARENT) -> Any:
        return machine.node.driver.groups[partition]

    def leaders(self, partition: int = PARENT) -> list[Machine]:
        return [
            machine
            for machine in self.machines.values()
            if machine.up
            and not machine.paused
            and partition in machine.node.driver.groups
            and self.group(machine, partition).serving
        ]

    def leader(self, partition: int = PARENT) -> Machine:
        self.until(lambda: self.leaders(partition))
        [leader] = self.leaders(partition)
        return leader

    def ask(self, machine: Machine, message: Any) -> list[Any]:
        """Hand a message to a node now; the list gets the answer."""
        answers: list[Any] = []
        machine.node.send(message, answers.append)
        return answers

    def put(self, key: str, value: int, partition: int = PARENT) -> None:
        answers = self.ask(self.leader(partition), self.write(key, value, partition))
        self.until(lambda: answers)
        assert isinstance(answers[0], WriteResult), answers

    def write(self, key: str, value: int, partition: int = PARENT) -> WriteItem:
        message = self.messages.put(key, value)
        message.partition = partition
        return message

    def read(self, key: str, partition: int = PARENT) -> ReadItem:
        message = self.messages.read(key)
        message.partition = partition
        return message

    def value(self, key: str, partition: int = PARENT) -> int | None:
        answers = self.ask(self.leader(partition), self.read(key, partition))
        self.until(lambda: answers)
        assert not isinstance(answers[0], ApiError), answers
        return value_of(answers[0])

    def keys(self, partition: int, count: int) -> list[str]:
        """Keys that lie in a child."""
        found = []
        number = 0
        while len(found) < count:
            key = f"key{number}"
            number += 1
            above = self.messages.read(key).key[0] >= 0x80
            if above == (partition == HIGH):
                found.append(key)
        return found

    # ---- splits

    def split(self) -> None:
        answers = self.ask(self.leader(), SplitPartition(PARENT, MIDDLE, (LOW, HIGH)))
        self.until(lambda: answers)
        assert answers == [None]

    def record_split(self) -> None:
        """What the catalogue says once it knows of the split; nodes open partitions in the order of their ids."""
        parent: Placement = {**self.cluster.placements[0], "successors": [LOW, HIGH]}  # type: ignore[typeddict-unknown-key]
        low: Placement = {**self.cluster.placements[0], "id": LOW, "origin": "split", "hi": MIDDLE - 1}
        high: Placement = {**self.cluster.placements[0], "id": HIGH, "origin": "split", "lo": MIDDLE}
        self.cluster.placements[:] = [parent, low, high]

    def open_placed(self, machine: Machine) -> None:
        for placement in self.cluster.placements:
            if placement["id"] not in machine.node.replicas:
                machine.node.open_replica(placement, self.cluster.schema, None)

    # ---- crashes

    def flush(self) -> None:
        for machine in self.machines.values():
            machine.node.engine.flush()

    def crash(self, *machines: Machine) -> None:
        """Power fails: the engines have what was flushed, the logs what was synced."""
        for machine in machines or tuple(self.machines.values()):
            machine.disk.journal.clear()
            machine.kill(power=True)

    def start(self) -> None:
        for machine in self.machines.values():
            if not machine.up:
                machine.start()

    def damaged(self) -> dict[tuple[int, int], str]:
        return {
            (machine.id, group.id): group.damaged
            for machine in self.machines.values()
            if machine.up
            for group in machine.node.driver.groups.values()
            if group.damaged
        }
