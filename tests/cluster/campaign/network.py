"""Faults of the network: a leader or a zone cut off, one link cut, a router that cannot reach the leader.

Most are made by the processes themselves, as `hashrange cluster cut` does. Those on network namespaces (`zones`) are
made by the kernel, and can be in one direction only.
"""

from __future__ import annotations

from tests.cluster.campaign.aimed import AimedReads
from tests.cluster.campaign.scene import FAILOVER_S, LEASE_S, Scene

CUT_SHORT_S = 5.0
CUT_LONG_S = 30.0
LEADER_CHANGES_MAX = 2


def cut_leader_zone(scene: Scene) -> None:
    """F6: the zone of a leader is cut off from everything; then from the other nodes only, with reads aimed at it."""
    node = scene.busiest()
    zone = scene.cluster.zone_of(node)
    seconds = CUT_SHORT_S if scene.short else CUT_LONG_S
    with scene.fault(f"F6 cut {zone} off from everything") as since:
        scene.cluster.cut([zone])
        scene.pass_time(seconds)
        scene.recovered(f"F6 {zone} cut off", since, FAILOVER_S + 1)
        scene.cluster.heal()
        scene.recovered("F6 healed", since, judge=False)
    scene.settle()
    node = scene.busiest()
    others = [f"node-{n}" for n in scene.cluster.nodes() if n != node]
    with (
        scene.fault(f"F6 cut node-{node} off from the other nodes") as since,
        AimedReads(scene, node) as aimed,
    ):
        scene.cluster.cut([f"node-{node}"], others)
        aimed.send_for(seconds)
        scene.cluster.heal()
        scene.recovered(f"F6 node-{node} cut off from nodes", since, LEASE_S + FAILOVER_S)
    scene.notes.append(f"F6: {aimed.answered} aimed reads were answered, {aimed.refused} refused")
    scene.settle()


def cut_one_link(scene: Scene) -> None:
    """F7: the link between a leader and one follower is cut; each still sees a majority. Leadership must settle."""
    _, node = scene.leader()
    other = scene.rng.choice([n for n in scene.cluster.nodes() if n != node])
    with scene.fault(f"F7 cut the link of node-{node} and node-{other}") as since:
        before = {each["id"]: each["leader"] for each in scene.partitions()}
        scene.cluster.cut([f"node-{node}"], [f"node-{other}"])
        changes = 0
        rounds = 5 if scene.short else 30
        for _ in range(rounds):
            scene.pass_time(2)
            now = {each["id"]: each["leader"] for each in scene.partitions()}
            changes += sum(before.get(key) != leader and leader is not None for key, leader in now.items())
            before.update({key: leader for key, leader in now.items() if leader is not None})
        scene.recovered(f"F7 link of {node} and {other} cut", since, FAILOVER_S)
        minutes = max(1.0, rounds * 2 / 60)
        scene.notes.append(f"F7: {changes} changes of leaders among {len(before)} partitions")
        if changes > LEADER_CHANGES_MAX * len(before) * minutes:
            scene.wrong.append(f"F7: {changes} changes of leaders although a majority saw every leader")
        scene.cluster.heal()
    scene.settle()


def cut_router(scene: Scene) -> None:
    """F8: a router cannot reach the leader, which its peers can: no election, an answer within the deadline."""
    _, node = scene.leader()
    router = scene.rng.choice(scene.cluster.routers())
    late = scene.load.failures["Unknown timeout"]
    with scene.fault(f"F8 cut {router} off from node-{node}") as since:
        before = {each["id"]: each["leader"] for each in scene.partitions()}
        scene.cluster.cut([router], [f"node-{node}"])
        scene.pass_time(10 if scene.short else 30)
        after = {each["id"]: each["leader"] for each in scene.partitions()}
        moved = sum(before[key] != leader for key, leader in after.items() if key in before and leader)
        scene.notes.append(f"F8: {moved} leaders changed while {router} could not reach node-{node}")
        scene.cluster.heal()
        scene.recovered("F8 healed", since, judge=False)
    late = scene.load.failures["Unknown timeout"] - late
    if late:
        scene.wrong.append(f"F8: {late} requests were not answered at all, not even with an error")
    scene.settle()


def cut_zone_for_real(scene: Scene) -> None:
    """F6N: as F6, by the kernel: packets of a leader's zone are lost in both directions, connections stay."""
    assert scene.zones is not None
    node = scene.busiest()
    zone = scene.cluster.zone_of(node)
    with scene.fault(f"F6N the network of {zone} is silent") as since:
        scene.zones.cut(zone)
        scene.pass_time(CUT_SHORT_S if scene.short else CUT_LONG_S)
        scene.recovered(f"F6N {zone} silent", since, FAILOVER_S + 1)
        scene.zones.heal()
        scene.pass_time(1)
        scene.recovered("F6N healed", since, judge=False)
    scene.settle()


def one_way(scene: Scene) -> None:
    """F7N: loss in one direction: from the leader's zone, towards it, and a ring in which each sees a majority."""
    assert scene.zones is not None
    seconds = CUT_SHORT_S if scene.short else CUT_LONG_S
    for what in ("from", "towards", "ring"):
        zone = scene.cluster.zone_of(scene.busiest())
        others = sorted({scene.cluster.zone_of(n) for n in scene.cluster.nodes()} - {zone})
        with scene.fault(f"F7N loss in one direction: {what} {zone}") as since:
            if what == "ring":
                # Each zone is heard by the next one only.
                ring = [zone, *others]
                for place, source in enumerate(ring):
                    scene.zones.drop(source, ring[(place + 2) % len(ring)])
            for other in others if what != "ring" else ():
                scene.zones.drop(*((zone, other) if what == "from" else (other, zone)))
            scene.pass_time(seconds)
            if what != "ring":
                scene.recovered(f"F7N loss {what} {zone}", since, 2 * FAILOVER_S)
            scene.zones.heal()
            scene.recovered(f"F7N {what} healed", since, judge=False)
        scene.settle()
