"""Start a server, make a table, write, read, query: the first minute with hashrange.

    python -m hashrange_client.examples.quickstart

On a terminal the server keeps running afterwards, until Ctrl-C; otherwise the program ends with exit code 0.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Any

import boto3

TABLE = "Music"
START_TIMEOUT_S = 30.0


def start_server(port: int, data_dir: str) -> subprocess.Popen[bytes]:
    """Run `hashrange serve` and wait until it is ready."""
    print(f"$ hashrange serve --port {port} --data-dir {data_dir}")
    command = [sys.executable, "-m", "hashrange.cli.main", "serve"]
    server = subprocess.Popen(
        [*command, "--port", str(port), "--data-dir", data_dir, "--log-level", "error"],
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            sys.exit(f"the server ended with exit code {server.returncode}; its message is above")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5) as answer:
                if answer.status == 200:
                    return server
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    server.terminate()
    sys.exit(f"the server was not ready after {START_TIMEOUT_S:.0f} seconds")


def show(endpoint: str) -> None:
    """What a program does with it: plain boto3, only the endpoint differs."""
    dynamodb: Any = boto3.resource(
        "dynamodb",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="hashrange",
        aws_secret_access_key="hashrange",
    )
    print(f'\n>>> dynamodb = boto3.resource("dynamodb", endpoint_url="{endpoint}", ...)')
    if TABLE not in [table.name for table in dynamodb.tables.all()]:
        dynamodb.create_table(
            TableName=TABLE,
            KeySchema=[
                {"AttributeName": "Artist", "KeyType": "HASH"},
                {"AttributeName": "Song", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": "Artist", "AttributeType": "S"},
                {"AttributeName": "Song", "AttributeType": "S"},
            ],
            BillingMode="PAY_PER_REQUEST",
        ).wait_until_exists()
    table = dynamodb.Table(TABLE)
    print(f"created table {TABLE!r}: {table.table_status}")
    for song, year in (("Blue in Green", 1959), ("So What", 1959), ("Milestones", 1958)):
        table.put_item(Item={"Artist": "Miles Davis", "Song": song, "Year": year})
    print("wrote 3 items")
    key = {"Artist": "Miles Davis", "Song": "So What"}
    print("read ", table.get_item(Key=key, ConsistentRead=True)["Item"])
    updated = table.update_item(
        Key=key,
        UpdateExpression="SET Plays = if_not_exists(Plays, :zero) + :one",
        ExpressionAttributeValues={":zero": 0, ":one": 1},
        ReturnValues="UPDATED_NEW",
    )
    print("updated", updated["Attributes"])
    found = table.query(
        KeyConditionExpression="Artist = :artist AND begins_with(Song, :letter)",
        ExpressionAttributeValues={":artist": "Miles Davis", ":letter": "B"},
    )
    print("queried", [item["Song"] for item in found["Items"]])


def main() -> int:
    """Run the demonstration."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--data-dir", default="hashrange-data")
    arguments = parser.parse_args()
    server = start_server(arguments.port, arguments.data_dir)
    endpoint = f"http://127.0.0.1:{arguments.port}"
    try:
        show(endpoint)
        print(f"\nIt works. The data is in {arguments.data_dir}; start it again with: hashrange serve")
        if sys.stdin is not None and sys.stdin.isatty():
            print(f"The server is still running at {endpoint}. Stop it with Ctrl-C.")
            server.wait()
    except KeyboardInterrupt:
        pass
    finally:
        server.terminate()
        server.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
