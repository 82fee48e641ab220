"""Two processes that make the same event source mapping at the same moment: one of them takes its own back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hashrange_router.api.context import RouterContext
from hashrange_router.functions import plans
from hashrange_router.functions.destinations import DestinationRules
from hashrange_router.functions.directory import Directory
from hashrange_router.functions.documents import Documents
from hashrange_router.functions.mapping_operations import MappingOperations
from hashrange_router.functions.requests import Setting
from hashrange_router.triggers.contracts import FUNCTION, MAPPING

from hashrange.errors import ApiError
from hashrange.wire.documents import ChangeDocument
from tests.unit.table_support import SITE

STREAM = f"arn:aws:dynamodb:{SITE.region}:{SITE.account}:table/orders/stream/2024-01-01T00:00:00.000"


class Control:
    """A control plane of one view, where `rival` is written just ahead of the first proposal."""

    def __init__(self) -> None:
        self.ids = 0
        self.context = RouterContext(SITE, "2026", lambda: 1.0, self.new_id)
        self.context.documents["orders"] = {"Streams": [{"Label": STREAM.rpartition("/")[2]}]}
        self.generation = 0
        self.rival: dict[str, Any] | None = None

    def new_id(self) -> str:
        self.ids += 1
        return f"id-{self.ids}"

    def put(self, kind: str, name: str, document: dict[str, Any] | None) -> None:
        self.generation += 1
        stored = None if document is None else {"generation": self.generation, "document": document}
        self.context.controls.put(kind, name, stored)  # type: ignore[arg-type]

    async def send(self, message: Any) -> Any:
        assert isinstance(message, ChangeDocument)
        if self.rival is not None:
            rival, self.rival = self.rival, None
            self.put(MAPPING, rival["UUID"], rival)
        self.put(message.kind, message.name, message.document)

    async def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        return {}


def made(control: Control) -> MappingOperations:
    """The operations, with a function `f`."""
    directory = Directory(control.context, lambda: 0.0)
    setting = Setting(directory.names, 1.0, control.new_id)
    request = {"FunctionName": "f", "Role": "r", "Runtime": "python3.11", "Handler": "a.b"}
    change = plans.create(request, plans.Package("0" * 64, "", 1), None, setting)
    control.put(FUNCTION, "f", change.document)
    nothing: Any = None
    documents = Documents(control.context, control, nothing, directory.names)
    rules = DestinationRules(directory.names, lambda name: False, lambda name: False)
    return MappingOperations(control.context, control, documents, directory, rules)


REQUEST = {"FunctionName": "f", "EventSourceArn": STREAM, "StartingPosition": "LATEST"}


def test_the_later_of_two_takes_its_own_back() -> None:
    control = Control()
    operations = made(control)
    first = asyncio.run(operations.create(REQUEST))
    document = control.context.controls.of(MAPPING)[first["UUID"]]["document"]
    control.put(MAPPING, first["UUID"], None)
    control.rival = {**document, "UUID": "rival"}
    with pytest.raises(ApiError, match=r"ResourceConflictException.*rival"):
        asyncio.run(operations.create(REQUEST))
    assert list(control.context.controls.of(MAPPING)) == ["rival"]


def test_the_earlier_of_two_stays() -> None:
    control = Control()
    operations = made(control)
    proposed = control.send

    async def send(message: Any) -> Any:
        await proposed(message)
        if message.name != "rival":
            control.put(MAPPING, "rival", {**message.document, "UUID": "rival"})

    control.send = send  # type: ignore[method-assign]
    first = asyncio.run(operations.create(REQUEST))
    assert list(control.context.controls.of(MAPPING)) == [first["UUID"], "rival"]
