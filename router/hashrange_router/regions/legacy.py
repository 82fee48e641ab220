"""Global tables of version 2017.11.29: CreateGlobalTable and its family.

The tables of the regions are made first, by hand: empty, of one name and one key schema, each with a stream of new and
old images. CreateGlobalTable joins them; taking a region away leaves its table there, with its items. What is written
then travels as in the newer version: this is another way to say which tables belong together. The operations see only
global tables that were made this way, as those of the service do.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from hashrange.errors import ApiError, invalid_parameter, validation
from hashrange.model.table_document import TableDocument, find_global_index, is_updating
from hashrange.wire.messages import TableStatistics
from hashrange_router.api.call import Call, Operation
from hashrange_router.api.context import RouterContext
from hashrange_router.regions import group, legacy_settings, plans, rules
from hashrange_router.regions.creation import NEW_AND_OLD_IMAGES
from hashrange_router.regions.operations import known_links, probe
from hashrange_router.regions.settings import Site
from hashrange_router.regions.steps import Scope, Steps, change_table

Request = dict[str, Any]
Handler = Callable[[Call, Request], Operation]
PAGE: Final = 100


class LegacyOperations:
    """The operations of one router."""

    def __init__(self, context: RouterContext) -> None:
        self._context = context

    def handlers(self) -> dict[str, Handler]:
        """Every operation here, by its name."""
        return {
            "CreateGlobalTable": self.create,
            "UpdateGlobalTable": self.update,
            "DescribeGlobalTable": self.describe,
            "ListGlobalTables": self.list_tables,
            "DescribeGlobalTableSettings": self.describe_settings,
            "UpdateGlobalTableSettings": self.update_settings,
        }

    @property
    def _scope(self) -> Scope:
        return Scope(self._context, self._context.links)

    def create(self, call: Call, request: Request) -> Operation:
        """CreateGlobalTable."""
        name, regions = call_name(call, request), regions_of(request["ReplicationGroup"])
        own = self._context.site.region
        if own not in regions:
            raise validation(f"The replication group must have the region of the request: {own}")
        document = self._table(name, own)
        if group.is_global(document):
            raise already_global(document)
        _check_here(document)
        elsewhere = [region for region in regions if region != own]
        for region in elsewhere:
            yield from self._check_there(document, region)
        yield from self._check_empty(document)
        yield from self._add(name, elsewhere, self._context.new_id())
        return self._described(name)

    def update(self, call: Call, request: Request) -> Operation:
        """UpdateGlobalTable: any number of replicas added and taken away."""
        name = call_name(call, request)
        document = self._global_table(name)
        added, removed = _changes(request["ReplicaUpdates"])
        members = group.present(document)
        for region in added:
            if region in members:
                raise ApiError(
                    "ReplicaAlreadyExistsException",
                    f"Global table with name: '{name}' already has a replica in region: '{region}'",
                )
        for region in removed:
            if region not in members:
                raise ApiError(
                    "ReplicaNotFoundException",
                    f"Global table with name: '{name}' does not have a replica in region: '{region}'",
                )
        if self._context.site.region in removed:
            raise validation(
                "Take the region of the request away by a request to another region of the global table"
            )
        for region in added:
            yield from self._check_there(document, region)
        yield from self._remove(name, removed)
        if added:
            yield from self._add(name, added, document["Replication"]["Id"])
        return self._described(name, document)

    def describe(self, call: Call, request: Request) -> Operation:
        """DescribeGlobalTable."""
        name = call_name(call, request)
        self._global_table(name)
        return self._described(name)
        yield  # makes this a generator, like every operation

    def list_tables(self, call: Call, request: Request) -> Operation:
        """ListGlobalTables."""
        context = self._context
        wanted = request.get("RegionName")
        found: list[tuple[str, list[str]]] = []
        for name in context.names():
            document = context.documents[name]
            if "Legacy" in document.get("Replication", {}):
                regions = sorted(group.present(document))
                if wanted is None or wanted in regions:
                    found.append((name, regions))
        names = [name for name, _ in found]
        after = request.get("ExclusiveStartGlobalTableName")
        start = bisect_right(names, after) if after is not None else 0
        limit = request.get("Limit") or PAGE
        page = found[start : start + limit]
        reply: dict[str, Any] = {
            "GlobalTables": [
                {
                    "GlobalTableName": name,
                    "ReplicationGroup": [{"RegionName": region} for region in regions],
                }
                for name, regions in page
            ]
        }
        if start + len(page) < len(found):
            reply["LastEvaluatedGlobalTableName"] = page[-1][0]
        return orjson.dumps(reply)
        yield  # makes this a generator, like every operation

    def describe_settings(self, call: Call, request: Request) -> Operation:
        """DescribeGlobalTableSettings."""
        name = call_name(call, request)
        settings = yield from legacy_settings.described(self._scope, self._global_table(name))
        return orjson.dumps({"GlobalTableName": name, "ReplicaSettings": settings})

    def update_settings(self, call: Call, request: Request) -> Operation:
        """UpdateGlobalTableSettings."""
        name = call_name(call, request)
        document = self._global_table(name)
        for index in _named_indexes(request):
            if find_global_index(document, index) is None:
                raise ApiError("IndexNotFoundException", f"Global table {name} has no index: {index}")
        for replica in request.get("ReplicaSettingsUpdate") or ():
            if replica["RegionName"] not in group.present(document):
                raise ApiError(
                    "ReplicaNotFoundException",
                    f"Global table with name: '{name}' does not have a replica in region: '{replica['RegionName']}'",
                )
        yield from legacy_settings.update(self._scope, name, request)
        settings = yield from legacy_settings.described(self._scope, self._global_table(name))
        return orjson.dumps({"GlobalTableName": name, "ReplicaSettings": settings})

    # ---- parts

    def _table(self, name: str, region: str) -> TableDocument:
        document = self._context.get(name)
        if document is None:
            raise no_table(name, region)
        return document

    def _global_table(self, name: str) -> TableDocument:
        document = self._context.get(name)
        if document is None or "Legacy" not in document.get("Replication", {}):
            raise ApiError(
                "GlobalTableNotFoundException", f"Global table with name: '{name}' does not exist."
            )
        return document

    def _check_there(self, document: TableDocument, region: str) -> Steps[None]:
        """The table of another region can join this one."""
        name = document["TableName"]
        links = known_links(self._context, region)
        reply = yield from probe(links, self._scope, region, document)
        if reply is None:
            raise ApiError(
                "InternalServerError", f"Region {region} does not answer; try again later", status=500
            )
        if not reply.get("Knows", True):
            rules.check_there({**reply, "State": "none"}, name, region, self._context.site.region)
        if reply["State"] == "none":
            raise no_table(name, region)
        if reply.get("Global"):
            raise ApiError(
                "GlobalTableAlreadyExistsException",
                f"The table {name} in region {region} is a replica of another global table",
            )
        if reply["State"] == "busy" or not reply.get("Settled"):
            raise validation(f"The table {name} in region {region} must be ACTIVE")
        if reply.get("KeySchema") != document["KeySchema"]:
            raise invalid_parameter(f"The table {name} in region {region} has another key schema")
        if reply.get("Stream") != NEW_AND_OLD_IMAGES:
            raise _no_stream(name, region)
        if reply.get("Items"):
            raise _not_empty(name, region)

    def _check_empty(self, document: TableDocument) -> Steps[None]:
        totals = yield TableStatistics(document["TableName"])
        if totals[None][0]:
            raise _not_empty(document["TableName"], self._context.site.region)

    def _add(self, name: str, regions: list[str], group_id: str) -> Steps[None]:
        def plan(known: TableDocument | None, site: Site) -> TableDocument | None:
            found = self._table(name, site.region) if known is None else known
            new = found
            for region in regions:
                if not group.is_global(new) or region not in group.present(new):
                    new = plans.created(new, region, {}, group_id, site, legacy=True)
            return new

        yield from change_table(self._scope, name, plan)

    def _remove(self, name: str, regions: list[str]) -> Steps[None]:
        def plan(known: TableDocument | None, site: Site) -> TableDocument | None:
            new = known
            for region in regions:
                if new is not None and group.is_global(new) and region in group.present(new):
                    new = plans.deleted(new, region, group.LEFT, site)
            return new

        yield from change_table(self._scope, name, plan)

    def _described(self, name: str, before: TableDocument | None = None) -> bytes:
        document = self._context.get(name)
        if document is None or not group.is_global(document):
            document = before
        assert document is not None, "it was there a moment ago"
        return orjson.dumps({"GlobalTableDescription": description(document, self._context.site.account)})


def call_name(call: Call, request: Request) -> str:
    """The global table that a request names, noted for the metrics."""
    call.table = request["GlobalTableName"]
    return call.table


def regions_of(replicas: list[Mapping[str, Any]]) -> list[str]:
    """The regions of a replication group; ValidationException for none, or the same twice."""
    found = [replica["RegionName"] for replica in replicas if replica.get("RegionName")]
    if not found or len(found) != len(replicas):
        raise invalid_parameter("The replication group must name regions")
    if len(set(found)) != len(found):
        raise invalid_parameter("The replication group names a region more than once")
    return found


def _changes(updates: list[Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    added = [update["Create"]["RegionName"] for update in updates if update.get("Create")]
    removed = [update["Delete"]["RegionName"] for update in updates if update.get("Delete")]
    both = len(added) + len(removed)
    if not both or any(update.get("Create") and update.get("Delete") for update in updates):
        raise invalid_parameter("Each replica update must be one of Create and Delete")
    if len({*added, *removed}) != both:
        raise invalid_parameter("A region is named more than once in the replica updates")
    return added, removed


def _named_indexes(request: Request) -> list[str]:
    found = [each["IndexName"] for each in request.get("GlobalTableGlobalSecondaryIndexSettingsUpdate") or ()]
    for replica in request.get("ReplicaSettingsUpdate") or ():
        found += [
            each["IndexName"] for each in replica.get("ReplicaGlobalSecondaryIndexSettingsUpdate") or ()
        ]
    return found


def description(document: TableDocument, account: str) -> dict[str, Any]:
    """GlobalTableDescription: every replica, this region's too."""
    replication = document["Replication"]
    members = group.present(document)
    status = "ACTIVE"
    if any(member["Status"] != group.ACTIVE for member in members.values()):
        status = "CREATING" if not replication["Gone"] else "UPDATING"
    elif replication["Leaving"]:
        status = "UPDATING"
    return {
        "ReplicationGroup": [
            {"RegionName": region, "ReplicaStatus": member["Status"]}
            for region, member in sorted(members.items())
        ],
        "GlobalTableArn": f"arn:aws:dynamodb::{account}:global-table/{document['TableName']}",
        "CreationDateTime": replication["Legacy"],
        "GlobalTableStatus": status,
        "GlobalTableName": document["TableName"],
    }


def _check_here(document: TableDocument) -> None:
    name, region = document["TableName"], document["TableArn"].split(":")[3]
    if document["Status"] != "ACTIVE" or is_updating(document):
        raise validation(f"The table {name} in region {region} must be ACTIVE")
    if document.get("StreamSpecification", {}).get("StreamViewType") != NEW_AND_OLD_IMAGES:
        raise _no_stream(name, region)


def already_global(document: TableDocument) -> ApiError:
    """GlobalTableAlreadyExistsException."""
    regions = ", ".join(sorted(group.present(document)))
    return ApiError(
        "GlobalTableAlreadyExistsException",
        f"Global table with name: '{document['TableName']}' already exists with replicas in regions: {regions}.",
    )


def no_table(name: str, region: str) -> ApiError:
    """TableNotFoundException."""
    return ApiError("TableNotFoundException", f"Table not found: {name} in region {region}")


def _no_stream(name: str, region: str) -> ApiError:
    return invalid_parameter(
        f"The table {name} in region {region} must have a stream with the view type {NEW_AND_OLD_IMAGES}"
    )


def _not_empty(name: str, region: str) -> ApiError:
    return invalid_parameter(f"The table {name} in region {region} must be empty")
