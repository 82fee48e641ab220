"""Throttling as an SDK sees it: bursts, budgets of indexes, ceilings of partitions, batches, faults on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conformance.clocked import Clocked, clocked
from tests.conformance.support import unique

ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/"
TABLE_TEXT = (
    "The level of configured provisioned throughput for the table was exceeded. "
    "Consider increasing your provisioning level with the UpdateTable API."
)


@pytest.fixture(scope="module")
def server() -> Iterator[Clocked]:
    with clocked(throttling="on") as running:
        yield running


def make(server: Clocked, units: int | None = 5, gsi_units: int | None = None, **members: Any) -> str:
    """A table with key `id`, and a global index `by-c` on `c` when its units are given."""
    name = unique("throttled")
    attributes = ["id"] if gsi_units is None else ["id", "c"]
    request: dict[str, Any] = {
        "TableName": name,
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": a, "AttributeType": "S"} for a in attributes],
        **members,
    }
    if units is None:
        request["BillingMode"] = "PAY_PER_REQUEST"
    else:
        request["ProvisionedThroughput"] = throughput(units)
    if gsi_units is not None:
        request["GlobalSecondaryIndexes"] = [
            {
                "IndexName": "by-c",
                "KeySchema": [{"AttributeName": "c", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
                "ProvisionedThroughput": throughput(gsi_units),
            }
        ]
    server.client.create_table(**request)
    return name


def throughput(units: int) -> dict[str, int]:
    return {"ReadCapacityUnits": units, "WriteCapacityUnits": units}


def item(number: object, **others: str) -> dict[str, dict[str, str]]:
    return {"id": {"S": str(number)}} | {name: {"S": text} for name, text in others.items()}


def until_refused(call: Callable[[int], Any], limit: int = 5_000) -> tuple[int, dict[str, Any]]:
    """How many calls were accepted, and the answer to the one that was not."""
    for number in range(limit):
        try:
            call(number)
        except ClientError as error:
            return number, error.response  # type: ignore[return-value]
    raise AssertionError(f"{limit} calls were accepted")


def reason(response: dict[str, Any]) -> tuple[str, str, str]:
    """Code, reason and resource of a refusal with one reason."""
    code = response["Error"]["Code"]
    member = "ThrottlingReasons" if code.startswith("Provisioned") else "throttlingReasons"
    (found,) = response[member]
    return code, found["reason"], found["resource"]


def test_a_burst_and_then_the_rate(server: Clocked) -> None:
    table = make(server, 5)

    def put(number: int) -> None:
        server.client.put_item(TableName=table, Item=item(number))

    count, response = until_refused(put)
    assert count == 5
    assert response["Error"]["Message"] == TABLE_TEXT
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert reason(response) == (
        "ProvisionedThroughputExceededException",
        "TableWriteProvisionedThroughputExceeded",
        ARN + table,
    )
    server.clock.advance(100)
    assert until_refused(put)[0] == 500
    for _ in range(3):
        server.clock.advance(1)
        assert until_refused(put)[0] == 5


def test_an_update_of_the_throughput_holds_at_once(server: Clocked) -> None:
    table = make(server, 1)
    until_refused(lambda n: server.client.put_item(TableName=table, Item=item(n)))
    server.client.update_table(TableName=table, ProvisionedThroughput=throughput(50))
    server.clock.advance(1)
    count, _ = until_refused(lambda n: server.client.put_item(TableName=table, Item=item(n)))
    assert 49 <= count <= 51


def test_reads_are_charged_by_size_and_consistency(server: Clocked) -> None:
    table = make(server, 5)
    server.client.put_item(TableName=table, Item=item("big", text="x" * 4_200))
    server.clock.advance(300)

    def get(consistent: bool) -> int:
        server.clock.advance(300)
        return until_refused(
            lambda n: server.client.get_item(TableName=table, Key=item("big"), ConsistentRead=consistent)
        )[0]

    assert get(False) == 1_500
    assert get(True) == 750


def test_a_failed_condition_is_charged(server: Clocked) -> None:
    table = make(server, 10)
    server.clock.advance(1)
    server.client.put_item(TableName=table, Item=item("a", text="x" * 2_500))

    def put(number: int) -> None:
        try:
            server.client.put_item(
                TableName=table, Item=item("a"), ConditionExpression="attribute_not_exists(id)"
            )
        except server.client.exceptions.ConditionalCheckFailedException:
            pass

    count, response = until_refused(put)
    assert reason(response)[1] == "TableWriteProvisionedThroughputExceeded"
    assert count <= 7  # 20 units were there, the first write took 3, and so does each attempt


def test_pages_are_charged_once_for_all_they_read(server: Clocked) -> None:
    table = make(server, 10)
    server.clock.advance(300)
    for number in range(20):
        server.client.put_item(TableName=table, Item=item(number, text="x" * 4_000))
    before = consumed(server, table)
    server.client.scan(TableName=table, FilterExpression="attribute_not_exists(id)", ConsistentRead=True)
    assert consumed(server, table) - before == 20
    for _ in range(2):
        server.client.query(
            TableName=table,
            KeyConditionExpression="id = :id",
            ExpressionAttributeValues={":id": {"S": "1"}},
        )
    assert consumed(server, table) - before == 21
    until_refused(lambda n: server.client.scan(TableName=table))
    for refused in (
        lambda n: server.client.scan(TableName=table),
        lambda n: server.client.query(
            TableName=table,
            KeyConditionExpression="id = :id",
            ExpressionAttributeValues={":id": {"S": "1"}},
        ),
    ):
        count, response = until_refused(refused)
        assert (count, reason(response)[1]) == (0, "TableReadProvisionedThroughputExceeded")


def consumed(server: Clocked, table: str, index: str = "", kind: str = "read") -> float:
    name = f'hashrange_capacity_consumed_{kind}_units_total{{index="{index}",table="{table}"}}'
    return server.metrics()[name]


def test_an_index_that_is_written_faster_than_it_may_holds_its_table_back(server: Clocked) -> None:
    table = make(server, 100, gsi_units=1)
    client = server.client
    server.clock.advance(3)
    count, response = until_refused(lambda n: client.put_item(TableName=table, Item=item(n, c="x")))
    assert count == 4
    assert reason(response) == (
        "ProvisionedThroughputExceededException",
        "IndexWriteProvisionedThroughputExceeded",
        f"{ARN}{table}/index/by-c",
    )
    assert (
        "for one or more global secondary indexes of the table was exceeded" in response["Error"]["Message"]
    )
    client.put_item(TableName=table, Item=item("sparse"))  # not in the index, which has nothing against it
    count, response = until_refused(lambda n: client.delete_item(TableName=table, Key=item(n)))
    assert (count, reason(response)[1]) == (0, "IndexWriteProvisionedThroughputExceeded")
    server.clock.advance(2)
    client.delete_item(TableName=table, Key=item(1))


def test_reads_of_an_index_have_its_budget(server: Clocked) -> None:
    table = make(server, 50, gsi_units=1)

    def query(number: int) -> None:
        server.client.query(
            TableName=table,
            IndexName="by-c",
            KeyConditionExpression="c = :c",
            ExpressionAttributeValues={":c": {"S": "x"}},
        )

    count, response = until_refused(query)
    assert count == 2  # half a unit each
    assert reason(response)[1:] == ("IndexReadProvisionedThroughputExceeded", f"{ARN}{table}/index/by-c")
    server.client.get_item(TableName=table, Key=item(1))


def test_on_demand_with_a_maximum(server: Clocked) -> None:
    table = make(server, None, OnDemandThroughput={"MaxReadRequestUnits": 4, "MaxWriteRequestUnits": 2})
    count, response = until_refused(lambda n: server.client.put_item(TableName=table, Item=item(n)))
    assert count == 2
    assert response["Error"]["Message"] == (
        "Throughput exceeds the maximum OnDemandThroughput configured on table or index"
    )
    assert reason(response) == (
        "ThrottlingException",
        "TableWriteMaxOnDemandThroughputExceeded",
        ARN + table,
    )
    count, response = until_refused(
        lambda n: server.client.get_item(TableName=table, Key=item(n), ConsistentRead=True)
    )
    assert (count, reason(response)[1]) == (4, "TableReadMaxOnDemandThroughputExceeded")


def test_a_batch_does_what_there_is_capacity_for(server: Clocked) -> None:
    table = make(server, 5)
    client = server.client
    puts = [{"PutRequest": {"Item": item(n)}} for n in range(25)]
    answer = client.batch_write_item(RequestItems={table: puts}, ReturnConsumedCapacity="TOTAL")
    assert answer["UnprocessedItems"] == {table: puts[5:]}
    assert answer["ConsumedCapacity"] == [{"TableName": table, "CapacityUnits": 5.0}]
    count, response = until_refused(lambda n: client.batch_write_item(RequestItems={table: puts}))
    assert (count, reason(response)[1]) == (0, "TableWriteProvisionedThroughputExceeded")

    keys = [item(n) for n in range(12)]
    answer = client.batch_get_item(RequestItems={table: {"Keys": keys, "ProjectionExpression": "id"}})
    assert answer["UnprocessedKeys"] == {table: {"Keys": keys[10:], "ProjectionExpression": "id"}}
    assert len(answer["Responses"][table]) == 5
    count, response = until_refused(lambda n: client.batch_get_item(RequestItems={table: {"Keys": keys}}))
    assert (count, reason(response)[1]) == (0, "TableReadProvisionedThroughputExceeded")
    assert (
        server.metrics()[
            f'hashrange_throttled_requests_total{{reason="TableWriteProvisionedThroughputExceeded",table="{table}"}}'
        ]
        == 21
    )


def test_one_table_of_a_batch_may_be_throttled(server: Clocked) -> None:
    slow, fast = make(server, 1), make(server, 100)
    puts = [{"PutRequest": {"Item": item(n)}} for n in range(5)]
    answer = server.client.batch_write_item(RequestItems={slow: puts, fast: puts})
    assert answer["UnprocessedItems"] == {slow: puts[1:]}


def test_a_transaction_says_which_action_had_no_capacity(server: Clocked) -> None:
    slow, fast = make(server, 1), make(server, 100)
    until_refused(lambda n: server.client.put_item(TableName=slow, Item=item(n)))
    with pytest.raises(server.client.exceptions.TransactionCanceledException) as caught:
        server.client.transact_write_items(
            TransactItems=[{"Put": {"TableName": name, "Item": item("t")}} for name in (fast, slow)]
        )
    reasons = caught.value.response["CancellationReasons"]
    assert [each["Code"] for each in reasons] == ["None", "ProvisionedThroughputExceeded"]
    assert reasons[1]["Message"] == TABLE_TEXT


def test_a_partition_has_a_ceiling_whatever_its_table_may_do() -> None:
    with clocked(throttling="on", capacity_multiplier="0.01") as server:
        table = make(server, 4_000)  # 40 units a second for the table, 10 writes and 30 reads for a partition
        count, response = until_refused(lambda n: server.client.put_item(TableName=table, Item=item(n)))
        assert count == 10
        assert reason(response) == (
            "ProvisionedThroughputExceededException",
            "TableWriteKeyRangeThroughputExceeded",
            ARN + table,
        )
        count, response = until_refused(
            lambda n: server.client.get_item(TableName=table, Key=item(1), ConsistentRead=True)
        )
        assert (count, reason(response)[1]) == (30, "TableReadKeyRangeThroughputExceeded")
        server.clock.advance(0.5)
        count, response = until_refused(lambda n: server.client.scan(TableName=table))
        assert (count, reason(response)[1]) == (30, "TableReadKeyRangeThroughputExceeded")
        free = make(server, None)
        count, response = until_refused(lambda n: server.client.put_item(TableName=free, Item=item(n)))
        assert count == 10
        assert reason(response)[:2] == ("ThrottlingException", "TableWriteKeyRangeThroughputExceeded")
        puts = [{"PutRequest": {"Item": item(n)}} for n in range(20)]
        server.clock.advance(0.3)
        answer = server.client.batch_write_item(RequestItems={table: puts})
        assert len(answer["UnprocessedItems"][table]) == 12  # in 0.8 s the partition may do 8


def test_provisioned_only_leaves_tables_on_demand_alone() -> None:
    with clocked(throttling="provisioned-only", capacity_multiplier="0.01") as server:
        table, free = make(server, 100), make(server, None, OnDemandThroughput={"MaxWriteRequestUnits": 1})
        assert until_refused(lambda n: server.client.put_item(TableName=table, Item=item(n)))[0] == 1
        for number in range(100):
            server.client.put_item(TableName=free, Item=item(number))


def test_faults_on_purpose_without_throttling() -> None:
    with clocked(throttle_faults="fragile-table=1,half-table=0.5") as server:
        for name in ("fragile-table", "half-table", "sound-table"):
            server.client.create_table(
                TableName=name,
                KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                ProvisionedThroughput=throughput(1),
            )
        count, response = until_refused(
            lambda n: server.client.get_item(TableName="fragile-table", Key=item(n))
        )
        assert (count, reason(response)[1]) == (0, "TableReadProvisionedThroughputExceeded")
        refused = sum(
            until_refused(lambda n: server.client.put_item(TableName="half-table", Item=item(n)))[0]
            for _ in range(100)
        )
        assert 40 <= refused <= 250  # of a geometric distribution with the mean 1
        for number in range(50):
            server.client.put_item(TableName="sound-table", Item=item(number))


def test_nothing_is_throttled_unless_it_is_asked_for() -> None:
    with clocked() as server:
        table = make(server, 1)
        for number in range(50):
            server.client.put_item(TableName=table, Item=item(number))
        assert consumed(server, table, kind="write") == 50
