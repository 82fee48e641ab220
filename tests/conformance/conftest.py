"""Fixtures of the conformance suite: the server under test, a boto3 client without retries, raw HTTP.

By default every worker starts its own `hashrange serve --in-memory` (tests/conftest.py). Two environment
variables change that: HASHRANGE_TEST_ENDPOINT names a server that already runs (its data is left alone but
for our tables), and HASHRANGE_TEST_STORAGE=disk runs the same tests against a data directory with
durability `os`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.conformance.raw import Raw

REGION = "us-east-1"


def make_client(endpoint: str, service: str = "dynamodb", **config: Any) -> Any:
    """A boto3 client that sends what it is given, once."""
    return boto3.session.Session().client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(
            parameter_validation=False,
            retries={"total_max_attempts": 1, "mode": "standard"},
            **config,
        ),
    )


@pytest.fixture(scope="session")
def endpoint(request: pytest.FixtureRequest) -> str:
    """The URL of the server under test."""
    outside = os.environ.get("HASHRANGE_TEST_ENDPOINT")
    if outside:
        return outside.rstrip("/")
    return str(request.getfixturevalue("embedded_endpoint"))


@pytest.fixture(scope="session")
def client(endpoint: str) -> Iterator[Any]:
    """The client of most tests."""
    made = make_client(endpoint)
    yield made
    made.close()


@pytest.fixture(scope="session")
def streams(endpoint: str) -> Iterator[Any]:
    """The client of the streams API."""
    made = make_client(endpoint, "dynamodbstreams")
    yield made
    made.close()


@pytest.fixture(scope="session")
def resource(endpoint: str) -> Iterator[Any]:
    """The resource interface (Python values instead of attribute values)."""
    made = boto3.session.Session().resource(
        "dynamodb",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1, "mode": "standard"}),
    )
    yield made
    made.meta.client.close()


@pytest.fixture(scope="session")
def raw(endpoint: str) -> Raw:
    """Requests as bytes."""
    return Raw(endpoint)
