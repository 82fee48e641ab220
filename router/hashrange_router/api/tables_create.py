"""CreateTable: the rules on a new table, and its document.

The order of the rules is observed behaviour of the real service: required members and lengths, billing
mode, the table's keys, presence of the indexes' attribute definitions, definitions that no key uses, then
index by index, then counts, then everything else. Whether the name is free is asked last, by the caller.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hashrange.errors import invalid_parameter, validation
from hashrange.model.table_arn import resolve_table_name, table_arn
from hashrange.model.table_document import (
    CREATING,
    PAY_PER_REQUEST,
    PROVISIONED,
    TableDocument,
    key_names,
    timestamp,
    whole_range,
)
from hashrange_router.api.tables_index import IndexContext, new_global_index
from hashrange_router.api.tables_keys import (
    check_global_key_order,
    check_keys_defined,
    check_local_keys,
    check_projection,
    check_table_keys,
    projected_count,
    stored_definitions,
    stored_key_schema,
    stored_projection,
)
from hashrange_router.api.tables_quotas import (
    GLOBAL_INDEXES_MAX,
    LOCAL_INDEXES_MAX,
    PROJECTED_ATTRIBUTES_MAX,
    Quotas,
)
from hashrange_router.api.tables_settings import (
    check_encryption,
    check_stream_on_create,
    enable_stream,
    encryption_description,
    refuse_unsupported,
)
from hashrange_router.api.tables_tags import merged_tags
from hashrange_router.api.tables_throughput import (
    TABLE,
    check_bounds,
    check_on_demand_mode,
    check_provisioned,
    merge_on_demand,
    new_throughput,
    new_warm,
)

_NAME = re.compile(r"[a-zA-Z0-9_.-]+\Z")


def plan_create(
    request: Mapping[str, Any],
    *,
    now: float,
    table_id: str,
    region: str,
    account: str,
    next_partition_ids: Callable[[], int],
    quotas: Quotas | None = None,
) -> TableDocument:
    """The document of the table that a CreateTable request describes, in the state CREATING.

    `now` is in epoch seconds, `table_id` a new UUID; `next_partition_ids` gives a new partition id per
    call: one for the table, one for each global secondary index, drawn only when the request is right.
    Raises ValidationException and LimitExceededException.
    """
    quotas = quotas or Quotas()
    name = _checked_name(request, region, account)
    billing_mode = _checked_billing(request)
    _check_schema(request)
    refuse_unsupported(request)
    throughput = _throughput(request, quotas, region)
    stream, encryption = request.get("StreamSpecification"), request.get("SSESpecification")
    if stream is not None:
        check_stream_on_create(stream)
    encrypted = encryption is not None and check_encryption(encryption)
    document: TableDocument = {
        "TableName": name,
        "TableId": table_id,
        "TableArn": table_arn(region, account, name),
        "Status": CREATING,
        "Generation": 1,
        "CreationDateTime": timestamp(now),
        "AttributeDefinitions": stored_definitions(request["AttributeDefinitions"]),
        "KeySchema": stored_key_schema(request["KeySchema"]),
        "BillingMode": billing_mode,
        "Throughput": throughput,
        "Warm": new_warm(TABLE, request.get("WarmThroughput"), billing_mode, throughput, quotas, region),
        "LocalSecondaryIndexes": [
            _new_local_index(index) for index in request.get("LocalSecondaryIndexes") or ()
        ],
        "Streams": [],
        "DeletionProtectionEnabled": bool(request.get("DeletionProtectionEnabled")),
        "Tags": merged_tags({}, request.get("Tags") or ()),
        "TimeToLive": {},
    }
    maxima = request.get("OnDemandThroughput") or {}
    on_demand = merge_on_demand(TABLE, None, maxima, quotas, region, creating=True)
    if on_demand:
        document["OnDemand"] = on_demand
    if stream is not None and stream["StreamEnabled"]:
        enable_stream(document, stream["StreamViewType"], now)
    if encrypted and encryption is not None:
        document["SSEDescription"] = encryption_description(encryption, region, account)
    if request.get("TableClass") is not None:
        document["TableClassSummary"] = {"TableClass": request["TableClass"]}
    context = IndexContext(billing_mode, quotas, region, creating=True)
    indexes = [new_global_index(index, context) for index in request.get("GlobalSecondaryIndexes") or ()]
    document["GlobalSecondaryIndexes"] = indexes
    for owner in (document, *indexes):
        owner["Partitions"] = whole_range(next_partition_ids())
    return document


def _new_local_index(index: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "IndexName": index["IndexName"],
        "KeySchema": stored_key_schema(index["KeySchema"]),
        "Projection": stored_projection(index["Projection"]),
    }


def _checked_name(request: Mapping[str, Any], region: str, account: str) -> str:
    """The table's name; ValidationException when a required member is missing or has a forbidden length.

    The API model leaves these members open (a replica may be created without them, an index key may be
    longer), so they are aggregated here as the model's constraints are elsewhere.
    """
    name_or_arn = request.get("TableName")
    if name_or_arn is None:
        raise validation("The parameter 'TableName' is required but was not present in the request")
    name = resolve_table_name(name_or_arn, region, account)
    problems: list[str] = []

    def must(path: str, value: str, constraint: str) -> None:
        problems.append(f"Value {value} at '{path}' failed to satisfy constraint: Member must {constraint}")

    if request.get("AttributeDefinitions") is None:
        must("attributeDefinitions", "null", "not be null")
    if _NAME.match(name) is None:
        must("tableName", f"'{name}'", "satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
    if len(name) < 3:
        must("tableName", f"'{name}'", "have length greater than or equal to 3")
    if len(name) > 255:
        must("tableName", f"'{name}'", "have length less than or equal to 255")
    schemas = {"keySchema": request.get("KeySchema")}
    for position, index in enumerate(request.get("LocalSecondaryIndexes") or (), 1):
        schemas[f"localSecondaryIndexes.{position}.member.keySchema"] = index["KeySchema"]
    for path, schema in schemas.items():
        if schema is None:
            must(path, "null", "not be null")
        elif len(schema) > 2:
            must(path, f"'{_printed(schema)}'", "have length less than or equal to 2")
    if problems:
        plural = "s" if len(problems) > 1 else ""
        raise validation(f"{len(problems)} validation error{plural} detected: {'; '.join(problems)}")
    return name


def _printed(key_schema: Sequence[Mapping[str, str]]) -> str:
    elements = (
        f"KeySchemaElement(attributeName={e['AttributeName']}, keyType={e['KeyType']})" for e in key_schema
    )
    return f"[{', '.join(elements)}]"


def _checked_billing(request: Mapping[str, Any]) -> str:
    """The billing mode; ValidationException when the table's throughput does not fit it."""
    mode = request.get("BillingMode") or PROVISIONED
    provisioned = request.get("ProvisionedThroughput")
    if mode == PAY_PER_REQUEST:
        if provisioned is not None:
            raise invalid_parameter(
                "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified "
                "when BillingMode is PAY_PER_REQUEST"
            )
    elif provisioned is None:
        raise invalid_parameter(
            "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"
        )
    else:
        check_bounds(provisioned)
        if request.get("OnDemandThroughput"):
            check_on_demand_mode(TABLE, request["OnDemandThroughput"], creating=True)
    return str(mode)


def _throughput(request: Mapping[str, Any], quotas: Quotas, region: str) -> dict[str, Any]:
    provisioned = request.get("ProvisionedThroughput")
    if provisioned is None:
        return new_throughput(0, 0)
    read, write = provisioned["ReadCapacityUnits"], provisioned["WriteCapacityUnits"]
    check_provisioned(TABLE, read, write, quotas, region)
    return new_throughput(read, write)


def _check_schema(request: Mapping[str, Any]) -> None:
    """Keys, definitions and indexes of the new table."""
    definitions = [d["AttributeName"] for d in request["AttributeDefinitions"]]
    table_keys = key_names(request["KeySchema"])
    lsis, gsis = request.get("LocalSecondaryIndexes"), request.get("GlobalSecondaryIndexes")
    check_table_keys(request["KeySchema"], definitions)
    if lsis is None and gsis is None and len(table_keys) != len(definitions):
        raise invalid_parameter(
            "Number of attributes in KeySchema does not exactly match "
            "number of attributes defined in AttributeDefinitions"
        )
    if lsis is not None:
        if not lsis:
            raise invalid_parameter("List of LocalSecondaryIndexes is empty")
        if len(table_keys) != 2:
            raise invalid_parameter(
                "Table KeySchema does not have a range key, "
                "which is required when specifying a LocalSecondaryIndex"
            )
    if gsis is not None and not gsis:
        raise invalid_parameter("List of GlobalSecondaryIndexes is empty")
    _check_definitions_used(table_keys, [*(lsis or ()), *(gsis or ())], definitions)
    names: set[str] = set()
    for index in lsis or ():
        check_local_keys(index, table_keys[0])
        _check_index(index, names)
    if len(lsis or ()) > LOCAL_INDEXES_MAX:
        raise invalid_parameter(
            f"Number of LocalSecondaryIndexes exceeds per-table limit of {LOCAL_INDEXES_MAX}"
        )
    for index in gsis or ():
        check_global_key_order(index["KeySchema"])
        _check_index(index, names)
    if len(gsis or ()) > GLOBAL_INDEXES_MAX:
        raise invalid_parameter(
            f"GlobalSecondaryIndex count exceeds the per-table limit of {GLOBAL_INDEXES_MAX}"
        )
    if projected_count([*(lsis or ()), *(gsis or ())]) > PROJECTED_ATTRIBUTES_MAX:
        raise invalid_parameter(
            "Number of attributes projected into all of the secondary indexes exceeds "
            f"the limit of {PROJECTED_ATTRIBUTES_MAX}"
        )


def _check_definitions_used(
    table_keys: Sequence[str], indexes: Sequence[Mapping[str, Any]], definitions: Sequence[str]
) -> None:
    """Every index key is defined, and every definition is used by some key."""
    used = list(table_keys)
    for index in indexes:
        keys = key_names(index["KeySchema"])
        check_keys_defined(keys, definitions)
        used.extend(key for key in keys if key not in used)
    if indexes and set(definitions) != set(used):
        raise invalid_parameter(
            f"Some AttributeDefinitions are not used. AttributeDefinitions: [{', '.join(definitions)}], "
            f"keys used: [{', '.join(used)}]"
        )


def _check_index(index: Mapping[str, Any], names: set[str]) -> None:
    """Projection and name of one index; adds the name to `names`."""
    check_projection(index["Projection"])
    if index["IndexName"] in names:
        raise invalid_parameter(f"Duplicate index name: {index['IndexName']}")
    names.add(index["IndexName"])
