"""Makes service_model.json, the model of all operations, from the service models that botocore carries.

Run `python -m hashrange_router.api.generate` after upgrading botocore; `--check` only compares and exits
with 1 when the file is stale. A running server reads the file and never imports this module or botocore.

The file holds what validation needs: the operations of both services, and every shape reachable from an
input, with members, types and constraints. Where the real service is observed to enforce something that the
published model does not say, the tables below correct the model, so that nothing at run time has to know.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MODEL_PATH = Path(__file__).with_name("service_model.json")
SERVICES = ("dynamodb", "dynamodbstreams")

NAME_PATTERN = "[a-zA-Z0-9_.-]+"

PRINTED_ENUMS: dict[str, list[str]] = {
    # The order in which the real service prints a set of values is fixed, but not that of the model.
    "ReturnValue": ["ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW"],
    "Select": ["SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES"],
    "ScalarAttributeType": ["B", "N", "S"],
    "ConditionalOperator": ["OR", "AND"],
    "ProjectionType": ["ALL", "INCLUDE", "KEYS_ONLY"],
    "ShardIteratorType": [
        "AFTER_SEQUENCE_NUMBER",
        "LATEST",
        "AT_TIMESTAMP",
        "AT_SEQUENCE_NUMBER",
        "TRIM_HORIZON",
    ],
    "ComparisonOperator": [
        "IN",
        "NULL",
        "BETWEEN",
        "LT",
        "NOT_CONTAINS",
        "EQ",
        "GT",
        "NOT_NULL",
        "NE",
        "LE",
        "BEGINS_WITH",
        "GE",
        "CONTAINS",
    ],
}

EXTRA_SHAPES: dict[str, dict[str, Any]] = {
    # The model gives every table name 1 to 1024 characters of anything, because an ARN may stand for it.
    # `arn` says that a string which begins like an ARN is left to whoever resolves it.
    "TableNameOrArn": {"type": "string", "min": 1, "max": 255, "pattern": NAME_PATTERN, "arn": True},
    "BatchTableNameOrArn": {"type": "string", "min": 3, "max": 255, "pattern": NAME_PATTERN, "arn": True},
    "NewTableName": {"type": "string", "min": 3, "max": 255, "pattern": NAME_PATTERN},
    # Only a global secondary index may have more than two key attributes.
    "TableKeySchema": {"type": "list", "element": "KeySchemaElement", "min": 1, "max": 2},
}

MEMBER_SHAPES: dict[tuple[str, str], str] = {
    ("CreateTableInput", "TableName"): "NewTableName",
    ("CreateTableInput", "KeySchema"): "TableKeySchema",
    ("LocalSecondaryIndex", "KeySchema"): "TableKeySchema",
}

BATCH_MAPS = ("BatchGetRequestMap", "BatchWriteItemRequestMap")


def build(services: Sequence[str] = SERVICES) -> dict[str, Any]:
    """The document that service_model.json should hold, from the installed botocore."""
    return {name: describe(load_service(name)) for name in services}


def load_service(name: str) -> Any:
    """The model of a service, from the installed botocore."""
    import botocore.session

    return botocore.session.get_session().get_service_model(name)


def describe(model: Any) -> dict[str, Any]:
    """One service: its operations by name, and the shapes that their inputs need."""
    shapes: dict[str, dict[str, Any]] = {}
    operations: dict[str, str] = {}
    for name in model.operation_names:
        shape = model.operation_model(name).input_shape
        operations[name] = shape.name
        collect_shapes(shape, shapes)
    used = {child for shape in shapes.values() for child in shapes_within(shape)} | set(operations.values())
    return {
        "target": model.metadata.get("targetPrefix", ""),
        "operations": dict(sorted(operations.items())),
        "shapes": {name: shape for name, shape in sorted(shapes.items()) if name in used},
    }


def collect_shapes(shape: Any, shapes: dict[str, dict[str, Any]]) -> None:
    """Add `shape` and all it refers to."""
    if shape.name in shapes:
        return
    entry = shapes[shape.name] = _describe(shape)
    if shape.type_name == "structure":
        for child in shape.members.values():
            collect_shapes(child, shapes)
    elif shape.type_name == "list":
        collect_shapes(shape.member, shapes)
    elif shape.type_name == "map":
        collect_shapes(shape.key, shapes)
        collect_shapes(shape.value, shapes)
    for name in shapes_within(entry):
        if name in EXTRA_SHAPES:
            shapes[name] = EXTRA_SHAPES[name]


def _describe(shape: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": shape.type_name}
    if shape.type_name == "structure":
        entry["members"] = {name: _member(shape.name, name, child) for name, child in shape.members.items()}
        if shape.required_members:
            entry["required"] = sorted(shape.required_members)
    elif shape.type_name == "list":
        entry["element"] = shape.member.name
    elif shape.type_name == "map":
        entry["key"] = "BatchTableNameOrArn" if shape.name in BATCH_MAPS else shape.key.name
        entry["value"] = shape.value.name
    for constraint in ("min", "max", "pattern"):
        if constraint in shape.metadata:
            entry[constraint] = shape.metadata[constraint]
    if shape.type_name == "string" and shape.enum:
        entry["enum"] = PRINTED_ENUMS.get(shape.name, list(shape.enum))
        if set(entry["enum"]) != set(shape.enum):
            raise ValueError(f"the printed order of {shape.name} lacks a value: {shape.enum}")
    return entry


def _member(structure: str, member: str, shape: Any) -> str:
    corrected = MEMBER_SHAPES.get((structure, member))
    if corrected is not None:
        return corrected
    if member == "TableName" and shape.name == "TableArn":
        return "TableNameOrArn"
    return str(shape.name)


def shapes_within(entry: dict[str, Any]) -> list[str]:
    """Names of the shapes that one entry refers to."""
    return [
        *entry.get("members", {}).values(),
        *(entry[at] for at in ("element", "key", "value") if at in entry),
    ]


def render(document: dict[str, Any]) -> str:
    """The text of the file: one operation or shape a line, so that a change of the model reads well."""
    services = []
    for name, service in document.items():
        parts = [f'"target": {json.dumps(service["target"])}']
        for table in (part for part in service if part != "target"):
            rows = ",\n".join(
                f"{json.dumps(key)}: {_compact(value)}" for key, value in service[table].items()
            )
            parts.append(f'"{table}": {{\n{rows}\n}}')
        services.append(f"{json.dumps(name)}: {{\n" + ",\n".join(parts) + "\n}")
    return "{\n" + ",\n".join(services) + "\n}\n"


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def main(arguments: list[str] | None = None) -> int:
    """Write the file, or with `--check` tell whether it is current."""
    return run(arguments, MODEL_PATH, SERVICES, "hashrange_router.api.generate")


def run(arguments: list[str] | None, path: Path, services: Sequence[str], module: str) -> int:
    """Write one file of service models, or with `--check` tell whether it is current."""
    return compare_or_write(arguments, path, render(build(services)), module)


def compare_or_write(arguments: list[str] | None, path: Path, text: str, module: str) -> int:
    """Write the text to its file, or with `--check` tell whether it is there."""
    parser = argparse.ArgumentParser(description="Generate the service model from botocore.")
    parser.add_argument(
        "--check", action="store_true", help="compare only; exit with 1 when the file is stale"
    )
    options = parser.parse_args(arguments)
    if not options.check:
        path.write_text(text)
        return 0
    if path.read_text() == text:
        return 0
    print(f"{path.name} is stale: run python -m {module}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
