"""The service model: every operation, the shapes of its input, and their types and constraints.

Loaded once at start from service_model.json (made by `generate`); only the shapes that a request needs are
ever looked at, when a validator is compiled. `ServiceModel.by_target` is the dispatcher's way from the
`X-Amz-Target` header to an operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import orjson

Kind = Literal[
    "structure", "list", "map", "string", "integer", "long", "boolean", "double", "float", "timestamp", "blob"
]

_PATH: Final = Path(__file__).with_name("service_model.json")


@dataclass(frozen=True, slots=True)
class Shape:
    """One type of the model. `minimum` and `maximum` bound a number's value, else a length.

    `members` maps the members of a structure to the names of their shapes, in the model's order; `element`,
    `key` and `value` name the shapes inside a list or a map. `enum` is in the order in which the real service
    prints it. `arn` marks a table name for which an ARN may be given.
    """

    name: str
    kind: Kind
    members: dict[str, str]
    required: frozenset[str]
    element: str
    key: str
    value: str
    enum: tuple[str, ...]
    minimum: int | None
    maximum: int | None
    pattern: str | None
    arn: bool


class Shapes(Mapping[str, Shape]):
    """The shapes of one service by name, made from the raw model when first asked for."""

    __slots__ = ("_made", "_raw")

    def __init__(self, raw: dict[str, dict[str, Any]]) -> None:
        self._raw = raw
        self._made: dict[str, Shape] = {}

    def __getitem__(self, name: str) -> Shape:
        shape = self._made.get(name)
        if shape is None:
            shape = self._made[name] = _shape(name, self._raw[name])
        return shape

    def __iter__(self) -> Any:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)


def _shape(name: str, raw: dict[str, Any]) -> Shape:
    return Shape(
        name=name,
        kind=raw["type"],
        members=raw.get("members", {}),
        required=frozenset(raw.get("required", ())),
        element=raw.get("element", ""),
        key=raw.get("key", ""),
        value=raw.get("value", ""),
        enum=tuple(raw.get("enum", ())),
        minimum=raw.get("min"),
        maximum=raw.get("max"),
        pattern=raw.get("pattern"),
        arn=raw.get("arn", False),
    )


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: its name, its service (`dynamodb` or `dynamodbstreams`) and the shape of its input."""

    name: str
    service: str
    input_shape: str
    shapes: Shapes

    @property
    def input(self) -> Shape:
        """The structure of the request's body."""
        return self.shapes[self.input_shape]


class ServiceModel:
    """All operations of both services. Names do not clash between them."""

    __slots__ = ("_by_target", "operations")

    def __init__(self, document: dict[str, Any]) -> None:
        self.operations: dict[str, Operation] = {}
        self._by_target: dict[str, Operation] = {}
        for service, raw in document.items():
            shapes = Shapes(raw["shapes"])
            for name, input_shape in raw["operations"].items():
                operation = Operation(name, service, input_shape, shapes)
                self.operations[name] = operation
                self._by_target[f"{raw['target']}.{name}"] = operation

    def by_target(self, target: str) -> Operation | None:
        """The operation that an `X-Amz-Target` header names, or None."""
        return self._by_target.get(target)


@cache
def service_model() -> ServiceModel:
    """The model of this program, read from the packaged file on first use."""
    return ServiceModel(orjson.loads(_PATH.read_bytes()))


def table_of_operations() -> list[tuple[str, str]]:
    """(service, operation) for every operation in the model, in the model's order."""
    return [(operation.service, operation.name) for operation in service_model().operations.values()]
