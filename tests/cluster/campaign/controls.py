"""Negative controls: builds with one rule broken, each of which the campaign must find out within a minute.

A campaign that has never gone red proves nothing. Each control is a schedule that is green on the real program and
must be red with `tests/cluster/broken_node.py` in its place.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.campaign.aimed import AimedReads
from tests.cluster.campaign.disks import Tracer
from tests.cluster.campaign.scene import Scene

BROKEN_NODE = Path(__file__).resolve().parent.parent / "broken_node.py"
NEW_LEADER_S = 30.0
ELECTED_S = 6.0
"""Time in which an election is over for certain."""

SLOW_SYNC_S = 12
"""Longer than that: nothing the slow node was told meanwhile becomes durable."""


@dataclass(frozen=True)
class Control:
    """`broken` is the name for broken_node.py, `honest` that of the same machine with the program intact."""

    name: str
    broken: str
    honest: str | None
    schedule: Callable[[Scene], None]
    what: str


def program(broken: str | None) -> tuple[str, ...] | None:
    """The command line of a broken build; None for the real program."""
    return None if broken is None else (sys.executable, str(BROKEN_NODE), broken)


def stale_lease(scene: Scene) -> None:
    """Freeze a leader, cut off from the other nodes, until another leads and has acknowledged writes; wake it."""
    node = scene.busiest()
    name = f"node-{node}"
    others = [f"node-{n}" for n in scene.cluster.nodes() if n != node]
    led = [each["id"] for each in scene.partitions() if each["leader"] == node]
    with scene.fault(f"control: freeze {name}"), AimedReads(scene, node) as aimed:
        scene.cluster.cut([name], others)
        scene.cluster.pause(name)
        wait_led_elsewhere(scene, led, node)
        # The registers in use get new values from the new leader.
        scene.load.wait_writable(NEW_LEADER_S)
        scene.pass_time(2)
        aimed.send()
        scene.cluster.resume(name)
        aimed.send_for(1.0)
        scene.cluster.heal()
    scene.notes.append(f"{aimed.answered} aimed reads were answered, {aimed.refused} refused")
    scene.settle()


def wait_led_elsewhere(scene: Scene, partitions: list[int], node: int) -> None:
    """Until other nodes lead these partitions."""

    def elsewhere() -> bool:
        leaders = {each["id"]: each["leader"] for each in scene.partitions()}
        return all(leaders.get(each) not in (None, node) for each in partitions)

    try:
        scene.cluster.wait("other leaders", elsewhere, NEW_LEADER_S)
    except TimeoutError as error:
        scene.notes.append(f"the status does not show other leaders ({error})")


def power_cut(scene: Scene) -> None:
    """All nodes lose power at once, under load."""
    for _ in range(2):
        victims = [f"node-{n}" for n in scene.cluster.nodes()]
        with scene.fault("control: power cut of all nodes"):
            scene.cluster.kill(*victims)
            scene.cluster.restart(*victims)
            scene.load.wait_writable(NEW_LEADER_S)
        scene.pass_time(2)


def double_vote(scene: Scene) -> None:
    """A voter that forgets: it elects one leader, loses power, and elects another in the same term.

    The nodes are a, b and c; all of the table's partitions are led by a. b gets a disk so slow that it promises
    but hardly ever acknowledges. Then a dies, b elects c (its vote is out before it could be durable, if votes are
    not waited for), c appends what clients send but cannot commit it, b loses power and comes back while c is cut
    off and a is back: b elects a, in the term that c leads. Both have appended under the same term and index; when
    the cut is healed nobody notices that they differ.
    """
    cluster = scene.cluster
    a = scene.busiest()
    b, c = [n for n in cluster.nodes() if n != a]
    with scene.fault(f"control: node-{b} elects node-{c}, loses power, elects node-{a}"):
        cluster.ended_by_us.update((f"node-{a}", f"node-{b}"))
        with Tracer(cluster.process(f"node-{b}").pid, f"fdatasync:delay_enter={SLOW_SYNC_S * 1_000_000}"):
            cluster.kill(f"node-{a}")
            scene.pass_time(ELECTED_S)
            cluster.kill(f"node-{b}")
        others = [f"node-{n}" for n in (a, b)]
        cluster.cut([f"node-{c}"], others)
        cluster.restart(*others)
        cluster.cut([f"node-{c}"], others)
        wait_led_elsewhere(scene, [each["id"] for each in scene.partitions()], c)
        scene.pass_time(3)
        cluster.heal()
        scene.load.wait_writable(NEW_LEADER_S)
    scene.settle()


CONTROLS = (
    Control("lease", "lease", None, stale_lease, "a leader that does not check its lease"),
    Control("sync", "sync", "power", power_cut, "a log that is not synced, and a power cut"),
    Control("vote", "vote", "power", double_vote, "votes that are not stored"),
)
