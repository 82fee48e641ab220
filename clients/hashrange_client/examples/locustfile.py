"""Load by Locust, for those who use it: users that call boto3, each call one of Locust's requests.

    pip install locust boto3
    locust -f clients/hashrange_client/examples/locustfile.py --host http://127.0.0.1:8000

Locust shows its page on http://127.0.0.1:8089; with `--headless -u 20 -r 10 -t 30s` it runs 20 users for 30 seconds and
prints a table. The example's table is made when a test starts. `DynamoUser` is what to build on: derive a
class from it, and write tasks with `self.dynamodb`. Its calls are told to Locust by what they are named in the
API, with time, size of the answer and error.

A boto3 call takes half a millisecond of the client's processor time and more: to find out what a server can do, use
`hashrange bench`, which takes a fortieth of that. Locust is for how a program's own mix of calls behaves.
"""

from __future__ import annotations

import random
import time
from typing import Any

try:  # before boto3: Locust replaces the standard library's sockets
    from locust import User, between, events, task
except ImportError:
    raise SystemExit("Locust is not installed: pip install locust") from None

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

TABLE = "locust"
ITEMS = 1_000
IS_THERE = "ResourceInUseException"


def connect(endpoint: str) -> Any:
    """A client of the server; without retries, so that Locust sees every failure."""
    return boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}, max_pool_connections=1),
    )


class Reporting:
    """A boto3 client whose calls are told to Locust: `client.get_item(...)` becomes a request named GetItem."""

    def __init__(self, client: Any, environment: Any) -> None:
        self._client = client
        self._environment = environment

    def __getattr__(self, method: str) -> Any:
        operation = self._client.meta.method_to_api_mapping[method]

        def call(**parameters: Any) -> dict[str, Any] | None:
            answer, failure, size = None, None, 0
            began = time.perf_counter()
            try:
                answer = getattr(self._client, method)(**parameters)
                size = int(answer["ResponseMetadata"]["HTTPHeaders"].get("content-length", 0))
            except (ClientError, BotoCoreError) as error:
                failure = error
            self._environment.events.request.fire(
                request_type="dynamodb",
                name=operation,
                response_time=(time.perf_counter() - began) * 1000,
                response_length=size,
                exception=failure,
                context={},
            )
            return answer

        return call


class DynamoUser(User):  # type: ignore[misc]
    """A user with a client of its own in `dynamodb`."""

    abstract = True

    def on_start(self) -> None:
        """Connect to the host that Locust was given."""
        self.dynamodb = Reporting(connect(self.host or "http://127.0.0.1:8000"), self.environment)


class Shopper(DynamoUser):
    """Reads much, writes some, and sometimes looks at everything of one customer."""

    wait_time = between(0.01, 0.1)

    @task(8)  # type: ignore[untyped-decorator]
    def look(self) -> None:
        """Read one order."""
        self.dynamodb.get_item(TableName=TABLE, Key=key(random.randrange(ITEMS)))

    @task(3)  # type: ignore[untyped-decorator]
    def order(self) -> None:
        """Count an order up."""
        self.dynamodb.update_item(
            TableName=TABLE,
            Key=key(random.randrange(ITEMS)),
            UpdateExpression="ADD quantity :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )

    @task(1)  # type: ignore[untyped-decorator]
    def overview(self) -> None:
        """All orders of one customer."""
        self.dynamodb.query(
            TableName=TABLE,
            KeyConditionExpression="customer = :c",
            ExpressionAttributeValues={":c": key(random.randrange(ITEMS))["customer"]},
        )


def key(number: int) -> dict[str, Any]:
    """The key of one of the orders: ten for each customer."""
    return {"customer": {"S": f"customer-{number // 10}"}, "order": {"N": str(number % 10)}}


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def create(environment: Any, **_: Any) -> None:
    """Make the table and its items; what is there already is written anew."""
    client = connect(environment.host or "http://127.0.0.1:8000")
    try:
        client.create_table(
            TableName=TABLE,
            AttributeDefinitions=[
                {"AttributeName": "customer", "AttributeType": "S"},
                {"AttributeName": "order", "AttributeType": "N"},
            ],
            KeySchema=[
                {"AttributeName": "customer", "KeyType": "HASH"},
                {"AttributeName": "order", "KeyType": "RANGE"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != IS_THERE:
            raise
    client.get_waiter("table_exists").wait(TableName=TABLE)
    for start in range(0, ITEMS, 25):
        writes = {
            TABLE: [
                {"PutRequest": {"Item": {**key(number), "quantity": {"N": "0"}}}}
                for number in range(start, start + 25)
            ]
        }
        while writes:
            writes = client.batch_write_item(RequestItems=writes)["UnprocessedItems"]
