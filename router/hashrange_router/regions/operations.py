"""The operations of the API on replicas: UpdateTable with ReplicaUpdates, and auto scaling of replicas.

They change this region's document and answer; the regions concerned hear of it from the loop (`reconcile`), which goes
on until they do. What can be known at once is asked at once: whether the other region has a table of that name, or
protects it. A region that does not answer keeps nobody waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from hashrange.errors import ApiError, resource_not_found, validation
from hashrange.model.scaling import READ, WRITE
from hashrange.model.table_arn import resolve_table_name
from hashrange.model.table_document import UPDATING, TableDocument, find_global_index
from hashrange_router.api.call import Behind, Call, Operation
from hashrange_router.api.context import RegionLinks, RouterContext
from hashrange_router.api.tables_describe import TableStatistics, describe
from hashrange_router.api.tables_plan import check_settled, existing_table
from hashrange_router.regions import group, plans, replica_scaling, rules, scaling_settings
from hashrange_router.regions.links import RegionAwayError, ask
from hashrange_router.regions.settings import Site
from hashrange_router.regions.steps import Scope, Steps, change_table

Request = dict[str, Any]
Handler = Callable[[Call, Request], Operation]


class ReplicaOperations:
    """The operations of one router. `context.links` is looked at with each: it is set after the operations are made."""

    def __init__(self, context: RouterContext) -> None:
        self._context = context

    @property
    def scope(self) -> Scope:
        """What steps need."""
        return Scope(self._context, self._context.links)

    def handlers(self) -> dict[str, Handler]:
        """The operations of their own, by name; UpdateTable and DeleteTable call this object."""
        return {
            "DescribeTableReplicaAutoScaling": self.describe_scaling,
            "UpdateTableReplicaAutoScaling": self.update_scaling,
        }

    # ---- UpdateTable

    def update_table(self, call: Call, request: Request, statistics: TableStatistics) -> Operation:
        """UpdateTable of a request that `rules.concerns_replicas`."""
        context = self._context
        name = resolve_table_name(request["TableName"], context.site.region, context.site.account)
        kind, action = rules.action_of(request, context.site.region)
        call.table = name
        existing_table(context, name)
        planned = {"Create": self._create, "Update": self._override, "Delete": self._delete}[kind]
        yield from planned(name, action)
        document = existing_table(context, name)
        description = describe(document, statistics=statistics, now=context.now())
        description["TableStatus"] = UPDATING
        return orjson.dumps({"TableDescription": description})

    def _create(self, name: str, action: Mapping[str, Any]) -> Steps[None]:
        context, region = self._context, action["RegionName"]
        links = known_links(context, region)
        document = existing_table(context, name)
        self._check_create(document, action)
        reply = yield from probe(links, self.scope, region, document)
        if reply is not None:
            rules.check_there(reply, name, region, context.site.region)
        group_id = context.new_id()

        def plan(known: TableDocument | None, site: Site) -> TableDocument | None:
            found = existing_table(context, name) if known is None else known
            self._check_create(found, action)
            overrides = plans.changed_overrides(found, {}, action, region, context.site.quotas)
            return plans.created(found, region, overrides, group_id, site)

        yield from change_table(self.scope, name, plan)

    def _check_create(self, document: TableDocument, action: Mapping[str, Any]) -> None:
        controls, name = self._context.controls, document["TableName"]
        names = [None, *(index["IndexName"] for index in document["GlobalSecondaryIndexes"])]
        scaled = {index: scaling_settings.is_scaled(controls, name, index) for index in names}
        rules.check_create(document, action, self._context.site.account, scaled)

    def _override(self, name: str, action: Mapping[str, Any]) -> Steps[None]:
        context, region = self._context, action["RegionName"]

        def plan(known: TableDocument | None, site: Site) -> TableDocument | None:
            document = existing_table(context, name) if known is None else known
            check_settled(document)
            rules.check_member(document, region, leaving=False)
            rules.check_override_modes(document, action, creating=False)
            return plans.overridden(document, region, action, site, context.site.quotas)

        yield from change_table(self.scope, name, plan)

    def _delete(self, name: str, action: Mapping[str, Any]) -> Steps[None]:
        context, region = self._context, action["RegionName"]
        document = existing_table(context, name)
        check_settled(document)
        rules.check_member(document, region)
        if context.links is not None and context.links.knows(region):
            reply = yield from probe(context.links, self.scope, region, document)
            if reply is not None and reply["State"] == "member" and reply.get("Protected"):
                raise rules.protected(name, region)

        def plan(known: TableDocument | None, site: Site) -> TableDocument | None:
            found = existing_table(context, name) if known is None else known
            check_settled(found)
            rules.check_member(found, region)
            return plans.deleted(found, region, group.REMOVED, site)

        yield from change_table(self.scope, name, plan)

    # ---- DeleteTable

    def farewell(self, document: TableDocument | None) -> Behind | None:
        """What is left to be done when a table was deleted: the other regions are told, once; see `reconcile`."""
        links = self._context.links
        if document is None or not group.is_global(document) or links is None:
            return None
        return Behind(_take_leave(self.scope, links, document))

    # ---- auto scaling

    def describe_scaling(self, call: Call, request: Request) -> Operation:
        """DescribeTableReplicaAutoScaling."""
        name, document = self._global_table(request)
        call.table = name
        return orjson.dumps({"TableAutoScalingDescription": (yield from self._scaling_of(document))})

    def update_scaling(self, call: Call, request: Request) -> Operation:
        """UpdateTableReplicaAutoScaling. The reply tells what there was before, as the service's does."""
        name, document = self._global_table(request)
        call.table = name
        here, elsewhere = _scaling_updates(document, request, self._context.site.region)
        before = yield from self._scaling_of(document)
        yield from replica_scaling.change(self.scope, name, here)
        for region, updates in elsewhere.items():
            yield from self._scale(document, region, updates)
        return orjson.dumps({"TableAutoScalingDescription": before})

    def _global_table(self, request: Request) -> tuple[str, TableDocument]:
        site = self._context.site
        name = resolve_table_name(request["TableName"], site.region, site.account)
        document = self._context.get(name)
        if document is None or not group.is_global(document):
            raise resource_not_found(f"Global table with name: '{name}' does not exist.")
        return name, document

    def _scaling_of(self, document: TableDocument) -> Steps[dict[str, Any]]:
        context = self._context
        replicas = []
        for region, entry in sorted(group.present(document).items()):
            if region == context.site.region:
                replicas.append(replica_scaling.replica(document, context.controls, context.site.account))
                continue
            found = yield from scaling_there(self.scope, document, region)
            if found is None:
                found = replica_scaling.unknown_replica(document, region, entry["Status"])
            replicas.append({**found, "ReplicaStatus": entry["Status"]})
        shown = describe(document, statistics=TableStatistics(), now=context.now())
        return {
            "TableName": document["TableName"],
            "TableStatus": shown["TableStatus"],
            "Replicas": replicas,
        }

    def _scale(
        self, document: TableDocument, region: str, updates: list[replica_scaling.Update]
    ) -> Steps[None]:
        yield from scale_there(self.scope, document, region, updates)


def known_links(context: RouterContext, region: str) -> RegionLinks:
    """The links, which know this region; ValidationException that says what to set."""
    links = context.links
    if links is None or not links.knows(region):
        raise rules.no_endpoint(region)
    return links


def probe(
    links: RegionLinks, scope: Scope, region: str, document: TableDocument
) -> Steps[dict[str, Any] | None]:
    """What another region has under the name of a table; None when it does not answer."""
    message = {
        "Type": "probe",
        "Source": scope.region,
        "Table": document["TableName"],
        "Id": document.get("Replication", {}).get("Id", ""),
    }
    try:
        return (yield from ask(links, region, message))
    except RegionAwayError:
        return None


def scaling_there(scope: Scope, document: TableDocument, region: str) -> Steps[dict[str, Any] | None]:
    """How the replica in another region is scaled; None when that cannot be learnt now."""
    if scope.links is None or not scope.links.knows(region):
        return None
    message = {
        "Type": "capacity",
        "Source": scope.region,
        "Table": document["TableName"],
        "Id": document["Replication"]["Id"],
    }
    try:
        reply = yield from ask(scope.links, region, message)
    except RegionAwayError:
        return None
    found: dict[str, Any] | None = reply.get("Replica")
    return found


def scale_there(
    scope: Scope, document: TableDocument, region: str, updates: list[replica_scaling.Update]
) -> Steps[None]:
    """Have the replica in another region scaled otherwise; an ApiError when it does not take it."""
    links = known_links(scope.context, region)
    message = {
        "Type": "scale",
        "Source": scope.region,
        "Table": document["TableName"],
        "Id": document["Replication"]["Id"],
        "Updates": updates,
    }
    try:
        reply = yield from ask(links, region, message)
    except RegionAwayError as error:
        raise ApiError("InternalServerError", f"{region} does not answer: {error}", status=500) from error
    if reply["State"] == "refused":
        raise ApiError(reply.get("Error", "ValidationException"), reply.get("Why"))
    if reply["State"] != "member":
        raise ApiError("ResourceInUseException", rules.IN_USE)


def _take_leave(scope: Scope, links: RegionLinks, document: TableDocument) -> Steps[None]:
    """Tell all others that this region's replica is gone. Who does not hear it finds out (`reconcile`)."""
    view = plans.farewell(document, scope.site(document["TableName"]))
    for region in group.others(document):
        message = {
            "Type": "view",
            "Source": scope.region,
            "Table": document["TableName"],
            "View": view,
            "Base": None,
            "Create": False,
        }
        try:
            yield from ask(links, region, message)
        except RegionAwayError:
            continue


def _scaling_updates(
    document: TableDocument, request: Request, own: str
) -> tuple[list[replica_scaling.Update], dict[str, list[replica_scaling.Update]]]:
    """What UpdateTableReplicaAutoScaling asks for: of this region's replica, and of others by region."""
    name = document["TableName"]
    failed = f"Failed to update settings for global table with name: ‘{name}’"
    here: list[replica_scaling.Update] = []
    elsewhere: dict[str, list[replica_scaling.Update]] = {}
    write = request.get("ProvisionedWriteCapacityAutoScalingUpdate")
    if write is not None:
        here.append({"Index": "", "Units": WRITE, "Settings": write})
    for index in request.get("GlobalSecondaryIndexUpdates") or ():
        update = index.get("ProvisionedWriteCapacityAutoScalingUpdate")
        if update is not None:
            here.append({"Index": _index_of(name, index), "Units": WRITE, "Settings": update})
    named = [replica["RegionName"] for replica in request.get("ReplicaUpdates") or ()]
    twice = sorted({region for region in named if named.count(region) > 1})
    if twice:
        raise validation(
            f"{failed} because the regions: ‘[{', '.join(twice)}]’ were specified more than once."
        )
    for replica in request.get("ReplicaUpdates") or ():
        region = replica["RegionName"]
        if region not in group.present(document):
            raise resource_not_found(f"Replica in region {region} of global table {name} does not exist.")
        updates = _read_updates(name, replica)
        if not updates:
            raise validation(
                f"{failed} because at least one update parameter must be specified for region: ‘{region}’."
            )
        if region == own:
            here += updates
        else:
            elsewhere[region] = updates
    if not here and not elsewhere:
        raise validation(f"{failed} because at least one update parameter must be specified.")
    for update in [*here, *(each for updates in elsewhere.values() for each in updates)]:
        replica_scaling.check(name, update)
        if update["Index"] and find_global_index(document, update["Index"]) is None:
            raise resource_not_found(
                f"Requested resource not found: Index: {update['Index']} not found for table: {name}"
            )
    return here, elsewhere


def _index_of(table: str, update: Mapping[str, Any]) -> str:
    """The index that an update is of: the shape lets the name be left out, and no index goes without one."""
    name: str | None = update.get("IndexName")
    if name is None:
        raise validation(
            f"Failed to update settings for global table with name: ‘{table}’: Parameters 'IndexName' are required."
        )
    return name


def _read_updates(table: str, replica: Mapping[str, Any]) -> list[replica_scaling.Update]:
    found: list[replica_scaling.Update] = []
    read = replica.get("ReplicaProvisionedReadCapacityAutoScalingUpdate")
    if read is not None:
        found.append({"Index": "", "Units": READ, "Settings": read})
    for index in replica.get("ReplicaGlobalSecondaryIndexUpdates") or ():
        update = index.get("ProvisionedReadCapacityAutoScalingUpdate")
        if update is not None:
            found.append({"Index": _index_of(table, index), "Units": READ, "Settings": update})
    return found
