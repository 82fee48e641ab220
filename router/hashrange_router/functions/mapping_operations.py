"""The operations on event source mappings, and those on tags, which functions and mappings have alike."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from hashrange.errors import ApiError
from hashrange_router.api.context import RouterContext
from hashrange_router.functions import mappings, tags
from hashrange_router.functions.destinations import DestinationRules
from hashrange_router.functions.directory import Directory
from hashrange_router.functions.documents import Documents
from hashrange_router.functions.errors import conflict, invalid, not_found
from hashrange_router.functions.requests import Change, Document, Request, existing, page
from hashrange_router.functions.stream_source import check_source
from hashrange_router.triggers.contracts import FUNCTION, MAPPING, STATUS_ROW, TRIGGER_TABLE, LocalClient

PAGE_MAX = 100
"""Mappings of one page (AWS Lambda API Reference, ListEventSourceMappings)."""
_MAPPING_ARN = re.compile(
    r"arn:aws[a-zA-Z-]*:lambda:[a-z0-9-]+:\d{12}:event-source-mapping:([0-9a-fA-F-]{36})\Z"
)

Handler = Callable[[dict[str, Any]], Awaitable[Any]]


class MappingOperations:
    """The operations of one process."""

    def __init__(
        self,
        context: RouterContext,
        client: LocalClient,
        documents: Documents,
        directory: Directory,
        rules: DestinationRules,
    ) -> None:
        self._context = context
        self._client = client
        self._documents = documents
        self._directory = directory
        self._rules = rules

    def handlers(self) -> dict[str, Handler]:
        """Every operation here, by its name."""
        return {
            "CreateEventSourceMapping": self.create,
            "GetEventSourceMapping": self.get,
            "ListEventSourceMappings": self.list_mappings,
            "UpdateEventSourceMapping": self.update,
            "DeleteEventSourceMapping": self.delete,
            "TagResource": partial(self._change_tags, tags.tag),
            "UntagResource": partial(self._change_tags, tags.untag),
            "ListTags": self.list_tags,
        }

    async def create(self, request: dict[str, Any]) -> Any:
        """CreateEventSourceMapping."""
        documents = self._documents
        check_source(request.get("EventSourceArn"), self._directory.names, self._context.get)
        arn, name = self._function(request["FunctionName"])
        change = mappings.create_mapping(request, arn, name, self._rules, documents.setting())
        document = change.document
        assert document is not None
        uuid = document["UUID"]
        mappings.check_duplicate(documents.all(MAPPING), document)
        await documents.commit(MAPPING, uuid, lambda before: change)
        # Another process may have made the same one: whoever was later takes it back.
        mine = documents.generation(MAPPING, uuid)
        earlier = [one for one in documents.all(MAPPING) if documents.generation(MAPPING, one["UUID"]) < mine]
        try:
            mappings.check_duplicate(earlier, document)
        except ApiError:
            await documents.commit(MAPPING, uuid, lambda before: Change(None))
            raise
        return change.reply

    async def get(self, request: dict[str, Any]) -> Any:
        """GetEventSourceMapping."""
        return await self._show(self._existing(request))

    async def list_mappings(self, request: dict[str, Any]) -> Any:
        """ListEventSourceMappings."""
        source, function = request.get("EventSourceArn"), request.get("FunctionName")
        arn = None
        if function is not None:
            names = self._directory.names
            named = names.parse(function)
            arn = names.arn(named.name, named.qualifier)
        chosen = [
            (document["UUID"], document)
            for document in self._documents.all(MAPPING)
            if (source is None or document["EventSourceArn"] == source)
            and (arn is None or document["FunctionArn"] == arn)
        ]
        reply = page({"MaxItems": PAGE_MAX, **request}, "EventSourceMappings", chosen, PAGE_MAX)
        shown = await asyncio.gather(*(self._show(found) for found in reply["EventSourceMappings"]))
        return {**reply, "EventSourceMappings": shown}

    async def update(self, request: dict[str, Any]) -> Any:
        """UpdateEventSourceMapping."""
        documents = self._documents
        self._existing(request)
        function = self._function(request["FunctionName"]) if request.get("FunctionName") else None

        def plan(before: Document | None) -> Change:
            if before is None:
                raise mappings.mapping_not_found()
            change = mappings.update_mapping(request, function, before, self._rules, documents.setting())
            assert change.document is not None
            mappings.check_duplicate(documents.all(MAPPING), change.document)
            return change

        await documents.commit(MAPPING, request["UUID"], plan)
        return await self._show(self._existing(request))

    async def delete(self, request: dict[str, Any]) -> Any:
        """DeleteEventSourceMapping."""
        self._existing(request)
        seen = await self._status(request["UUID"]) is not None

        def plan(before: Document | None) -> Change:
            if before is None:
                raise mappings.mapping_not_found()
            if before["State"] == "Deleting":
                raise conflict(
                    "Cannot delete the event source mapping because it is being deleted: " + before["UUID"]
                )
            return mappings.delete_mapping(before, seen, self._documents.setting())

        return await self._documents.commit(MAPPING, request["UUID"], plan)

    async def list_tags(self, request: dict[str, Any]) -> Any:
        """ListTags."""
        kind, name = self._resource(request["Resource"])
        return {"Tags": self._tagged(kind, name, self._documents.get(kind, name))["Tags"]}

    async def _change_tags(self, plan: Callable[[Request, Document], Change], request: dict[str, Any]) -> Any:
        kind, name = self._resource(request["Resource"])

        def planned(before: Document | None) -> Change:
            return plan(request, self._tagged(kind, name, before))

        return await self._documents.commit(kind, name, planned)

    def _resource(self, arn: str) -> tuple[str, str]:
        """Kind and name of the document that an ARN in a request on tags stands for."""
        mapping = _MAPPING_ARN.match(arn)
        if mapping is not None:
            return MAPPING, mapping.group(1)
        if ":function:" not in arn:
            raise not_found(f"The resource you requested does not exist: {arn}")
        named = self._directory.names.parse(arn)
        if named.qualifier is not None:
            raise invalid(
                "Tags on function aliases and versions are not supported. Please specify a function ARN."
            )
        return FUNCTION, named.name

    def _tagged(self, kind: str, name: str, document: Document | None) -> Document:
        if kind == FUNCTION:
            return existing(document, name, self._documents.setting())
        if document is None:
            raise mappings.mapping_not_found()
        return document

    def _function(self, name_or_arn: str) -> tuple[str, str]:
        """ARN and name of a function that must be there."""
        names = self._directory.names
        self._directory.resolve(name_or_arn)
        named = names.parse(name_or_arn)
        return names.arn(named.name, named.qualifier), named.name

    def _existing(self, request: Request) -> Document:
        document = self._documents.get(MAPPING, request["UUID"])
        if document is None:
            raise mappings.mapping_not_found()
        return document

    async def _show(self, document: Document) -> dict[str, Any]:
        return mappings.show_mapping(document, await self._status(document["UUID"]))

    async def _status(self, uuid: str) -> dict[str, Any] | None:
        """What pools have made of a mapping, None when none has seen it."""
        key = {"pk": {"S": f"mapping#{uuid}"}, "sk": {"S": STATUS_ROW}}
        reply = await self._client.call(
            "GetItem", {"TableName": TRIGGER_TABLE, "Key": key, "ConsistentRead": True}
        )
        item = reply.get("Item")
        if item is None:
            return None
        return {
            "revision": int(item.get("revision", {}).get("N", "0")),
            "result": item.get("result", {}).get("S"),
        }
