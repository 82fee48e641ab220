"""Faults of processes: killed, all at once, at an exact fsync, or frozen and woken as stale leaders."""

from __future__ import annotations

from tests.cluster.campaign.aimed import AimedReads
from tests.cluster.campaign.disks import Tracer
from tests.cluster.campaign.scene import FAILOVER_S, LEASE_S, Scene

SAMPLES = (0.5, 1.0, 3.0, 10.0)


def kill_leader(scene: Scene) -> None:
    """F1: kill -9 the node that leads a partition, start it again."""
    _, node = scene.leader()
    with scene.fault(f"F1 kill node-{node}") as since:
        scene.cluster.kill(f"node-{node}")
        scene.pass_time(FAILOVER_S)
        scene.recovered(f"F1 node-{node} killed", since)
        scene.cluster.restart(f"node-{node}")
        scene.settle()


def kill_zone(scene: Scene) -> None:
    """F2: kill -9 every node of a zone, start them after a while."""
    zone = scene.cluster.zone_of(scene.busiest())
    nodes = [f"node-{n}" for n in scene.cluster.nodes() if scene.cluster.zone_of(n) == zone]
    with scene.fault(f"F2 kill {zone}: {', '.join(nodes)}") as since:
        scene.cluster.kill(*nodes)
        scene.pass_time(8 if scene.short else 60)
        scene.recovered(f"F2 {zone} killed", since)
        scene.cluster.restart(*nodes)
        scene.settle()


def kill_all(scene: Scene) -> None:
    """F3: kill -9 every node at once, and the routers half of the time."""
    victims = [f"node-{n}" for n in scene.cluster.nodes()]
    if scene.rng.random() < 0.5:
        victims += scene.cluster.routers()
    with scene.fault(f"F3 kill {', '.join(victims)}") as since:
        scene.cluster.kill(*victims)
        scene.cluster.restart(*victims)
        scene.recovered("F3 everything killed", since, judge=False)
    scene.settle()


def kill_at_sync(scene: Scene) -> None:
    """F4: a node is killed in the system call of its n-th fdatasync."""
    for _ in range(2 if scene.short else 10):
        _, node = scene.leader()
        number = scene.rng.randrange(1, 60)
        with scene.fault(f"F4 kill node-{node} at its fdatasync number {number}") as since:
            pid = scene.cluster.process(f"node-{node}").pid
            scene.cluster.ended_by_us.add(f"node-{node}")
            with Tracer(pid, f"fdatasync:signal=SIGKILL:when={number}"):
                scene.cluster.wait(
                    "the kill", lambda name=f"node-{node}": name in scene.cluster.down(), timeout_s=30
                )
            scene.recovered(f"F4 node-{node} killed at an fdatasync", since, FAILOVER_S + 2)
            scene.cluster.restart(f"node-{node}")
            scene.settle()


def pause_leader(scene: Scene) -> None:
    """F5: freeze the leader for parts and multiples of its lease, then wake it with reads waiting for it.

    Besides what routers send, strong reads are aimed at the old leader: some arrive while it is frozen and are
    the first thing that it sees. While it sleeps it is cut off from the other nodes, and for a moment after, so
    that nobody tells it that it leads no longer: only its own lease can.
    """
    samples = scene.rng.sample(SAMPLES[:-1], 2) if scene.short else SAMPLES
    for times in samples:
        stale_leader(scene, times * LEASE_S)
    scene.settle()


def stale_leader(scene: Scene, seconds: float) -> None:
    """Freeze the busiest leader and wake it; aimed reads before, during and after."""
    node = scene.busiest()
    name = f"node-{node}"
    others = [f"node-{n}" for n in scene.cluster.nodes() if n != node]
    with scene.fault(f"F5 freeze {name} for {seconds:.1f} s") as since, AimedReads(scene, node) as aimed:
        scene.cluster.cut([name], others)
        scene.cluster.pause(name)
        scene.pass_time(seconds)
        aimed.send()
        scene.cluster.resume(name)
        aimed.send_for(1.5)
        scene.cluster.heal()
        scene.recovered(f"F5 {name} frozen for {seconds:.1f} s", since, FAILOVER_S + seconds)
    told = f"F5: {aimed.answered} aimed reads were answered, {aimed.refused} refused"
    scene.notes.append(told)
