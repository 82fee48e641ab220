"""The compiled table schema, names and ARNs, and the transitions that the control plane reports."""

from __future__ import annotations

from typing import Any

import pytest

from hashrange.model.key import KeyCodec, KeyPart, hash_of
from hashrange.model.table import Partition, TableSchema
from hashrange.model.table_arn import (
    resolve_resource_name,
    resolve_table_name,
    stream_arn,
    stream_label,
)
from hashrange.model.table_document import HASH_MAX, TableDocument
from hashrange.model.table_state import (
    index_activated,
    index_removed,
    partitions_replaced,
    stream_settled,
    table_activated,
)
from tests.unit.table_support import (
    ACCOUNT,
    ARN,
    NOW,
    REGION,
    TABLE_ID,
    active,
    create,
    definitions,
    index,
    keys,
    refused,
)


def include(*names: str) -> dict[str, Any]:
    return {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(names)}


def document() -> TableDocument:
    return active(
        AttributeDefinitions=[*definitions("a", "b", "g"), *definitions("l", "h", kind="N")],
        KeySchema=keys("h:a", "r:b"),
        LocalSecondaryIndexes=[index("lsi", "h:a", "r:l")],
        GlobalSecondaryIndexes=[
            index("keys", "h:g", projection={"ProjectionType": "KEYS_ONLY"}),
            index("some", "h:g", "h:h", "r:l", projection=include("x", "a")),
        ],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        DeletionProtectionEnabled=True,
    )


SCHEMA = TableSchema.from_document(document())
ITEM = {
    "a": {"S": "p"},
    "b": {"S": "q"},
    "g": {"S": "r"},
    "h": {"N": "1"},
    "l": {"N": "2"},
    "x": {"S": "x"},
    "y": {"S": "y"},
}


def test_the_table_itself() -> None:
    assert (SCHEMA.name, SCHEMA.table_id, SCHEMA.arn) == ("tbl", TABLE_ID, ARN)
    assert SCHEMA.key_names == ("a", "b")
    assert SCHEMA.attribute_types == {"a": "S", "b": "S", "g": "S", "h": "N", "l": "N"}
    assert (SCHEMA.billing_mode, SCHEMA.provisioned) == ("PAY_PER_REQUEST", (0, 0))
    assert SCHEMA.deletion_protection
    assert SCHEMA.ttl_attribute is None
    assert SCHEMA.stream is not None
    assert (SCHEMA.stream.view_type, SCHEMA.stream.arn) == (
        "NEW_IMAGE",
        stream_arn(ARN, SCHEMA.stream.label),
    )
    table_codec = KeyCodec((KeyPart("a", "S"),), (KeyPart("b", "S"),))
    assert SCHEMA.codec.encode(ITEM) == table_codec.encode(ITEM)


def test_indexes_by_kind_and_by_name() -> None:
    assert [i.name for i in SCHEMA.lsis] == ["lsi"]
    assert [i.name for i in SCHEMA.gsis] == ["keys", "some"]
    assert [i.kind for i in SCHEMA.indexes] == ["LSI", "GSI", "GSI"]
    assert SCHEMA.index("some").arn == ARN + "/index/some"
    assert SCHEMA.index("some").hash_names == ("g", "h")
    assert SCHEMA.index("some").range_names == ("l",)
    assert refused(SCHEMA.index, "ghost") == (
        "ValidationException",
        "The table does not have the specified index: ghost",
    )


def test_index_entries_are_unique_per_item_and_lie_with_their_hash() -> None:
    other = {**ITEM, "b": {"S": "z"}}
    for schema in SCHEMA.indexes:
        assert schema.codec.encode_entry(ITEM) != schema.codec.encode_entry(other)
    local = SCHEMA.index("lsi").codec.encode_entry(ITEM)
    assert local is not None
    assert local[:8] == SCHEMA.codec.encode(ITEM)[:8]
    assert SCHEMA.index("lsi").partitions is SCHEMA.partitions
    assert SCHEMA.index("some").codec.encode_entry({"a": ITEM["a"], "b": ITEM["b"], "g": ITEM["g"]}) is None


@pytest.mark.parametrize(
    ("name", "attributes"),
    [("lsi", set(ITEM)), ("keys", {"a", "b", "g"}), ("some", {"a", "b", "g", "h", "l", "x"})],
)
def test_projection_keeps_all_keys(name: str, attributes: set[str]) -> None:
    entry = SCHEMA.index(name).project(ITEM)
    assert set(entry) == attributes
    assert all(entry[attribute] is ITEM[attribute] for attribute in attributes)


def test_an_index_being_made_is_written_but_not_read() -> None:
    states = {}
    for status in ("CREATING", "ACTIVE", "DELETING"):
        changed = document()
        changed["GlobalSecondaryIndexes"][0]["Status"] = status
        schema = TableSchema.from_document(changed)
        states[status] = (schema.status, schema.index("keys").maintained, schema.index("keys").readable)
    assert states == {
        "CREATING": ("UPDATING", True, False),
        "ACTIVE": ("ACTIVE", True, True),
        "DELETING": ("UPDATING", False, False),
    }


def test_one_partition_owns_every_hash() -> None:
    for edge in (bytes(8), b"\xff" * 8, hash_of(b"x")):
        assert SCHEMA.partition_for(edge) == Partition(7, 0, HASH_MAX)


def test_partitions_own_their_bounds() -> None:
    third = HASH_MAX // 3
    parts = [
        {"id": 1, "lo": 0, "hi": third},
        {"id": 2, "lo": third + 1, "hi": 2 * third},
        {"id": 3, "lo": 2 * third + 1, "hi": HASH_MAX},
    ]
    split = partitions_replaced(document(), None, parts)
    schema = TableSchema.from_document(split)
    assert [p.id for p in schema.partitions.all] == [1, 2, 3]
    assert schema.index("lsi").partitions is schema.partitions
    assert len(schema.index("keys").partitions.all) == 1
    for part in parts:
        for hash_ in (part["lo"], part["hi"]):
            assert schema.partition_for(hash_.to_bytes(8, "big")).id == part["id"]
    key = schema.codec.encode(ITEM)
    assert schema.partition_for(key) == schema.partition_for(key[:8])


@pytest.mark.parametrize(
    "parts",
    [
        [{"id": 1, "lo": 1, "hi": HASH_MAX}],
        [{"id": 1, "lo": 0, "hi": 9}, {"id": 2, "lo": 11, "hi": HASH_MAX}],
        [{"id": 1, "lo": 0, "hi": 9}, {"id": 2, "lo": 9, "hi": HASH_MAX}],
        [{"id": 1, "lo": 0, "hi": HASH_MAX - 1}],
        [],
    ],
)
def test_partitions_must_cover_the_range(parts: list[dict[str, int]]) -> None:
    with pytest.raises(AssertionError):
        partitions_replaced(document(), "keys", parts)


def test_an_index_is_split_alone() -> None:
    parts = [{"id": 1, "lo": 0, "hi": 9}, {"id": 2, "lo": 10, "hi": HASH_MAX}]
    schema = TableSchema.from_document(partitions_replaced(document(), "keys", parts))
    assert [p.id for p in schema.index("keys").partitions.all] == [1, 2]
    assert len(schema.partitions.all) == 1


def test_activation_is_idempotent_and_stamps_on_demand_tables() -> None:
    new = create()
    activated = table_activated(new, NOW + 1)
    assert (new["Status"], activated["Status"]) == ("CREATING", "ACTIVE")
    assert activated["Generation"] == new["Generation"] + 1
    assert activated["BillingModeSummary"] == {"LastUpdateToPayPerRequestDateTime": round(NOW + 1, 3)}
    assert table_activated(activated, NOW + 2) is activated
    assert index_activated(activated, "ghost", NOW) is activated
    assert index_removed(activated, "ghost") is activated
    assert stream_settled(activated) is activated


# Names and ARNs


def test_a_plain_name_is_returned_unchecked() -> None:
    for name in ("tbl", "a", "", "no table: at all"):
        assert resolve_table_name(name, REGION, ACCOUNT) == name
    assert resolve_table_name(ARN, REGION, ACCOUNT) == "tbl"


FORMAT = (
    "' at 'tableName' failed to satisfy constraint: Valid ARN format is "
    "'arn:<awsPartition>:<vendor>:<region>:<subscriber>:resourceType/resourceName', where Resource name must "
    "have length less than or equal to 255, Resource name must have length greater than or equal to 3, "
    "Resource name must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
)


@pytest.mark.parametrize(
    ("arn", "kind", "message"),
    [
        (
            ARN.replace("us-east-1", "eu-west-1"),
            "ValidationException",
            "1 validation error detected: Invalid AWS region in "
            "'arn:aws:dynamodb:eu-west-1:000000000000:table/tbl'",
        ),
        (
            ARN.replace("arn:aws:", "arn:aws-cn:"),
            "ValidationException",
            "1 validation error detected: Invalid AWS partition in "
            "'arn:aws-cn:dynamodb:us-east-1:000000000000:table/tbl'",
        ),
        (
            ARN.replace("table/", "backup/"),
            "ValidationException",
            "1 validation error detected: Invalid resource type in "
            "'arn:aws:dynamodb:us-east-1:000000000000:backup/tbl'",
        ),
        (ARN.replace("000000000000", "123456789012"), "AccessDeniedException", "Access is denied"),
        (
            ARN + "/index/gsi",
            "ValidationException",
            f"1 validation error detected: Value '{ARN}/index/gsi{FORMAT}",
        ),
        ("arn:aws:x", "ValidationException", f"1 validation error detected: Value 'arn:aws:x{FORMAT}"),
    ],
)
def test_arns_that_name_no_table_here(arn: str, kind: str, message: str) -> None:
    assert refused(resolve_table_name, arn, REGION, ACCOUNT) == (kind, message)


def test_the_tag_operations_take_arns_only() -> None:
    assert resolve_resource_name(ARN, REGION, ACCOUNT) == "tbl"
    assert resolve_resource_name(ARN + "/stream/2026-01-01T00:00:00.000", REGION, ACCOUNT) is None


def test_stream_labels_are_utc_with_milliseconds() -> None:
    assert stream_label(0.0) == "1970-01-01T00:00:00.000"
    assert stream_label(1_700_000_000.9996) == "2023-11-14T22:13:21.000"
