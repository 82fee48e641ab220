"""One run: a cluster, transactions under faults, and everything that must hold afterwards."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.campaign.replicas import compare
from tests.cluster.histories.list_check import check_lists
from tests.cluster.histories.lists import OK, REFUSED, UNKNOWN
from tests.cluster.local_cluster import HASHRANGE, LocalCluster
from tests.cluster.transactions.faults import Fault, Stage
from tests.cluster.transactions.load import TransactionLoad
from tests.cluster.workloads.client import Refused, Unknown, Unsent

TABLES = ["Lists1", "Lists2", "Lists3"]
SETTLE_S = 30.0
"""Recovery may take 10 s after the 5 s at which a transaction counts as stalled; the rest is for failover."""
SHOWN_MAX = 8


@dataclass
class Options:
    """How a run is done. It ends after `seconds`, or `transactions` that were carried out on lists.

    `faults` come one after the other, `pause_s` apart, over and over. `program` replaces `hashrange` (see
    `LocalCluster`); `prepare` is called once the cluster is up and the load runs, `stopped` when the load has ended.
    `keep` leaves the directory of a failed run in place.
    """

    seconds: float = 60.0
    transactions: int = 0
    faults: tuple[Fault, ...] = ()
    pause_s: float = 3.0
    seed: int = 1
    clients: int = 16
    bankers: int = 4
    nodes: int = 3
    routers: int = 2
    partitions: int = 1
    """Partitions of each of the three tables at the start."""
    program: tuple[str, ...] = HASHRANGE
    settings: tuple[str, ...] = ()
    torn: bool = False
    """A control: clients read item by item where they should read in a transaction."""
    prepare: Callable[[Stage], None] = lambda stage: None
    stopped: Callable[[Stage], None] = lambda stage: None
    compare_replicas: bool = True
    keep: bool = True
    say: Callable[[str], None] = print


@dataclass
class Verdict:
    """What a run came to; everything held if `wrong` is empty."""

    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    transactions: int = 0
    """On lists, carried out."""
    unknown: int = 0
    transfers: int = 0
    looks: int = 0
    faults: int = 0
    seconds: float = 0.0

    def text(self) -> str:
        """Several lines for people."""
        lines = [f"  {note}" for note in self.notes]
        lines += [f"WRONG: {complaint}" for complaint in self.wrong[:SHOWN_MAX]]
        if len(self.wrong) > SHOWN_MAX:
            lines.append(f"WRONG: and {len(self.wrong) - SHOWN_MAX} more")
        told = "not serializable, or worse" if self.wrong else "strictly serializable, every sum exact"
        lines.append(
            f"{self.transactions} transactions on lists in {self.seconds:.0f} s "
            f"({self.transactions / max(self.seconds, 0.001):.0f}/s), {self.unknown} unknown, "
            f"{self.transfers} transfers, {self.looks} sums, {self.faults} faults: {told}"
        )
        return "\n".join(lines)


def run(options: Options) -> Verdict:
    """Run it on a cluster of its own."""
    verdict = Verdict()
    directory = Path(tempfile.mkdtemp(prefix="hashrange-transactions-"))
    began = time.monotonic()

    def say(sentence: str) -> None:
        options.say(f"[{time.monotonic() - began:6.1f} s] {sentence}")

    cluster = LocalCluster(
        directory / "cluster",
        nodes=options.nodes,
        routers=options.routers,
        program=options.program,
        settings=options.settings,
        say=say,
    )
    try:
        _play(cluster, options, verdict, say)
    except Exception as error:
        verdict.wrong.append(f"the run broke off: {error}\n{traceback.format_exc()}")
    finally:
        cluster.stop()
    if verdict.wrong and options.keep:
        verdict.notes.append(f"everything is kept in {directory}")
    else:
        shutil.rmtree(directory, ignore_errors=True)
    return verdict


def _play(cluster: LocalCluster, options: Options, verdict: Verdict, say: Callable[[str], None]) -> None:
    cluster.start()
    for name in TABLES:
        cluster.create_table(
            {
                "TableName": name,
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
                "BillingMode": "PAY_PER_REQUEST",
            }
        )
        cluster.split_empty(name, options.partitions)
    load = TransactionLoad(
        cluster.endpoints(),
        TABLES,
        cluster.directory.parent / "load",
        options.seed,
        clients=options.clients,
        bankers=options.bankers,
        torn=options.torn,
    )
    stage = Stage(cluster, load, TABLES, random.Random(options.seed), say, wrong=verdict.wrong)
    say(f"the cluster is up at {', '.join(cluster.endpoints())}")
    load.start()
    try:
        _let_it_run(stage, options, verdict)
    finally:
        load.stop()
    options.stopped(stage)
    _settle(stage, verdict)
    _judge(stage, verdict)
    verdict.wrong.extend(cluster.crashes())
    if options.compare_replicas:
        _compare_replicas(cluster, verdict)


def _let_it_run(stage: Stage, options: Options, verdict: Verdict) -> None:
    deadline = time.monotonic() + options.seconds
    stage.over = lambda: (
        time.monotonic() >= deadline or 0 < options.transactions <= stage.load.appends.transactions
    )
    options.prepare(stage)
    while not stage.over():
        for fault in options.faults or (lambda stage: None,):
            stage.pass_time(options.pause_s)
            if stage.over():
                break
            if options.faults:
                fault(stage)
                verdict.faults += 1
                appends, bank = stage.load.appends, stage.load.bank
                stage.say(
                    f"{appends.transactions} transactions, {bank.transfers} transfers, {bank.looks} sums so far"
                )


def _settle(stage: Stage, verdict: Verdict) -> None:
    """Put everything right, and read everything: nothing may stay locked for long."""
    stage.say("putting everything right and reading everything")
    stage.cluster.heal()
    down = stage.cluster.down()
    if down:
        stage.cluster.restart(*down)
    try:
        stage.load.look_at_everything()
    except (Refused, Unknown, Unsent) as error:
        verdict.wrong.append(f"not everything could be read in the end: {error}")
        return
    if stage.load.settled_s > SETTLE_S:
        verdict.wrong.append(
            f"it took {stage.load.settled_s:.0f} s until everything could be read, more than {SETTLE_S:.0f} s"
        )


def _judge(stage: Stage, verdict: Verdict) -> None:
    load, history = stage.load, stage.load.history.transactions
    began = time.monotonic()
    verdict.wrong += [finding.text() for finding in check_lists(history)]
    seconds = time.monotonic() - began
    verdict.wrong += [*load.appends.wrong, *load.bank.wrong]
    outcomes = {each: sum(one.outcome == each for one in history) for each in (OK, REFUSED, UNKNOWN)}
    verdict.transactions, verdict.unknown = load.appends.transactions, outcomes[UNKNOWN]
    verdict.transfers, verdict.looks, verdict.seconds = load.bank.transfers, load.bank.looks, load.seconds
    if not (verdict.transactions and verdict.transfers and verdict.looks):
        verdict.wrong.append("hardly anything was carried out")
    verdict.notes += [
        f"lists: {load.appends.transactions} transactions and {load.appends.single} single operations carried out, "
        f"{outcomes[REFUSED]} refused, {outcomes[UNKNOWN]} unknown; {len(load.appends.keys)} lists, read in the end "
        f"after {load.settled_s:.1f} s; checked in {seconds:.1f} s",
        f"refused: {dict((load.appends.refused + load.bank.refused).most_common(6))}",
        f"failed: {dict(load.failures.most_common(6))}",
        *stage.notes,
    ]


def _compare_replicas(cluster: LocalCluster, verdict: Verdict) -> None:
    """Let the followers catch up, stop, and compare."""
    try:
        cluster.wait("replicas that keep up", lambda: not cluster.behind(), 30)
    except TimeoutError as error:
        verdict.wrong.append(f"{error}: {cluster.behind()}")
    nodes = cluster.nodes()
    code = cluster.stop()
    if code != 0:
        verdict.wrong.append(f"the cluster ended with code {code}: {cluster.output()[-500:]}")
    comparison = compare({node: cluster.data_of(node) for node in nodes})
    verdict.wrong.extend(comparison.different)
    verdict.notes.append(f"{comparison.compared} replicas compared")
