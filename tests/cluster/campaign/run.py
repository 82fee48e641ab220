"""Running one fault: a cluster, its load, the fault, and everything that must hold afterwards."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.campaign import coordinators, damage, disks, network, processes, reshaping
from tests.cluster.campaign.disks import NotPossibleError, SmallDisks
from tests.cluster.campaign.replicas import compare
from tests.cluster.campaign.scene import Scene
from tests.cluster.local_cluster import HASHRANGE, LocalCluster
from tests.cluster.transactions.run import Verdict
from tests.cluster.workloads.load import CREATE, TABLE, Load
from tests.cluster.zones import Zones, ZonesUnavailableError

SETTINGS = ("segment_mb=4", "scrub_interval_s=30")
PARTITIONS = 4
WARM_UP_S = 2.0
COOL_DOWN_S = 2.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Fault:
    """One fault of the campaign. `nodes` is the size of its cluster; `small_disks`: data on small file systems.

    `zoned`: its zones are network namespaces. `player(seed, seconds, say=...)` runs it in a way of its own, on
    the load of transactions.
    """

    name: str
    schedule: Callable[[Scene], None]
    nodes: int = 3
    routers: int = 1
    small_disks: bool = False
    zoned: bool = False
    player: Callable[..., Verdict] | None = None

    @property
    def what(self) -> str:
        """One line about it."""
        described = self.player or self.schedule
        return (described.__doc__ or "").strip().splitlines()[0].partition(": ")[2]


def _transactions(scene: Scene) -> None:
    """Has a load, and a player, of its own."""
    raise AssertionError("played on the load of transactions")


def _full_disks(scene: Scene) -> None:
    """F11: the disk of one node is full, then those of two."""
    raise AssertionError("played with small disks")


FAULTS = {
    fault.name: fault
    for fault in (
        Fault("F1", processes.kill_leader),
        Fault("F2", processes.kill_zone),
        Fault("F3", processes.kill_all),
        Fault("F4", processes.kill_at_sync),
        Fault("F5", processes.pause_leader),
        Fault("F6", network.cut_leader_zone),
        Fault("F6N", network.cut_zone_for_real, zoned=True),
        Fault("F7", network.cut_one_link),
        Fault("F7N", network.one_way, zoned=True),
        Fault("F8", network.cut_router, routers=2),
        Fault("F11", _full_disks, small_disks=True),
        Fault("F12", disks.slow_disk),
        Fault("F13", disks.failing_sync),
        Fault("F14", damage.flip_one),
        Fault("F15", damage.flip_two),
        Fault("F16", damage.lost_disk),
        Fault("F17", reshaping.reshape_under_faults, nodes=6),
        Fault("F18", _transactions, player=coordinators.play_deaths),
        Fault("F18Z", _transactions, player=coordinators.play_frozen),
    )
}


@dataclass
class Outcome:
    """What came of one run; passed when `wrong` is empty. `left_out` says why it was not run at all."""

    name: str
    seed: int
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_out: str = ""
    seconds: float = 0.0

    def text(self) -> str:
        """Several lines for people."""
        verdict = f"left out: {self.left_out}" if self.left_out else "WRONG" if self.wrong else "ok"
        lines = [f"{self.name} (seed {self.seed}): {verdict}, {self.seconds:.0f} s"]
        lines += [f"    {note}" for note in self.notes]
        lines += [f"  ! {complaint}" for complaint in self.wrong]
        return "\n".join(lines)


@dataclass
class Options:
    """How runs are done. `keep` leaves the directories of failed runs in place."""

    short: bool = True
    judge_times: bool = True
    boto3: bool = False
    program: tuple[str, ...] = HASHRANGE
    keep: bool = True
    say: Say = print
    schedule: Callable[[Scene], None] | None = None


def play(fault: Fault, seed: int, options: Options) -> Outcome:
    """Run one fault on a cluster of its own."""
    outcome = Outcome(fault.name, seed)
    if fault.player is not None:
        verdict = fault.player(seed, 30.0 if options.short else 300.0, say=options.say)
        outcome.wrong, outcome.seconds = verdict.wrong, verdict.seconds
        outcome.notes = verdict.text().splitlines()
        return outcome
    directory = Path(tempfile.mkdtemp(prefix=f"hashrange-{fault.name.lower()}-"))
    began = time.monotonic()

    def say(sentence: str) -> None:
        options.say(f"[{time.monotonic() - began:6.1f} s] {sentence}")

    zones = Zones(3) if fault.zoned else None
    cluster = LocalCluster(
        directory / "cluster",
        nodes=fault.nodes,
        routers=fault.routers,
        program=options.program if zones is None else zones.program(),
        settings=SETTINGS,
        say=say,
    )
    small = SmallDisks(cluster, [1, 2, 3]) if fault.small_disks else None
    with ExitStack() as after:
        try:
            if zones is not None:
                zones.create()
                after.callback(zones.destroy)
                after.enter_context(zones.addressed())
            if small is not None:
                small.mount()
                after.callback(small.unmount)
            _run(cluster, fault, seed, options, outcome, say, small, zones)
        except (NotPossibleError, ZonesUnavailableError) as error:
            outcome.left_out = str(error)
        except Exception as error:
            outcome.wrong.append(f"the run broke off: {error}\n{traceback.format_exc()}")
        finally:
            cluster.stop()
    outcome.seconds = time.monotonic() - began
    if outcome.wrong and options.keep:
        outcome.notes.append(f"everything is kept in {directory}")
    else:
        shutil.rmtree(directory, ignore_errors=True)
    return outcome


def _run(
    cluster: LocalCluster,
    fault: Fault,
    seed: int,
    options: Options,
    outcome: Outcome,
    say: Say,
    small: SmallDisks | None,
    zones: Zones | None,
) -> None:
    cluster.start()
    say(f"the cluster is up at {cluster.endpoint}")
    cluster.create_table(CREATE)
    cluster.split_empty(TABLE, PARTITIONS)
    endpoints = cluster.endpoints()
    load = Load(endpoints, cluster.directory.parent / "load", seed, boto3=options.boto3)
    probed = [
        (f"partition {each['id']}", each["hash_range"][0], each["hash_range"][1] + 1)
        for each in cluster.partitions(TABLE)
    ]
    load.start(probed)
    scene = Scene(
        cluster,
        load,
        random.Random(seed),
        say,
        options.short,
        outcome.wrong,
        outcome.notes,
        zones,
        options.judge_times,
    )
    try:
        if not load.wait_writable(30):
            outcome.wrong.append("the table never took writes")
        scene.pass_time(WARM_UP_S)
        if options.schedule is not None:
            options.schedule(scene)
        elif small is not None:
            disks.full_disks(scene, small)
        else:
            fault.schedule(scene)
        scene.pass_time(COOL_DOWN_S)
    finally:
        say("looking at everything")
        findings = load.finish()
        outcome.notes.append(findings.text())
        if findings.failures:
            common = ", ".join(f"{times} x {kind}" for kind, times in findings.failures.most_common(4))
            outcome.notes.append(f"failures: {common}")
        outcome.wrong.extend(findings.wrong)
    outcome.wrong.extend(cluster.crashes())
    _compare_replicas(cluster, outcome)


def _compare_replicas(cluster: LocalCluster, outcome: Outcome) -> None:
    """Let the followers catch up, stop, and compare."""
    try:
        cluster.wait("replicas that keep up", lambda: not cluster.behind(), 30)
    except TimeoutError as error:
        outcome.wrong.append(f"{error}: {cluster.behind()}")
    nodes = cluster.nodes()
    code = cluster.stop()
    if code != 0:
        outcome.wrong.append(f"the cluster ended with code {code}: {cluster.output()[-500:]}")
    comparison = compare({node: cluster.data_of(node) for node in nodes})
    outcome.wrong.extend(comparison.different)
    told = f"{comparison.compared} replicas compared"
    if comparison.incomparable:
        told += "; not comparable: " + "; ".join(comparison.incomparable[:3])
    outcome.notes.append(told)
    if not comparison.compared:
        outcome.wrong.append("no replicas were found to compare")
