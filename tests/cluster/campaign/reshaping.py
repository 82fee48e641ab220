"""F17: partitions are split and moved while leaders are killed, frozen and cut off."""

from __future__ import annotations

import threading
import time

from hashrange.cli.cluster.ask import AskError
from hashrange.cli.cluster.layout import LayoutError
from tests.cluster.campaign.network import cut_leader_zone
from tests.cluster.campaign.processes import kill_leader, stale_leader
from tests.cluster.campaign.scene import Scene


class Reshaper(threading.Thread):
    """Splits and moves partitions of the table at random until told to stop."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(daemon=True)
        self.done: list[str] = []
        self.refused: list[str] = []
        self._scene = scene
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.wait(2.0):
            try:
                if self._scene.rng.random() < 0.5:
                    self._split()
                else:
                    self._move()
            except (AskError, LayoutError, TimeoutError) as error:
                self.refused.append(str(error))

    def _split(self) -> None:
        partitions = self._scene.partitions()
        if 0 < len(partitions) < 12:
            partition = self._scene.rng.choice(partitions)["id"]
            self._scene.cluster.command("split", partition=partition)
            self.done.append(f"split {partition}")

    def _move(self) -> None:
        partitions = self._scene.partitions()
        if not partitions:
            return
        partition = self._scene.rng.choice(partitions)
        holding = {replica["node"] for replica in partition["replicas"] or ()}
        cluster = self._scene.cluster
        for source in sorted(holding):
            zone = cluster.zone_of(source)
            free = [n for n in cluster.nodes() if cluster.zone_of(n) == zone and n not in holding]
            if free:
                arguments = {"partition": partition["id"], "from": source, "to": free[0]}
                cluster.command("move", **arguments)
                self.done.append(f"move {arguments}")
                return

    def stop(self) -> None:
        """End after what is under way."""
        self._stopping.set()
        self.join(30)


def reshape_under_faults(scene: Scene) -> None:
    """F17: splits and moves during F1, F5 and F6."""
    reshaper = Reshaper(scene)
    reshaper.start()
    try:
        scene.pass_time(4)
        kill_leader(scene)
        stale_leader(scene, 3.0)
        cut_leader_zone(scene)
    finally:
        reshaper.stop()
    scene.notes.append(f"F17: {len(reshaper.done)} splits and moves, {len(reshaper.refused)} refused")
    check_cover(scene)


def check_cover(scene: Scene) -> None:
    """The ranges of the table's partitions cover all hashes, without hole or overlap, once splits are over."""
    problem = "no partitions"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        expected, problem = 0, ""
        for each in scene.partitions():
            low, high = each["hash_range"]
            if low != expected:
                problem = f"partition {each['id']} begins at {low}, not at {expected}"
            expected = high + 1
        if not problem and expected == 2**64:
            return
        problem = problem or f"the ranges end at {expected}"
        time.sleep(0.4)
    scene.wrong.append(f"F17: {problem}")
