"""Admission at the router: budgets of tables and indexes, what is reported and what is granted."""

from __future__ import annotations

from typing import Any

import pytest
from hashrange_router.capacity.admission import Enforcer, Meter
from hashrange_router.capacity.faults import ThrottleFaults
from hashrange_router.capacity.resource import Rules, Throttling

from hashrange.errors import ApiError
from hashrange.model.table import TableSchema
from hashrange.model.table_document import PAY_PER_REQUEST, TableDocument, revised
from hashrange.model.throttling import reasons_of
from hashrange.runtime.clock import ManualClock
from tests.unit.table_support import active, definitions, index, keys

ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/orders"
CAPACITY = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}


def document(**changes: Any) -> TableDocument:
    """A table `orders` with a global index `by-customer`, of 5 read and 5 write units each."""
    members: dict[str, Any] = {
        "TableName": "orders",
        "AttributeDefinitions": definitions("id", "customer"),
        "KeySchema": keys("h:id"),
        "BillingMode": None,
        "ProvisionedThroughput": CAPACITY,
        "GlobalSecondaryIndexes": [index("by-customer", "h:customer", ProvisionedThroughput=CAPACITY)],
        **changes,
    }
    return active(**members)


def on_demand(**maxima: int) -> TableDocument:
    """A table `orders` on demand, without an index."""
    return document(
        AttributeDefinitions=definitions("id"),
        BillingMode=PAY_PER_REQUEST,
        ProvisionedThroughput=None,
        GlobalSecondaryIndexes=None,
        OnDemandThroughput=maxima or None,
    )


class Router:
    """An enforcing router with one table and a clock that is moved by hand."""

    def __init__(
        self, made: TableDocument, mode: Throttling = "on", multiplier: float = 1.0, alone: bool = True
    ) -> None:
        self.clock = ManualClock()
        self.documents: dict[str, TableDocument] = {}
        self.schemas: dict[str, TableSchema] = {}
        self.admission = Enforcer(
            self.documents.get, self.clock.monotonic, Rules(mode, multiplier, alone), self.schemas
        )
        self.change(made)

    @property
    def table(self) -> TableSchema:
        return self.schemas["orders"]

    def change(self, made: TableDocument | None) -> None:
        if made is None:
            del self.documents["orders"], self.schemas["orders"]
        else:
            self.documents["orders"] = made
            self.schemas["orders"] = TableSchema.from_document(made)
        self.admission.follow("orders", None, made)

    def write(self, item: dict[str, Any] | None = None, half: int = 2, index_half: int = 0) -> None:
        self.admission.write(self.table, item)
        units = [("GSI", "by-customer", index_half)] if index_half else None
        self.admission.charge_write(self.table, half, units)

    def read(self, index: str | None = None, half: int = 2) -> None:
        self.admission.read(self.table, index)
        self.admission.charge_read(self.table, index, half)

    def writes(self, limit: int = 10_000) -> int:
        """How many writes go through before one is refused."""
        return sum(1 for _ in range(limit) if refused(self.write) is None)


def refused(call: Any, *args: Any, **named: Any) -> ApiError | None:
    try:
        call(*args, **named)
    except ApiError as error:
        return error
    return None


def test_a_table_begins_with_a_second_and_saves_up_to_three_hundred() -> None:
    router = Router(document())
    assert router.writes(20) == 5
    router.clock.advance(1.0)
    assert router.writes(20) == 5
    router.clock.advance(10_000.0)
    assert router.writes() == 1_500


def test_a_refusal_says_what_was_exceeded() -> None:
    router = Router(document())
    router.write(half=20)
    error = refused(router.write)
    assert error is not None
    assert error.status == 400
    assert error.type_name == "ProvisionedThroughputExceededException"
    assert error.fields == {
        "ThrottlingReasons": [{"reason": "TableWriteProvisionedThroughputExceeded", "resource": ARN}]
    }
    assert refused(router.read) is None  # reads have a budget of their own


def test_a_long_overload_is_admitted_at_the_rate() -> None:
    router = Router(document())
    admitted = 0
    for _ in range(60_000):
        router.clock.advance(0.001)
        admitted += refused(router.write) is None
    assert admitted == pytest.approx(60 * 5 + 5, abs=1)


def test_an_index_has_a_budget_of_its_own_for_reads() -> None:
    router = Router(document())
    router.read("by-customer", half=40)
    error = refused(router.read, "by-customer")
    assert error is not None
    assert error.fields is not None
    assert error.fields["ThrottlingReasons"] == [
        {"reason": "IndexReadProvisionedThroughputExceeded", "resource": ARN + "/index/by-customer"}
    ]
    assert refused(router.read) is None


def test_an_index_in_debt_holds_back_the_writes_that_may_change_it() -> None:
    router = Router(document())
    router.clock.advance(300)
    router.write({"id": {"S": "1"}, "customer": {"S": "c"}}, index_half=4_000)
    error = refused(router.write, {"id": {"S": "1"}, "customer": {"S": "c"}})
    assert error is not None
    assert reasons_of(error) == ["IndexWriteProvisionedThroughputExceeded"]
    assert "global secondary indexes" in str(error.message)
    assert refused(router.write, None) is not None  # an update or a deletion may change it
    assert refused(router.write, {"id": {"S": "1"}}) is None  # this item is not in it
    router.clock.advance(101)
    assert refused(router.write, None) is None


def test_only_items_with_all_keys_of_an_index_are_in_it() -> None:
    router = Router(
        document(
            AttributeDefinitions=definitions("id", "customer", "date"),
            GlobalSecondaryIndexes=[
                index("by-customer", "h:customer", "r:date", ProvisionedThroughput=CAPACITY)
            ],
        )
    )
    router.write(None, index_half=40)
    assert refused(router.write, {"id": {"S": "1"}, "customer": {"S": "c"}}) is None
    both = {"id": {"S": "1"}, "customer": {"S": "c"}, "date": {"S": "d"}}
    assert reasons_of(refused(router.write, both) or ApiError("", "")) == [
        "IndexWriteProvisionedThroughputExceeded"
    ]


def test_on_demand_tables_are_bounded_by_what_they_are_warm_for() -> None:
    router = Router(on_demand())
    router.write(half=8_001)
    error = refused(router.write)
    assert error is not None
    assert error.type_name == "ThrottlingException"
    assert error.body().startswith(b'{"__type":"com.amazon.coral.availability#ThrottlingException"')
    assert reasons_of(error) == ["TableWriteKeyRangeThroughputExceeded"]


def test_on_demand_tables_have_the_maximum_that_was_set() -> None:
    router = Router(on_demand(MaxReadRequestUnits=10, MaxWriteRequestUnits=3))
    assert router.writes(50) == 3
    error = refused(router.write)
    assert error is not None
    assert reasons_of(error) == ["TableWriteMaxOnDemandThroughputExceeded"]
    assert error.message == "Throughput exceeds the maximum OnDemandThroughput configured on table or index"
    router.read(half=20)
    assert reasons_of(refused(router.read) or error) == ["TableReadMaxOnDemandThroughputExceeded"]


def test_provisioned_only_leaves_tables_on_demand_alone() -> None:
    router = Router(on_demand(MaxWriteRequestUnits=1), mode="provisioned-only")
    assert router.writes(100) == 100
    assert Router(document(), mode="provisioned-only").writes(100) == 5


def test_the_multiplier_scales_every_budget() -> None:
    router = Router(document(), multiplier=2.0)
    assert router.writes(100) == 10
    assert (
        router.admission.resources()[0].writes.provisioned == 10.0
    )  # what the table asks for, in half units
    assert Router(on_demand(MaxWriteRequestUnits=100), multiplier=0.01).writes(100) == 1


def test_a_changed_table_keeps_its_savings_and_debts() -> None:
    router = Router(document())
    router.write(half=30)
    raised = revised(router.documents["orders"])
    raised["Throughput"]["Write"] = 10
    router.change(raised)
    assert refused(router.write) is not None
    router.clock.advance(1.1)  # 20 half units: the debt of 20 is gone with the new rate
    assert refused(router.write) is None
    router.clock.advance(400)
    lowered = revised(raised)
    lowered["Throughput"]["Write"] = 1
    router.change(lowered)
    assert router.writes() == 300


def test_a_request_that_knows_an_older_schema_changes_nothing() -> None:
    router = Router(document())
    older = router.table
    raised = revised(router.documents["orders"])
    raised["Throughput"]["Write"] = 100
    router.change(raised)
    router.admission.charge_write(older, 2, None)
    assert router.admission.resources()[0].writes.provisioned == 200.0


def test_another_table_of_the_same_name_begins_anew() -> None:
    router = Router(document())
    router.write(half=3_000)
    router.change(None)
    assert router.admission.resources() == []
    other = document()
    other["TableId"] = "id-2"
    router.change(other)
    assert router.writes(20) == 5


def test_needs_are_what_happened_since_the_last_call() -> None:
    router = Router(document())
    assert router.admission.needs() == []
    router.write(half=8, index_half=6)
    router.read("by-customer", half=3)
    router.write(half=4)
    refused(router.write)
    table, other = router.admission.needs()
    assert (table.index, table.write_used, table.write_left, table.write_refused) == ("", 12, -2, 2)
    assert (table.read_used, table.read_left) == (0, 10)
    assert (other.index, other.read_used, other.write_used) == ("by-customer", 3, 6)
    assert (other.read_left, other.write_left) == (7, 4)
    assert router.admission.needs() == []


def grant(**amounts: Any) -> dict[str, Any]:
    given = {"table": "orders", "index": "", "read": 0, "write": 0, "read_rate": 0.0, "write_rate": 0.0}
    given |= {"read_limit": "ProvisionedThroughputExceeded", "write_limit": "ProvisionedThroughputExceeded"}
    return {"grants": [{**given, **amounts}], "valid_ms": 2_000, "period_ms": 1_000}


def test_a_router_among_others_lives_on_grants() -> None:
    router = Router(document(), alone=False)
    asked = []
    router.admission.on_dry = lambda: asked.append(True)
    router.clock.advance(1_000)
    assert router.writes(50) == 5  # a second's worth: the savings are the vendor's
    assert asked
    router.admission.accept(grant(write=40, write_rate=4.0))
    assert router.writes(50) == 20
    router.clock.advance(1_000)  # without word from the vendor: its share, and no savings
    assert router.writes(50) == 2
    router.clock.advance(1.0)
    assert router.writes(50) == 2
    router.admission.accept(grant(table="gone", write=40))
    router.admission.accept(grant(index="gone", write=40))
    assert router.writes(50) == 0
    router.admission.accept(grant(write=1, write_rate=1.0, write_limit="AccountLimitExceeded"))
    router.write()
    error = refused(router.write)
    assert error is not None
    assert reasons_of(error) == ["TableWriteAccountLimitExceeded"]


def test_without_throttling_everything_is_admitted_and_counted() -> None:
    made = document()
    schema = TableSchema.from_document(made)
    meter = Meter({"orders": made}.get)
    for _ in range(100):
        meter.write(schema, None)
        meter.charge_write(schema, 3, [("GSI", "by-customer", 2), ("LSI", "other", 1)])
        meter.read(schema, "by-customer")
        meter.charge_read(schema, "by-customer", 1)
    table, other = meter.needs()
    assert (table.write_used, other.write_used, other.read_used) == (300, 200, 100)
    assert meter.resources()[0].writes.provisioned == 10.0


def test_refusals_are_counted_by_table_and_reason() -> None:
    router = Router(document())
    router.write(half=50)
    for _ in range(3):
        error = refused(router.write)
        assert error is not None
        router.admission.note("orders", error)
    router.admission.note("orders", ApiError("ValidationException", "no"))
    assert router.admission.throttles == {("orders", "TableWriteProvisionedThroughputExceeded"): 3}


def test_faults_refuse_a_share_and_hand_on_the_rest() -> None:
    made = document()
    schema = TableSchema.from_document(made)
    meter = Meter({"orders": made}.get)
    chances = iter([0.0, 0.19, 0.2, 0.9] * 2)
    faults = ThrottleFaults(meter, {"orders": 0.2, "*": 0.0}, lambda: next(chances))
    outcomes = [refused(faults.write, schema, None) for _ in range(4)]
    assert [error is None for error in outcomes] == [False, False, True, True]
    assert outcomes[0] is not None
    assert reasons_of(outcomes[0]) == ["TableWriteProvisionedThroughputExceeded"]
    error = refused(faults.read, schema, "by-customer")
    assert error is not None
    assert reasons_of(error) == ["IndexReadProvisionedThroughputExceeded"]
    faults.charge_write(schema, 2, None)
    faults.charge_read(schema, None, 1)
    assert meter.needs()[0].write_used == 2


def test_faults_for_all_other_tables() -> None:
    made = on_demand()
    schema = TableSchema.from_document(made)
    faults = ThrottleFaults(Meter({"orders": made}.get), {"music": 0.0, "*": 1.0}, lambda: 0.5)
    error = refused(faults.read, schema, None)
    assert error is not None
    assert error.type_name == "ThrottlingException"


def test_a_late_request_of_a_deleted_table_leaves_the_new_one_of_its_name_alone() -> None:
    router = Router(document())
    late = router.table
    router.change(None)
    router.admission.charge_write(late, 2, None)
    assert router.admission.resources() == []
    other = document()
    other["TableId"] = "id-2"
    router.change(other)
    assert router.writes() == 5
    router.clock.advance(100)
    router.admission.read(late, None)
    router.admission.charge_write(late, 2_000, None)
    assert router.writes() == 500
    router.admission.charge_write(late, 2, None)
    assert router.writes() == 0
