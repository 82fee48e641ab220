"""Rules on key schemas, attribute definitions and projections, shared by CreateTable and UpdateTable.

Each function raises the first error of its subject, worded and ordered as the real service does. Names of the
members are right already: types, enums, lengths and required members of the API model were checked before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from hashrange.errors import invalid_parameter, validation
from hashrange.model.table_document import key_names
from hashrange_router.api.tables_quotas import INDEX_HASH_ATTRIBUTES_MAX, INDEX_RANGE_ATTRIBUTES_MAX

KeySchema = Sequence[Mapping[str, str]]


def check_table_keys(key_schema: KeySchema, definitions: Sequence[str]) -> None:
    """The table's keys: all defined, distinct, HASH first, then RANGE. `definitions` are attribute names."""
    keys = key_names(key_schema)
    if len(keys) > len(definitions):
        raise validation("Invalid KeySchema: Some index key attribute have no definition")
    check_keys_defined(keys, definitions)
    for position, name in enumerate(definitions):
        if name in definitions[:position]:
            raise validation(f"Attribute Name is duplicated: {name}")
    check_key_order(key_schema)


def check_keys_defined(keys: Iterable[str], definitions: Collection[str]) -> None:
    """Every key attribute has an attribute definition."""
    keys = list(keys)
    if any(key not in definitions for key in keys):
        raise invalid_parameter(
            "Some index key attributes are not defined in AttributeDefinitions. "
            f"Keys: [{', '.join(keys)}], AttributeDefinitions: [{', '.join(definitions)}]"
        )


def check_key_order(key_schema: KeySchema) -> None:
    """One HASH and at most one RANGE attribute, in this order and of different names."""
    keys = key_names(key_schema)
    if len(keys) == 2 and keys[0] == keys[1]:
        raise validation("Both the Hash Key and the Range Key element in the KeySchema have the same name")
    if key_schema[0]["KeyType"] != "HASH":
        raise validation("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    if len(keys) == 2 and key_schema[1]["KeyType"] != "RANGE":
        raise validation("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")


def check_global_key_order(key_schema: KeySchema) -> None:
    """Key of a global secondary index: up to 4 HASH attributes, then up to 4 RANGE attributes.

    Keys of one or two attributes answer in the older wording, except two HASH attributes, which are allowed.
    """
    kinds = [element["KeyType"] for element in key_schema]
    keys = key_names(key_schema)
    if len(keys) == 1 or (len(keys) == 2 and kinds != ["HASH", "HASH"]) or kinds[0] != "HASH":
        check_key_order(key_schema)
    if len(set(keys)) < len(keys):
        if len(keys) == 2:
            check_key_order(key_schema)
        raise validation("The KeySchema contains multiple key attributes with the same name")
    if "HASH" in kinds[kinds.index("RANGE") if "RANGE" in kinds else len(kinds) :]:
        raise invalid_parameter("All HASH key attributes must precede RANGE key attributes in the KeySchema")
    for kind, limit in (("HASH", INDEX_HASH_ATTRIBUTES_MAX), ("RANGE", INDEX_RANGE_ATTRIBUTES_MAX)):
        if kinds.count(kind) > limit:
            raise invalid_parameter(
                f"The KeySchema exceeds the maximum allowed number of {kind} key attributes"
            )


def check_local_keys(index: Mapping[str, Any], table_hash: str) -> None:
    """Key of a local secondary index: the table's HASH attribute, then a RANGE attribute."""
    key_schema, name = index["KeySchema"], index["IndexName"]
    check_key_order(key_schema)
    if len(key_schema) != 2:
        raise invalid_parameter(f"Index KeySchema does not have a range key for index: {name}")
    index_hash = key_schema[0]["AttributeName"]
    if index_hash != table_hash:
        raise invalid_parameter(
            "Index KeySchema does not have the same leading hash key as table KeySchema for index: "
            f"{name}. index hash key: {index_hash}, table hash key: {table_hash}"
        )


def check_projection(projection: Mapping[str, Any]) -> None:
    """A projection names its kind, and attributes exactly when it is INCLUDE."""
    kind, attributes = projection.get("ProjectionType"), projection.get("NonKeyAttributes")
    if kind is None:
        raise invalid_parameter("Unknown ProjectionType: null")
    if kind == "INCLUDE":
        if not attributes:
            raise invalid_parameter("ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
        for position, name in enumerate(attributes):
            if name in attributes[:position]:
                raise invalid_parameter(f"Duplicate element in NonKeyAttributes: {name}")
    elif attributes is not None:
        raise invalid_parameter(f"ProjectionType is {kind}, but NonKeyAttributes is specified")


def projected_count(indexes: Iterable[Mapping[str, Any]]) -> int:
    """How many attributes the projections of `indexes` name; one named by two indexes counts twice."""
    return sum(len(index["Projection"].get("NonKeyAttributes") or ()) for index in indexes)


def stored_key_schema(key_schema: KeySchema) -> list[dict[str, str]]:
    """A KeySchema as kept in the document."""
    return [{"AttributeName": e["AttributeName"], "KeyType": e["KeyType"]} for e in key_schema]


def stored_definitions(definitions: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """AttributeDefinitions as kept and described: sorted by name."""
    ordered = sorted(definitions, key=lambda definition: definition["AttributeName"])
    return [{"AttributeName": d["AttributeName"], "AttributeType": d["AttributeType"]} for d in ordered]


def stored_projection(projection: Mapping[str, Any]) -> dict[str, Any]:
    """A Projection as kept and described: its attributes sorted by name."""
    stored: dict[str, Any] = {"ProjectionType": projection["ProjectionType"]}
    if projection.get("NonKeyAttributes"):
        stored["NonKeyAttributes"] = sorted(projection["NonKeyAttributes"])
    return stored
