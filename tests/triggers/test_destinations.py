"""Where records of invocations go, and what happens when they cannot."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from aiohttp import web
from hashrange_router.triggers.contracts import FunctionVersion
from hashrange_router.triggers.destinations import Deliveries, item_of, to_value
from hashrange_router.triggers.events.outcome import is_transient

from hashrange.errors import ApiError
from tests.triggers.event_support import ARN
from tests.triggers.http_fake import http_server
from tests.unit.local_support import LocalNode, make_table, on_loop

TABLE = "arn:aws:dynamodb:us-east-1:000000000000:table/"
MOMENT = "2023-11-14T22:13:20.123Z"
RECORD: dict[str, Any] = {
    "version": "1.0",
    "timestamp": MOMENT,
    "requestContext": {
        "requestId": "r1",
        "functionArn": ARN,
        "condition": "RetriesExhausted",
        "approximateInvokeCount": 3,
    },
    "requestPayload": {"a": [1, 2.5, None, True, "x"], "empty": {}},
}


class Parts:
    """A directory that knows one function, and a queue that keeps what is put."""

    def __init__(self) -> None:
        self.put_events: list[tuple[str, bytes, str]] = []

    def resolve(self, name_or_arn: str, qualifier: str | None = None) -> FunctionVersion:
        if not name_or_arn.startswith(ARN):
            raise ApiError("ResourceNotFoundException", "Function not found", status=404)
        return FunctionVersion("hello", ARN, "$LATEST", "python3.11", "a.b", "0", "0", 3, 128, 512)

    def event_invoke(self, name_or_arn: str, qualifier: str | None = None) -> dict[str, Any]:
        return {}

    def subscribe(self, changed: Any) -> None:
        """Nothing changes."""

    async def put(self, arn: str, payload: bytes, request_id: str, client_context: bytes | None) -> None:
        self.put_events.append((arn, payload, request_id))


def deliveries(local: LocalNode, parts: Parts | None = None) -> Deliveries:
    known = parts or Parts()
    return Deliveries(local.client(), known, known)


def test_a_function_is_invoked_asynchronously() -> None:
    async def test(local: LocalNode) -> None:
        parts = Parts()
        destinations = deliveries(local, parts)
        await destinations.send(ARN + ":live", RECORD)
        await destinations.send(ARN, RECORD)
        assert [(arn, orjson.loads(payload)) for arn, payload, _ in parts.put_events] == [
            (ARN + ":live", RECORD),
            (ARN, RECORD),
        ]
        assert len({request_id for _, _, request_id in parts.put_events}) == 2
        with pytest.raises(ApiError) as failure:
            await destinations.send(ARN.replace("hello", "other"), RECORD)
        assert failure.value.type_name == "ResourceNotFoundException"

    on_loop(test)


@pytest.mark.parametrize(
    ("sort", "expected"),
    [(None, None), ("S", {"S": MOMENT}), ("N", {"N": "1700000000123"})],
)
def test_a_table_gets_an_item_and_the_same_one_again(sort: str | None, expected: Any) -> None:
    async def test(local: LocalNode) -> None:
        destinations = deliveries(local)
        client = local.client()
        extra: dict[str, Any] = {}
        if sort is not None:
            extra["KeySchema"] = [
                {"AttributeName": "when", "KeyType": "RANGE"},
                {"AttributeName": "pk", "KeyType": "HASH"},
            ][::-1]
            extra["AttributeDefinitions"] = [
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "when", "AttributeType": sort},
            ]
        await make_table(client, "Failures", **extra)
        for _ in range(2):
            await destinations.send(TABLE + "Failures", RECORD)
        (item,) = (await client.call("Scan", {"TableName": "Failures"}))["Items"]
        assert item["pk"] == item["requestId"] == {"S": "r1"}
        assert item.get("when") == expected
        assert item["functionArn"] == {"S": ARN} and item["condition"] == {"S": "RetriesExhausted"}
        assert item["timestamp"] == {"S": MOMENT}
        assert item["document"] == to_value(RECORD)
        letter = {"RequestID": "r1", "ErrorMessage": "no", "timestamp": MOMENT, "body": None}
        await destinations.send(TABLE + "Failures", letter)
        assert (await client.call("Scan", {"TableName": "Failures"}))["Count"] == 2

    on_loop(test)


def test_a_table_that_was_made_anew_with_other_keys_is_looked_at_again() -> None:
    async def test(local: LocalNode) -> None:
        destinations = deliveries(local)
        client = local.client()
        await make_table(client, "Failures")
        await destinations.send(TABLE + "Failures", RECORD)
        await client.call("DeleteTable", {"TableName": "Failures"})
        definitions = [{"AttributeName": "id", "AttributeType": "S"}]
        schema = [{"AttributeName": "id", "KeyType": "HASH"}]
        await make_table(client, "Failures", AttributeDefinitions=definitions, KeySchema=schema)
        await destinations.send(TABLE + "Failures", RECORD)
        (item,) = (await client.call("Scan", {"TableName": "Failures"}))["Items"]
        assert item["id"] == {"S": "r1"}

    on_loop(test)


@pytest.mark.parametrize("hash_type", ["N", "B"])
def test_a_table_whose_keys_do_not_fit_is_refused(hash_type: str) -> None:
    async def test(local: LocalNode) -> None:
        await make_table(local.client(), "Failures", hash_type)
        with pytest.raises(ApiError) as failure:
            await deliveries(local).send(TABLE + "Failures", RECORD)
        assert "hash key pk must be a string" in str(failure.value)
        assert not is_transient(failure.value)

    on_loop(test)


@pytest.mark.parametrize(
    "destination",
    [
        "arn:aws:sqs:us-east-1:000000000000:queue",
        "arn:aws:sns:us-east-1:000000000000:topic",
        "arn:aws:s3:::bucket",
        "arn:aws:events:us-east-1:000000000000:event-bus/default",
        "elsewhere",
        "arn:",
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(destination: str) -> None:
    async def test(local: LocalNode) -> None:
        with pytest.raises(ApiError) as failure:
            await deliveries(local).send(destination, RECORD)
        assert "of a function or of a table of this server, and http or https URLs" in str(failure.value)

    on_loop(test)


@pytest.mark.parametrize(
    "arn", [TABLE + "Missing", TABLE.replace("us-east-1", "eu-west-1") + "T", TABLE + "$triggers"]
)
def test_a_table_that_is_not_there_is_an_error(arn: str) -> None:
    async def test(local: LocalNode) -> None:
        with pytest.raises(ApiError) as failure:
            await deliveries(local).send(arn, RECORD)
        assert not is_transient(failure.value)

    on_loop(test)


def test_a_url_is_posted_to_and_its_status_counts() -> None:
    async def test(local: LocalNode) -> None:
        destinations = deliveries(local)
        async with http_server() as server:
            url = f"http://{server.address}/hook?x=%2F"
            await destinations.send(url, RECORD)
            (sent,) = server.sent
            assert (sent.method, sent.target) == ("POST", "/hook?x=%2F")
            assert sent.headers["content-type"] == "application/json"
            assert orjson.loads(sent.body) == RECORD
            for status, later in (
                (204, None),
                (302, False),
                (404, False),
                (429, True),
                (408, True),
                (500, True),
            ):
                server.answer = lambda sent, status=status: web.Response(status=status)  # type: ignore[misc]
                if later is None:
                    await destinations.send(url, RECORD)
                    continue
                with pytest.raises(ApiError) as failure:
                    await destinations.send(url, RECORD)
                assert is_transient(failure.value) is later, status
        with pytest.raises(ApiError) as failure:
            await destinations.send(url, RECORD)
        assert is_transient(failure.value), "nobody listens any more"
        with pytest.raises(ApiError):
            await destinations.send("http://", RECORD)
        await destinations.close()

    on_loop(test)


def test_what_no_item_can_hold_is_kept_as_text_or_cut() -> None:
    keys = [("pk", "S")]
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    for payload in (1e200, deep):
        item = item_of({**RECORD, "requestPayload": payload}, keys)
        assert orjson.loads(item["document"]["S"])["timestamp"] == MOMENT
    item = item_of({**RECORD, "requestPayload": "x" * 300_000, "responsePayload": "y" * 300_000}, keys)
    document = item["document"]["M"]
    assert item["truncated"] == {"BOOL": True}
    assert len(document["responsePayload"]["S"]) < 100_000 < len(document["requestPayload"]["S"])
    with pytest.raises(ApiError):
        item_of(RECORD, [("document", "S")])
    with pytest.raises(ApiError):
        item_of(RECORD, [("pk", "S"), ("sk", "B")])
