"""What batches and table operations answer when parts of a cluster do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hashrange_router.api.batch import BatchOperations
from hashrange_router.api.call import Call
from hashrange_router.api.context import RouterContext
from hashrange_router.api.control import RACES_MAX, TableOperations
from hashrange_router.api.items import ItemOperations
from hashrange_router.api.tables_create import plan_create
from hashrange_router.api.tables_plan import Site
from hashrange_router.api.tables_quotas import Quotas
from hashrange_router.capacity.admission import Meter

from hashrange.errors import ApiError, internal, resource_not_found, unavailable
from hashrange.model import record as records
from hashrange.model.table_document import ACTIVE
from hashrange.wire import messages as wire

CREATE = {
    "TableName": "Music",
    "AttributeDefinitions": [
        {"AttributeName": "k", "AttributeType": "S"},
        {"AttributeName": "r", "AttributeType": "S"},
    ],
    "KeySchema": [
        {"AttributeName": "k", "KeyType": "HASH"},
        {"AttributeName": "r", "KeyType": "RANGE"},
    ],
    "LocalSecondaryIndexes": [
        {
            "IndexName": "local",
            "KeySchema": [
                {"AttributeName": "k", "KeyType": "HASH"},
                {"AttributeName": "r", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
    "BillingMode": "PAY_PER_REQUEST",
}
Answer = Callable[[Any], Any]


class Front:
    """Operations over a transport whose answers are the test's."""

    def __init__(self, answer: Answer, with_table: bool = True) -> None:
        self.context = RouterContext(Site("us-east-1", "0" * 12, Quotas()), "2026", lambda: 0.0, lambda: "id")
        self.answer = answer
        self.sent: list[Any] = []
        if with_table:
            made = plan_create(
                CREATE,
                now=0,
                table_id="t",
                region="us-east-1",
                account="0" * 12,
                next_partition_ids=lambda: 7,
            )
            self.context.follow("Music", None, {**made, "Status": ACTIVE})

    def send(self, message: Any, done: wire.Done) -> None:
        self.sent.append(message)
        done(self.answer(message))

    def run(self, handler: Callable[[Call, Any], Any], request: dict[str, Any]) -> Any:
        outcomes: list[Any] = []
        call = Call("Any", None, self, lambda call, outcome: outcomes.append(outcome))
        call.run(handler(call, request))
        (outcome,) = outcomes
        return orjson.loads(outcome) if isinstance(outcome, bytes) and outcome else outcome


def key(name: str) -> dict[str, Any]:
    return {"k": {"S": name}, "r": {"S": "x"}}


def failing(name: str, error: ApiError) -> Answer:
    """Fails what is about one key, answers the rest."""

    def answer(message: Any) -> Any:
        if name.encode() in getattr(message, "key", b""):
            return error
        if isinstance(message, wire.ReadItem):
            return records.pack(b'{"k":{"S":"found"}}', 5, 0, 0)
        return wire.WriteResult(0, 10) if isinstance(message, wire.WriteItem) else 100

    return answer


GET = {"RequestItems": {"Music": {"Keys": [key("good"), key("bad")], "ConsistentRead": True}}}
WRITE = {
    "RequestItems": {
        "Music": [{"PutRequest": {"Item": key("good")}}, {"DeleteRequest": {"Key": key("bad")}}],
    },
    "ReturnConsumedCapacity": "TOTAL",
}


@pytest.mark.parametrize("error", [unavailable("no leader"), internal()])
def test_keys_that_cannot_be_read_now_are_unprocessed(error: ApiError) -> None:
    front = Front(failing("bad", error))
    reply = front.run(BatchOperations(front.context).batch_get_item, GET)
    assert reply["Responses"] == {"Music": [{"k": {"S": "found"}}]}
    assert reply["UnprocessedKeys"] == {"Music": {"Keys": [key("bad")], "ConsistentRead": True}}


def test_items_that_do_not_fit_into_the_reply_are_not_charged() -> None:
    front = Front(lambda message: records.pack(b'{"k":{"S":"large"}}', 9 << 20, 0, 0))
    front.context.admission = meter = Meter(front.context.get, front.context.tables)
    request = {**GET, "ReturnConsumedCapacity": "TOTAL"}
    reply = front.run(BatchOperations(front.context).batch_get_item, request)
    assert len(reply["UnprocessedKeys"]["Music"]["Keys"]) == 1
    assert reply["ConsumedCapacity"] == [{"TableName": "Music", "CapacityUnits": 2304.0}]
    assert meter.resources()[0].reads.used == 2 * 2304


@pytest.mark.parametrize("error", [unavailable("no leader"), internal()])
def test_writes_that_cannot_be_made_now_are_unprocessed(error: ApiError) -> None:
    front = Front(failing("bad", error))
    reply = front.run(BatchOperations(front.context).batch_write_item, WRITE)
    assert reply["UnprocessedItems"] == {"Music": [{"DeleteRequest": {"Key": key("bad")}}]}
    assert reply["ConsumedCapacity"] == [{"TableName": "Music", "CapacityUnits": 1.0}]


@pytest.mark.parametrize("request_", [GET, WRITE])
def test_when_nothing_could_be_done_the_call_fails(request_: dict[str, Any]) -> None:
    error = unavailable("no leader")
    front = Front(lambda message: error)
    operations = BatchOperations(front.context)
    handler = operations.batch_get_item if request_ is GET else operations.batch_write_item
    assert front.run(handler, request_) is error


@pytest.mark.parametrize("request_", [GET, WRITE])
def test_what_will_never_succeed_fails_the_call(request_: dict[str, Any]) -> None:
    error = resource_not_found()
    front = Front(failing("bad", error))
    operations = BatchOperations(front.context)
    handler = operations.batch_get_item if request_ is GET else operations.batch_write_item
    assert front.run(handler, request_) is error


def test_a_write_that_was_made_does_not_fail_for_want_of_metrics() -> None:
    def answer(message: Any) -> Any:
        return unavailable("x") if isinstance(message, wire.CollectionSize) else wire.WriteResult(0, 10)

    front = Front(answer)
    request = {"TableName": "Music", "Item": key("a"), "ReturnItemCollectionMetrics": "SIZE"}
    reply = front.run(ItemOperations(front.context).put_item, request)
    assert not isinstance(reply, ApiError)
    batch = {**WRITE, "ReturnItemCollectionMetrics": "SIZE"}
    reply = front.run(BatchOperations(front.context).batch_write_item, batch)
    assert reply["UnprocessedItems"] == {} and "ItemCollectionMetrics" not in reply


def test_a_lost_race_is_planned_again_on_the_newer_view() -> None:
    front = Front(lambda message: None, with_table=False)
    front.context.next_partition_id = lambda: 7 + len(front.sent)

    def answer(message: Any) -> Any:
        return wire.ConflictError() if len(front.sent) < 3 else None

    front.answer = answer
    reply = front.run(TableOperations(front.context).create_table, CREATE)
    assert reply["TableDescription"]["TableStatus"] == "CREATING"
    changes = [message for message in front.sent if isinstance(message, wire.ChangeTable)]
    assert [change.partition_ids for change in changes] == [[7], [8], [9]]


def test_races_end() -> None:
    front = Front(lambda message: wire.ConflictError(), with_table=False)
    error = front.run(TableOperations(front.context).create_table, CREATE)
    assert error.status == 500 and len(front.sent) == RACES_MAX


def test_a_change_that_lost_against_its_own_first_attempt_is_made() -> None:
    front = Front(lambda message: None, with_table=False)

    def answer(message: Any) -> Any:
        if isinstance(message, wire.ChangeTable):
            front.context.follow("Music", None, message.document)
            return wire.ConflictError()
        return None

    front.answer = answer
    reply = front.run(TableOperations(front.context).create_table, CREATE)
    assert reply["TableDescription"]["TableName"] == "Music"


def test_a_table_that_takes_its_time_is_answered_all_the_same() -> None:
    front = Front(lambda m: unavailable("x") if isinstance(m, wire.WhenSettled) else None, with_table=False)
    reply = front.run(TableOperations(front.context).create_table, CREATE)
    assert reply["TableDescription"]["TableStatus"] == "CREATING"


def test_a_table_is_described_though_nobody_counts() -> None:
    front = Front(lambda message: unavailable("no leader"))
    reply = front.run(TableOperations(front.context).describe_table, {"TableName": "Music"})
    assert reply["Table"]["TableStatus"] == "ACTIVE" and reply["Table"]["ItemCount"] == 0
