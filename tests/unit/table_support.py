"""Requests for tables and a catalogue over a dict, for the tests of the table operations."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from hashrange_router.api.tables_create import plan_create
from hashrange_router.api.tables_plan import Site
from hashrange_router.api.tables_quotas import Quotas

from hashrange.errors import ApiError
from hashrange.model.table_document import TableDocument
from hashrange.model.table_state import table_activated

REGION, ACCOUNT = "us-east-1", "000000000000"
NOW = 1_790_000_000.1234
TABLE_ID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
ARN = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/tbl"
INVALID = "One or more parameter values were invalid: "
UNITS = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6}
ALL = {"ProjectionType": "ALL"}
SITE = Site(REGION, ACCOUNT, Quotas())


def definitions(*names: str, kind: str = "S") -> list[dict[str, str]]:
    return [{"AttributeName": name, "AttributeType": kind} for name in names]


def keys(*elements: str) -> list[dict[str, str]]:
    """`h:a` and `r:b` as a KeySchema."""
    kinds = {"h": "HASH", "r": "RANGE"}
    return [{"AttributeName": e[2:], "KeyType": kinds[e[0]]} for e in elements]


def index(name: str, *elements: str, projection: Any = None, **members: Any) -> dict[str, Any]:
    return {
        "IndexName": name,
        "KeySchema": keys(*elements),
        "Projection": ALL if projection is None else projection,
        **members,
    }


def request(**members: Any) -> dict[str, Any]:
    """A right request for an on-demand table with hash key `a`, changed by `members`; None takes one out."""
    base: dict[str, Any] = {
        "TableName": "tbl",
        "AttributeDefinitions": definitions("a"),
        "KeySchema": keys("h:a"),
        "BillingMode": "PAY_PER_REQUEST",
        **members,
    }
    return {name: value for name, value in base.items() if value is not None}


def create(quotas: Quotas | None = None, **members: Any) -> TableDocument:
    ids = count(7)
    return plan_create(
        request(**members),
        now=NOW,
        table_id=TABLE_ID,
        region=REGION,
        account=ACCOUNT,
        next_partition_ids=lambda: next(ids),
        quotas=quotas,
    )


def active(**members: Any) -> TableDocument:
    """The document of a table made by `request(**members)`, ACTIVE."""
    return table_activated(create(**members), NOW)


class Tables:
    """A catalogue over a dict."""

    def __init__(self, tables: dict[str, TableDocument]) -> None:
        self._tables = tables

    def get(self, table_name: str) -> TableDocument | None:
        return self._tables.get(table_name)

    def names(self) -> list[str]:
        return sorted(self._tables)


def refused(call: Any, *args: Any, **kwargs: Any) -> tuple[str, str | None]:
    """Type and message of the ApiError that the call raises."""
    with pytest.raises(ApiError) as caught:
        call(*args, **kwargs)
    return caught.value.type_name, caught.value.message
