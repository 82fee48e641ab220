"""One run with transactions, and how it is judged.

Besides what must hold of any cluster (`tests.sim.run`):

- every TransactGetItems over all accounts shows the same sum;
- the history of the lists is strictly serializable, that of each token linearizable;
- a repeat under a token is answered as the first time;
- the streams of the tables have a record of each change;
- when all is repaired, no lock is left after LOCKS_S, no committed transaction in the ledger after LEDGER_S, and the
  index has what its table has.
"""

from __future__ import annotations

import random
from typing import Any

from hashrange.errors import ApiError
from tests.cluster.histories.linear import check_history
from tests.sim.checkers import Unsafe, check
from tests.sim.cluster import Options
from tests.sim.run import SETTLE_S, Plan, Result
from tests.sim.streams import check_stream
from tests.sim.transactions import faults, leftovers, lists
from tests.sim.transactions.clients import OK, Client, Records
from tests.sim.transactions.faults import TransactFaults
from tests.sim.transactions.intents import READ, READ_TOKEN, TABLES, Intent, opening, table_requests
from tests.sim.transactions.router import TransactCluster
from tests.sim.whole import CONTROL_S, WholeSimulation
from tests.sim.whole import KINDS as WHOLE_KINDS
from tests.sim.workload import table_document

LOCKS_S = 15.0
LEDGER_S = 40.0
INDEX_S = 30.0
OPENING_S = 30.0
JUDGE = 90
"""The number of the client that opens the accounts and reads everything at the end."""


class TransactSimulation(WholeSimulation):
    """The life of a cluster that runs transactions."""

    cluster: TransactCluster
    faults: TransactFaults

    def _make(self) -> None:
        plan, rng = self.plan, self.rng
        self.cluster = TransactCluster(self.world, plan.options, table_document(1))
        self.faults = TransactFaults(self.cluster, rng, kinds=plan.kinds, interval_s=plan.fault_interval_s)
        if not plan.kinds:
            self.faults.kinds = tuple(rng.sample(self.faults.kinds, min(3, len(self.faults.kinds))))
            self.faults.kinds += tuple(rng.sample(faults.KINDS, rng.randint(2, len(faults.KINDS))))
            self.faults.kinds += ("coordinator", "coordinator")
            self.faults.kinds += tuple(rng.sample(WHOLE_KINDS, rng.randint(0, 2)))
        self.records = Records(lambda: self.world.now)

    def _begin(self) -> None:
        self.cluster.start()
        routers = list(self.cluster.routers.values())
        machines = self.cluster.machines.values()
        self._until(lambda: all(m.plane.ready for m in machines), CONTROL_S, "every node takes part")
        self._until(
            lambda: all(r.routing.view.received for r in routers), CONTROL_S, "routers know the catalogue"
        )
        for request in table_requests(indexed=self.rng.random() < 0.4):
            answers: list[Any] = []
            routers[0].ask("CreateTable", request, answers.append)
            self._until(lambda: answers, CONTROL_S, "a table is created")  # noqa: B023
            check(not isinstance(answers[0], ApiError), "a table is created", answers[0])
        self._until(lambda: all(r.ready for r in routers), CONTROL_S, "the routers know the tables")
        if self.rng.random() < 0.6:
            self._split_tables()

    def _split_tables(self) -> None:
        """Begin with two partitions in some tables."""
        self._until(self._elected, CONTROL_S, "every group has a leader")
        for name in TABLES[: self.rng.randint(1, len(TABLES))]:
            found = [
                each for each in self.cluster.partitions() if each["table"] == name and not each["index"]
            ]
            self.faults.command("split", partition=found[-1]["id"], at=self.rng.getrandbits(64))
        self.world.run(self.world.now + 3.0)

    def _start_clients(self) -> None:
        plan = self.plan
        count = plan.clients * plan.options.routers
        self.judge = Client(self.cluster, self.records, self.rng, JUDGE, plan.pause_s)
        self._insist(opening(), OPENING_S)
        self.traders = [
            Client(
                self.cluster,
                self.records,
                random.Random(self.rng.getrandbits(32)),
                number,
                plan.pause_s,
            )
            for number in range(1, count + 1)
        ]
        for client in self.traders:
            client.start()

    def _insist(self, intent: Intent, within_s: float) -> None:
        """Ask until it succeeds."""
        outcomes: list[str] = []
        end = self.world.now + within_s
        while OK not in outcomes and self.world.now < end:
            before = len(outcomes)
            record = self.judge.run(intent, lambda record: outcomes.append(record.outcome))
            self._until(lambda: len(outcomes) > before, SETTLE_S, "the judge is answered")  # noqa: B023
        check(OK in outcomes, "a healed cluster answers", record.text())

    def _open(self) -> int:
        return sum(client.open for client in self.traders) + self.judge.open

    def run(self) -> Result:
        """Do it all."""
        self._begin()
        self._until(self._elected, CONTROL_S, "every group elects a leader at the start")
        self._start_clients()
        self.faults.start()
        self.world.run(self.world.now + self.plan.chaos_s)
        self._repair()
        for client in self.traders:
            client.stopped = True
        repaired = self.world.now
        self._until(self._settled, self.plan.settle_s, "every group has a leader, all replicas are equal")
        self._until(lambda: not self._open(), SETTLE_S, "every operation is answered")
        last = max(repaired, self.world.now)
        self._until(
            lambda: not leftovers.locks(self.cluster),
            last + LOCKS_S - self.world.now,
            "no transaction holds a lock",
        )
        self._until(
            lambda: not leftovers.committed(self.cluster), LEDGER_S, "all that is decided is finished"
        )
        self._until(
            lambda: not leftovers.index_differs(self.cluster), INDEX_S, "indexes have what their tables have"
        )
        self._read_everything()
        self._until(self._settled, self.plan.settle_s, "everything stays so")
        self._check_end()
        return Result(
            self.seed,
            self.world.count,
            len(self.records.all),
            sum(record.outcome == "unknown" for record in self.records.all),
            self.cluster.checker.elections,
            sum(m.installed + m.snapshots.installer.installed for m in self.cluster.machines.values()),
            self.world.now,
            self.faults.counts,
        )

    def _read_everything(self) -> None:
        intents = self.judge.intents
        for key in intents.lists:
            self._insist(intents.get(key, READ), SETTLE_S)
        for key in intents.tokens:
            self._insist(intents.get(key, READ_TOKEN), SETTLE_S)
        self._insist(intents.read_accounts(), SETTLE_S)

    def _check_end(self) -> None:
        lists.check_records(self.records.all)
        violations = check_history(self.records.tokens.operations)
        if violations:
            raise Unsafe("tokens: " + "\n".join(violation.text() for violation in violations))
        super()._check_end()
        control = self.cluster.control()
        assert control is not None
        for name in TABLES:
            parts = [
                each for each in self.cluster.partitions() if each["table"] == name and not each["index"]
            ]
            check_stream(self.cluster, parts, control.node.catalogue.schemas[name], trimming=False)

    def _describe(self) -> str:
        locks = [str(lock) for lock in leftovers.locks(self.cluster)]
        rows = [str(row) for row in leftovers.committed(self.cluster)]
        return "\n  ".join([super()._describe(), *locks, *rows, *leftovers.index_differs(self.cluster)])


def transactions_plan(seed: int) -> Plan:
    """Three routers; five nodes, or more often three: what is tried here is not where replicas are."""
    nodes = 5 if seed % 4 == 0 else 3
    options = Options(nodes=nodes, routers=3)
    if seed % 5 == 1:
        options = Options(nodes=nodes, routers=3, checkpoint_bytes=6_000, retention_bytes=2_000)
    return Plan(chaos_s=14.0, clients=3, pause_s=0.1, options=options, settle_s=120.0, fault_interval_s=0.9)
