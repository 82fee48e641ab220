"""A real Prometheus scrapes a real cluster under load: targets, rules, and every query of the dashboards.

    python -m tests.deploy.scrape                       # a cluster of its own, 40 s of load
    python -m tests.deploy.scrape --seconds 100 --port 9000 --list-empty

Needs `prometheus` on the PATH (Debian: the package prometheus; its service need not run). Exits with 1 if a target is
down, a rule cannot be evaluated, or a query is refused. Queries without data are counted: some things did not happen.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from hashrange.cli.cluster.layout import DAX
from hashrange.cli.cluster.scrape import targets
from hashrange.model.dax import ports_of
from tests.cluster.local_cluster import HASHRANGE, LocalCluster
from tests.deploy.prometheus_run import Prometheus, program

OPTIONS = ("--dax", "1", "--triggers", "1", "--throttling", "on")
FUNCTION = 'def handler(event, context):\n    return {"records": len(event["Records"])}\n'
ORDERS = {
    "TableName": "orders",
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [
        {"AttributeName": "id", "AttributeType": "S"},
        {"AttributeName": "customer", "AttributeType": "S"},
    ],
    "ProvisionedThroughput": {"ReadCapacityUnits": 20, "WriteCapacityUnits": 20},
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-customer",
            "KeySchema": [{"AttributeName": "customer", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
            "ProvisionedThroughput": {"ReadCapacityUnits": 20, "WriteCapacityUnits": 20},
        }
    ],
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
}


def client(endpoint: str) -> Any:
    """A DynamoDB client that tries nothing twice."""
    return boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}),
    )


def prepare(endpoint: str, directory: Path) -> None:
    """A provisioned table with an index and a stream, and a function on its changes."""
    client(endpoint).create_table(**ORDERS)
    client(endpoint).get_waiter("table_exists").wait(TableName="orders", WaiterConfig={"Delay": 1})
    (directory / "count.py").write_text(FUNCTION)
    subprocess.run(
        [*HASHRANGE, "functions", "deploy", str(directory / "count.py"), "--table", "orders",
         "--start", "TRIM_HORIZON", "--endpoint-url", endpoint],
        check=True, timeout=60, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def one_round(router: Any, cache: Any, number: int) -> None:
    """Writes, reads, a query, a transaction, a condition that fails, and reads by way of the cache."""
    key = {"id": {"S": f"order-{number % 50}"}}
    item = {**key, "customer": {"S": f"customer-{number % 5}"}, "number": {"N": str(number)}}
    calls = (
        lambda: router.put_item(TableName="orders", Item=item),
        lambda: router.get_item(TableName="orders", Key=key, ConsistentRead=number % 2 == 0),
        lambda: router.query(
            TableName="orders",
            IndexName="by-customer",
            KeyConditionExpression="customer = :c",
            ExpressionAttributeValues={":c": item["customer"]},
            Limit=2,
        ),
        lambda: router.put_item(
            TableName="orders", Item=item, ConditionExpression="attribute_not_exists(id)"
        ),
        lambda: router.transact_write_items(
            TransactItems=[{"Put": {"TableName": "orders", "Item": {**item, "id": {"S": "counted"}}}}]
        ),
        lambda: cache.get_item(TableName="orders", Key=key),
        lambda: cache.get_item(TableName="orders", Key=key),
        lambda: cache.put_item(TableName="orders", Item=item),
    )
    for call in calls:
        try:
            call()
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
                raise


def main() -> int:
    """Run it; the exit code says whether all was well."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=40.0, help="how long to put load on the cluster")
    parser.add_argument(
        "--port", type=int, help="first port of the cluster; Prometheus has the 950th after it"
    )
    parser.add_argument("--list-empty", action="store_true", help="print the queries that found nothing")
    arguments = parser.parse_args()
    if program() is None:
        sys.stderr.write("prometheus is not on the PATH; Debian: apt-get install prometheus\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="hashrange-scrape-") as folder:
        return watch(Path(folder), arguments)


def watch(directory: Path, arguments: argparse.Namespace) -> int:
    """A cluster, a Prometheus, load, and the report."""
    cluster = LocalCluster(directory / "cluster", routers=2, options=OPTIONS)
    if arguments.port:
        cluster.base_port = arguments.port
    with cluster:
        cluster.wait("the cache node", lambda: cluster.layout().of(DAX))
        layout = cluster.layout()
        print(f"{len(layout.processes)} processes at {cluster.endpoint}", flush=True)
        prepare(cluster.endpoint, directory)
        door = ports_of(layout.dax_base_port, layout.of(DAX)[0].id).http
        port = arguments.port + 950 if arguments.port else None
        with Prometheus(directory, targets(layout), port) as prometheus:
            prometheus.until_up(60)
            router, cache = client(cluster.endpoint), client(f"http://{layout.host}:{door}")
            began, number = time.monotonic(), 0
            while time.monotonic() - began < arguments.seconds:
                one_round(router, cache, number)
                number += 1
            print(f"{number * 8} requests in {time.monotonic() - began:.0f} s", flush=True)
            report = prometheus.report()
    if not arguments.list_empty:
        report.empty.clear()
    print("\n".join(report.lines()))
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
