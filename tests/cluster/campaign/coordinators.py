"""Faults of coordinators: routers that die in the middle of transactions, and routers that are thought to be dead.

These are played on the load of `tests.cluster.transactions`: list-append and bank, judged by its checks.
"""

from __future__ import annotations

import asyncio
import re
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from hashrange.cli.cluster.ask import AskError, ask
from hashrange.cli.cluster.layout import NODE
from tests.cluster.local_cluster import HASHRANGE
from tests.cluster.transactions.faults import Fault, Stage
from tests.cluster.transactions.run import Options, Verdict, run

BROKEN_ROUTER = Path(__file__).resolve().parent.parent / "broken_router.py"
DYING = ("router-1", "router-2")
"""Both: clients stay with the one that has lived longest, so that one alone would soon have nothing to do."""

SHARE = 0.004
FINISHED_S = 15.0
"""Time in which no lock may be left: 5 s until a transaction counts as stalled, and 10 s more."""

ASKING_S = 3.0
"""What asking all nodes, and being heard by busy ones, may add."""

FROZEN_S = 8.0
DEATH_S = 20.0
LOCKS = "hashrange_transactions_locks_held"
STALLED = "hashrange_transactions_stalled"
STALLED_MAX_S = 10.0
"""Time in which a stalled transaction must be finished, once it counts as stalled."""

WATCH_S = 0.4
DEATH = re.compile(r"^router: dying at step (\w+)$", re.M)


def dying(share: float = SHARE) -> tuple[str, ...]:
    """The program whose routers die at some step of a share of their transactions."""
    return (sys.executable, str(BROKEN_ROUTER), str(share), ",".join(DYING))


def blind() -> tuple[str, ...]:
    """The program whose ledger takes any decision."""
    return (sys.executable, str(BROKEN_ROUTER), "blind", "all")


def revive(stage: Stage) -> None:
    """Routers die by themselves and are started again, some only after others have finished their transactions."""
    cluster = stage.cluster
    cluster.ended_by_us.update(DYING)
    deadline = time.monotonic() + DEATH_S
    dead: list[str] = []
    while not dead and time.monotonic() < deadline and not stage.over():
        time.sleep(0.05)
        dead = [name for name in DYING if name in cluster.down()]
    if dead:
        stage.pass_time(stage.rng.choice((0.0, 1.0, 7.0)))
        cluster.restart(*dead)


def freeze_router(stage: Stage) -> None:
    """SIGSTOP a router until its transactions are given up, then let it go on with them."""
    name = stage.rng.choice(stage.cluster.routers())
    stage.say(f"freezing {name}")
    stage.cluster.pause(name)
    stage.pass_time(FROZEN_S)
    stage.cluster.resume(name)


def wait_unlocked(stage: Stage) -> None:
    """When the load has ended: until no node holds a lock any more."""
    began = time.monotonic()
    while True:
        locks = locks_held(stage)
        seconds = time.monotonic() - began
        if locks == 0 or seconds > 4 * FINISHED_S:
            break
        time.sleep(0.2)
    stage.notes.append(f"no lock was left {seconds:.1f} s after the load had ended")
    if seconds > FINISHED_S + ASKING_S:
        stage.wrong.append(f"{locks} items were still locked {FINISHED_S:.0f} s after the load had ended")
    deaths = Counter(step for name in DYING for step in DEATH.findall(stage.cluster.log_of(name)))
    if deaths:
        stage.notes.append(f"deaths by step: {dict(deaths)}")


def locks_held(stage: Stage) -> int:
    """Items locked at all nodes; -1 while one does not tell."""
    return total(stage, LOCKS)


def total(stage: Stage, gauge: str) -> int:
    """The sum of a gauge over all nodes, by their metrics; -1 while one does not tell."""
    layout = stage.cluster.layout()
    line = re.compile(rf"^{gauge}(?:\{{[^}}]*\}})? ([0-9.e+]+)$", re.M)
    found = 0
    for process in layout.of(NODE):
        try:
            page = asyncio.run(ask(layout.admin_url(process), "/metrics"))
        except AskError:
            return -1
        found += sum(int(float(each)) for each in line.findall(page.decode()))
    return found


class StalledWatch:
    """Looks all the time whether any transaction has stalled; `longest_s` is the longest time in which some had.

    A router that dies while the transactions of the last one are being finished makes that longer: rare as deaths
    are, not by much.
    """

    def __init__(self) -> None:
        self.longest_s = 0.0
        self.seen = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, stage: Stage) -> None:
        """Begin (`Options.prepare`)."""
        self._thread = threading.Thread(target=self._run, args=(stage,), daemon=True)
        self._thread.start()

    def stop(self, stage: Stage, judge: bool) -> None:
        """End, and judge if asked to (`Options.stopped`)."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        stage.notes.append(
            f"stalled transactions were seen {self.seen} times, for {self.longest_s:.1f} s at the longest"
        )
        if judge and self.longest_s > STALLED_MAX_S + ASKING_S:
            stage.wrong.append(
                f"some transaction was not finished {self.longest_s:.1f} s after it had stalled"
            )

    def _run(self, stage: Stage) -> None:
        since: float | None = None
        while not self._stop.wait(WATCH_S):
            now = time.monotonic()
            if total(stage, STALLED) > 0:
                self.seen += since is None
                since = now if since is None else since
                self.longest_s = max(self.longest_s, now - since)
            else:
                since = None


def play_deaths(seed: int, seconds: float, transactions: int = 0, **more: Any) -> Verdict:
    """F18: routers die again and again, at every step of the coordinator, and are started again."""
    faults: tuple[Fault, ...] = more.pop("faults", ())
    watch = StalledWatch()

    def stopped(stage: Stage) -> None:
        watch.stop(stage, judge=not faults)  # a node that is away, too, may take longer
        wait_unlocked(stage)

    verdict = run(
        Options(
            seconds=seconds,
            transactions=transactions,
            faults=(revive, *faults),
            pause_s=0.2,
            seed=seed,
            program=dying(),
            prepare=watch.start,
            stopped=stopped,
            **more,
        )
    )
    if not any(note.startswith("deaths by step") for note in verdict.notes):
        verdict.wrong.append("the routers never died")
    return verdict


def play_frozen(seed: int, seconds: float, broken: bool = False, **more: Any) -> Verdict:
    """F18Z: routers wake up when their transactions were given up; `broken`: and the ledger takes any decision."""
    return run(
        Options(
            seconds=seconds,
            faults=(freeze_router,),
            pause_s=1.0,
            seed=seed,
            program=blind() if broken else HASHRANGE,
            stopped=wait_unlocked,
            keep=not broken,
            **more,
        )
    )
