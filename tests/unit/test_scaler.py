"""Auto scaling at the control plane's leader: what it changes, what it writes down, and what it leaves alone."""

from __future__ import annotations

from itertools import count
from typing import Any, NamedTuple

from hashrange_node.meta.scaler import FORGET_ROUNDS, Scaler

from hashrange.model.scaling import HISTORIES, TARGETS
from hashrange.model.table_document import find_global_index
from hashrange.wire.documents import ChangeDocument
from hashrange.wire.messages import ChangeTable
from tests.unit.node_support import Bench

READ = "table/Things|dynamodb:table:ReadCapacityUnits"
WRITE = "table/Things|dynamodb:table:WriteCapacityUnits"
INDEX_WRITE = "table/Things/index/by_b|dynamodb:index:WriteCapacityUnits"
NEW_YEAR = 1_893_456_000.0
"""2030-01-01, when the tests begin."""


class Used(NamedTuple):
    read: int
    write: int


class Traffic:
    """Consumption that a test sets: units a second from now on, by index."""

    def __init__(self) -> None:
        self.now = 0.0
        self.rates: dict[str, tuple[float, float]] = {}
        self.known: dict[str, dict[int, Used]] = {}

    def pass_second(self) -> None:
        for index in ("", "by_b"):
            read, write = self.rates.get(index, (0.0, 0.0))
            self.known.setdefault(index, {})[int(self.now)] = Used(int(read * 2), int(write * 2))
        self.now += 1.0

    def seconds(self, table: str, index: str, now: float, wanted: int) -> list[Used]:
        known = self.known.get(index, {})
        return [known[second] for second in range(int(now) - wanted, int(now)) if second in known]


class Site:
    """A table of 10 units each, its index, a scaler, and time."""

    def __init__(self, speed: float = 30.0) -> None:
        self.bench = Bench()
        units = {"ReadCapacityUnits": 10, "WriteCapacityUnits": 10}
        self.bench.create(
            BillingMode="PROVISIONED",
            ProvisionedThroughput=units,
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "b")],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "by_b",
                    "KeySchema": [{"AttributeName": "b", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                    "ProvisionedThroughput": units,
                }
            ],
        )
        self.traffic = Traffic()
        self.ids = count(1)
        self.scaler = self.new_scaler(speed)

    def new_scaler(self, speed: float) -> Scaler:
        return Scaler(
            self.bench.node.catalogue,
            lambda: self.traffic,
            now=lambda: self.traffic.now,
            wall_s=lambda: NEW_YEAR + self.traffic.now,
            call_later=lambda delay_s, callback: None,
            new_id=lambda: f"id-{next(self.ids)}",
            speed=speed,
        )

    def register(
        self, name: str, low: int, high: int, policy: dict[str, Any] | None = None, **more: Any
    ) -> None:
        resource, dimension = name.split("|")
        basis = {"AlarmId": "x", "TargetValue": 70.0, "InCooldown": 0, "OutCooldown": 0, "DisableIn": False}
        document = {
            "ResourceId": resource,
            "ScalableDimension": dimension,
            "Target": {"Min": low, "Max": high, "Suspended": {}, "BoundsAt": NEW_YEAR + self.traffic.now},
            "Policies": {} if policy is None else {"p": {**basis, **policy}},
            "Actions": {},
            **more,
        }
        stored = self.bench.node.catalogue.controls.get(TARGETS, name)
        expected = stored["generation"] if stored is not None else None
        self.bench.send(ChangeDocument(TARGETS, name, expected, document))
        self.bench.scheduler.run()

    def run(self, seconds: int, read: float = 0.0, write: float = 0.0, index: str = "") -> None:
        self.traffic.rates = {index: (read, write)}
        for _ in range(seconds):
            self.traffic.pass_second()
            self.scaler.round()
            self.bench.scheduler.run(5)

    @property
    def table(self) -> dict[str, Any]:
        return self.bench.node.catalogue.documents["Things"]

    @property
    def units(self) -> tuple[int, int]:
        return self.table["Throughput"]["Read"], self.table["Throughput"]["Write"]

    def activities(self, name: str) -> list[dict[str, Any]]:
        stored = self.bench.node.catalogue.controls.get(HISTORIES, name)
        return list(stored["document"]["Activities"]) if stored is not None else []


def test_load_raises_the_capacity_and_silence_lowers_it() -> None:
    site = Site()
    site.register(READ, 5, 40, {})
    site.run(12, read=20.0)
    assert site.units == (29, 10)
    site.run(60)
    assert site.units == (5, 10)
    newest, oldest = site.activities(READ)
    assert oldest["Description"] == "Setting read capacity units to 29."
    assert oldest["Cause"].startswith("monitor alarm TargetTracking-table/Things-AlarmHigh-")
    assert oldest["Message"] == (
        "Successfully set read capacity units to 29. Change successfully fulfilled by dynamodb."
    )
    assert oldest["Status"] == newest["Status"] == "Successful"
    assert "AlarmLow" in newest["Cause"]
    throughput = site.table["Throughput"]
    assert throughput["LastIncrease"] == round(oldest["StartedAt"], 3)
    assert throughput["Decreases"] == 1


def test_writes_of_an_index_are_scaled_by_themselves() -> None:
    site = Site()
    site.register(INDEX_WRITE, 5, 40, {})
    site.run(12, write=14.0, index="by_b")
    index = find_global_index(site.table, "by_b")
    assert index is not None and (index["Throughput"]["Read"], index["Throughput"]["Write"]) == (10, 20)
    assert site.units == (10, 10)
    assert index["Warm"]["Write"] == 20


def test_a_registration_brings_the_capacity_between_its_bounds_at_once_and_only_once() -> None:
    site = Site()
    site.register(WRITE, 20, 40)
    site.run(1)
    assert site.units == (10, 20)
    assert site.activities(WRITE)[0]["Cause"] == "minimum capacity was set to 20"
    lowered = {**site.table, "Generation": site.table["Generation"] + 1}
    lowered["Throughput"] = {**lowered["Throughput"], "Write": 3}
    before = site.table
    site.bench.send(ChangeTable("Things", (before["TableId"], before["Generation"]), lowered, []))
    site.bench.scheduler.run()
    site.run(5)
    assert site.units == (10, 3)


def test_a_registration_around_the_capacity_changes_nothing_and_is_done() -> None:
    site = Site()
    site.register(WRITE, 5, 40)
    before = site.table
    site.run(3)
    assert site.table is before
    stored = site.bench.node.catalogue.controls.get(HISTORIES, WRITE)
    assert stored is not None and stored["document"] == {"Activities": [], "BoundsDone": NEW_YEAR}


def test_a_refused_decrease_is_written_down_and_tried_again_later() -> None:
    site = Site()
    for bound in (9, 8, 7, 6, 5):
        site.register(WRITE, 1, bound)
        site.run(2)
    assert site.units == (10, 6)
    failed = site.activities(WRITE)[0]
    assert failed["Status"] == "Failed"
    assert failed["Message"].startswith(
        "Failed to set write capacity units to 5. Reason: Subscriber limit exceeded: "
        "Provisioned throughput decreases are limited within a given UTC day."
    )
    count = len(site.activities(WRITE))
    site.run(5)
    assert len(site.activities(WRITE)) == count
    site.run(8)
    assert len(site.activities(WRITE)) > count
    site.traffic.now += 3600.0
    site.run(2)
    assert site.units == (10, 5)
    assert site.activities(WRITE)[0]["Status"] == "Successful"


def test_a_refused_decrease_does_not_hold_up_an_increase() -> None:
    site = Site(speed=20.0)
    for bound in (9, 8, 7, 6):
        site.register(WRITE, 1, bound)
        site.run(2)
    site.register(WRITE, 1, 40, {})
    while site.activities(WRITE)[0]["Status"] != "Failed":
        site.run(1)
    site.run(12, write=28.0)
    assert site.units == (10, 40), "a decrease would be tried again after 15 seconds"
    site.register(WRITE, 1, 30)
    site.run(2)
    assert site.activities(WRITE)[0]["Status"] == "Failed"
    site.register(WRITE, 50, 60)
    site.run(2)
    assert site.units == (10, 50)


def test_a_scheduled_action_sets_the_bounds_and_brings_the_capacity_between_them() -> None:
    site = Site()
    action = {"CreatedAt": NEW_YEAR, "ChangedAt": NEW_YEAR, "Schedule": "at(2030-01-01T00:00:05)"}
    site.register(WRITE, 5, 40, Actions={"up": {**action, "Min": 30, "Max": 50}})
    site.run(4)
    assert site.units == (10, 10)
    site.run(4)
    assert site.units == (10, 30)
    change, fired = site.activities(WRITE)[:2]
    assert change["Cause"] == "minimum capacity was set to 30"
    assert fired["Cause"] == "scheduled action name up was triggered"
    assert fired["Description"] == "Setting min capacity to 30 and max capacity to 50"
    site.run(10)
    assert len(site.activities(WRITE)) == 2


def test_a_table_that_is_on_demand_or_gone_is_left_alone() -> None:
    site = Site()
    site.register("table/Nowhere|dynamodb:table:ReadCapacityUnits", 5, 9)
    site.register("table/Things/index/gone|dynamodb:index:ReadCapacityUnits", 5, 9)
    site.register(READ, 50, 60)
    document = {**site.table, "BillingMode": "PAY_PER_REQUEST", "Generation": site.table["Generation"] + 1}
    expected = (site.table["TableId"], site.table["Generation"])
    site.bench.send(ChangeTable("Things", expected, document, []))
    site.bench.scheduler.run()
    site.run(3)
    assert site.table["Throughput"]["Read"] == 10
    assert site.activities(READ) == []


def test_what_is_set_up_and_done_is_known_to_the_next_leader() -> None:
    site = Site()
    site.register(READ, 5, 100, {"OutCooldown": 30 * 60})
    site.run(12, read=20.0)
    assert site.units == (29, 10)
    site.scaler = site.new_scaler(30.0)
    site.run(30, read=60.0)
    assert site.units == (29, 10)
    site.run(40, read=60.0)
    assert site.units == (86, 10)


def test_a_target_that_cannot_be_looked_at_does_not_hold_up_the_others() -> None:
    site = Site()
    site.register(READ, 20, 40, Actions={"a": {"Schedule": "rate(1 day)"}})
    site.register(WRITE, 20, 40)
    site.run(2)
    assert site.units == (10, 20)


def test_nothing_is_done_elsewhere_than_at_the_leader() -> None:
    site = Site()
    site.register(READ, 20, 40)
    site.bench.node.catalogue.group.serving = False
    site.run(3)
    assert site.units == (10, 10)


def test_two_targets_of_a_table_change_it_one_after_the_other() -> None:
    site = Site()
    site.register(READ, 20, 40)
    site.register(WRITE, 30, 40)
    site.bench.log.held = []
    site.run(2)
    assert site.units == (10, 10)
    site.bench.log.release()
    site.bench.log.held = None
    site.run(4)
    assert site.units == (20, 30)


def test_a_target_is_left_alone_until_its_change_is_answered() -> None:
    site = Site()
    proposed: list[Any] = []
    change = site.bench.node.catalogue.change
    site.bench.node.catalogue.change = lambda message, done: (proposed.append(message), change(message, done))  # type: ignore[method-assign, assignment]
    site.register(READ, 20, 40)
    proposed.clear()
    site.bench.log.held = []
    site.run(5)
    assert len(proposed) == 1


def test_old_activities_of_targets_that_are_gone_are_forgotten() -> None:
    site = Site()
    site.register(READ, 20, 40)
    site.run(2)
    stored = site.bench.node.catalogue.controls.get(TARGETS, READ)
    assert stored is not None
    site.bench.send(ChangeDocument(TARGETS, READ, stored["generation"], None))
    site.bench.scheduler.run()
    for days in (41, 2):
        assert len(site.activities(READ)) == 1
        site.traffic.now += days * 86_400
        for _ in range(FORGET_ROUNDS):
            site.scaler.round()
        site.bench.scheduler.run()
    assert site.bench.node.catalogue.controls.get(HISTORIES, READ) is None
