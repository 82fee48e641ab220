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
    """`broken` is the name for broken_node.py, `honest` that of the same machine with the program intact.

    `signs` are words of which one must be among what is found wrong: it must go red for the right reason.
    """

    name: str
    broken: str
    honest: str | None
    schedule: Callable[[Scene], None]
    what: str
    signs: tuple[str, ...]


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

    The nodes are a, b and c. b gets a disk so slow that nothing it is told becomes durable. Then a dies, and b elects
    c: its vote is out before it could be durable, if votes are not waited for. c is frozen, b loses power, and both a
    and b come back: b elects a, in the term that c leads. When c wakes up two leaders have the same term, and their
    followers cannot tell them apart. On the real program b's vote waits for its disk, and c is never elected.
    """
    cluster = scene.cluster
    a = scene.busiest()
    b, c = [n for n in cluster.nodes() if n != a]
    others = [f"node-{n}" for n in (a, b)]
    partitions = scene.partitions()
    with scene.fault(f"control: node-{b} elects node-{c}, loses power, elects node-{a}"):
        cluster.ended_by_us.update(others)
        with Tracer(cluster.process(f"node-{b}").pid, f"fdatasync:delay_enter={SLOW_SYNC_S * 1_000_000}"):
            cluster.kill(f"node-{a}")
            scene.pass_time(ELECTED_S)
            with AimedReads(scene, c, partitions) as aimed:
                cluster.pause(f"node-{c}")
                cluster.kill(f"node-{b}")
                cluster.restart(*others)
                wait_led_elsewhere(scene, [each["id"] for each in partitions], c)
                scene.load.wait_writable(NEW_LEADER_S)
                scene.pass_time(2)
                aimed.send()
                cluster.resume(f"node-{c}")
                aimed.send_for(3.0)
        scene.load.wait_writable(NEW_LEADER_S)
    scene.notes.append(f"{aimed.answered} aimed reads were answered, {aimed.refused} refused")
    scene.settle()


CONTROLS = (
    Control("lease", "lease", None, stale_lease, "a leader that does not check its lease", ("no order of",)),
    Control(
        "sync",
        "sync",
        "power",
        power_cut,
        "a log that is not synced, and a power cut",
        ("although it was acknowledged", "no order of"),
    ),
    Control(
        "vote", "vote", "power", double_vote, "votes that are not stored", ("both lead term", "no order of")
    ),
)
