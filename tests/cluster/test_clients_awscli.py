"""The AWS command line works unmodified. An optional tool: without `aws` on the PATH this is skipped."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any

import pytest

from tests.conformance.support import unique

AWS = shutil.which("aws")
pytestmark = pytest.mark.skipif(AWS is None, reason="the AWS command line (`aws`) is not on the PATH")


def aws(endpoint: str, *arguments: str, fails: bool = False) -> Any:
    """The parsed answer of `aws dynamodb ...`, or the text of its refusal."""
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_PAGER": "",
    }
    done = subprocess.run(
        [AWS or "aws", "dynamodb", *arguments, "--endpoint-url", endpoint, "--output", "json"],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode != 0) == fails, done.stderr
    if fails:
        return done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else None


def test_a_session(embedded_endpoint: str) -> None:
    name = unique("cli")
    created = aws(
        embedded_endpoint,
        "create-table",
        "--table-name",
        name,
        "--attribute-definitions",
        "AttributeName=p,AttributeType=S",
        "AttributeName=r,AttributeType=N",
        "--key-schema",
        "AttributeName=p,KeyType=HASH",
        "AttributeName=r,KeyType=RANGE",
        "--billing-mode",
        "PAY_PER_REQUEST",
    )
    assert created["TableDescription"]["TableName"] == name
    aws(embedded_endpoint, "wait", "table-exists", "--table-name", name)
    for number in (1, 2):
        item = {"p": {"S": "x"}, "r": {"N": str(number)}, "v": {"SS": ["a", "b"]}}
        aws(embedded_endpoint, "put-item", "--table-name", name, "--item", json.dumps(item))
    found = aws(
        embedded_endpoint,
        "query",
        "--table-name",
        name,
        "--key-condition-expression",
        "p = :p AND r > :r",
        "--expression-attribute-values",
        json.dumps({":p": {"S": "x"}, ":r": {"N": "1"}}),
        "--return-consumed-capacity",
        "TOTAL",
    )
    assert found["Count"] == 1
    assert found["ConsumedCapacity"] == {"TableName": name, "CapacityUnits": 0.5}
    scanned = aws(embedded_endpoint, "scan", "--table-name", name, "--page-size", "1")
    assert scanned["Count"] == 2
    refused = aws(
        embedded_endpoint,
        "put-item",
        "--table-name",
        name,
        "--item",
        json.dumps({"p": {"S": "x"}, "r": {"N": "1"}}),
        "--condition-expression",
        "attribute_not_exists(p)",
        fails=True,
    )
    assert "ConditionalCheckFailedException" in refused
    aws(embedded_endpoint, "delete-table", "--table-name", name)
    assert name not in aws(embedded_endpoint, "list-tables")["TableNames"]
