"""The table operations of the API: CreateTable, UpdateTable, DeleteTable, DescribeTable, ListTables.

Each takes the request, whose shape and model constraints were checked, a view of the catalogue and the
site, and returns either the reply or a `Plan` (see tables_plan). Tags, time to live and the rest live in
their own modules (tables_tags, tables_ttl, tables_misc) and have the same form.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hashrange.errors import resource_in_use
from hashrange.model.table_arn import resolve_table_name
from hashrange.model.table_document import CREATING, DELETING, TableDocument, revised
from hashrange_router.api.tables_create import plan_create
from hashrange_router.api.tables_describe import (
    NO_STATISTICS,
    TableStatistics,
    describe,
    describe_created,
    describe_deleted,
)
from hashrange_router.api.tables_plan import (
    Catalogue,
    CreateTable,
    DropTable,
    Plan,
    Site,
    existing_table,
    in_use,
)
from hashrange_router.api.tables_quotas import LIST_TABLES_LIMIT_MAX
from hashrange_router.api.tables_update import plan_update
from hashrange_router.api.tables_update_rules import check_request
from hashrange_router.api.tables_update_state import check_delete_admitted

StatisticsOf = Callable[[TableDocument], TableStatistics]


def create_table(
    request: Mapping[str, Any],
    catalogue: Catalogue,
    site: Site,
    *,
    now: float,
    table_id: str,
    next_partition_ids: Callable[[], int],
) -> Plan:
    """CreateTable. Raises ResourceInUseException when the name is taken, after every other error."""
    document = plan_create(
        request,
        now=now,
        table_id=table_id,
        region=site.region,
        account=site.account,
        next_partition_ids=next_partition_ids,
        quotas=site.quotas,
    )
    name = document["TableName"]
    taken = catalogue.get(name)
    if taken is not None:
        if taken["Status"] == CREATING:
            raise in_use(f"Table is being created: {name}")
        raise resource_in_use(f"Table already exists: {name}")
    response = {"TableDescription": describe_created(document, now=now)}
    return Plan(document, response, (CreateTable(),), changed=True)


def update_table(
    request: Mapping[str, Any],
    catalogue: Catalogue,
    site: Site,
    *,
    now: float,
    next_partition_ids: Callable[[], int],
    statistics: StatisticsOf | None = None,
) -> Plan:
    """UpdateTable. Errors of the request alone come before the table is looked up."""
    name = resolve_table_name(request["TableName"], site.region, site.account)
    check_request(request)
    document = existing_table(catalogue, name)
    return plan_update(
        document,
        request,
        now=now,
        next_partition_ids=next_partition_ids,
        region=site.region,
        account=site.account,
        statistics=statistics(document) if statistics else NO_STATISTICS,
        quotas=site.quotas,
    )


def delete_table(
    request: Mapping[str, Any],
    catalogue: Catalogue,
    site: Site,
    *,
    now: float,
    statistics: StatisticsOf | None = None,
) -> Plan:
    """DeleteTable: the table is DELETING until its document is gone."""
    name = resolve_table_name(request["TableName"], site.region, site.account)
    document = existing_table(catalogue, name)
    return plan_delete(document, now=now, statistics=statistics(document) if statistics else NO_STATISTICS)


def plan_delete(document: TableDocument, *, now: float, statistics: TableStatistics = NO_STATISTICS) -> Plan:
    """The plan for DeleteTable on a table; raises for a protected table and for one that is being changed."""
    check_delete_admitted(document)
    new = revised(document)
    new["Status"] = DELETING
    response = {"TableDescription": describe_deleted(new, statistics=statistics, now=now)}
    return Plan(new, response, (DropTable(),), changed=True)


def describe_table(
    request: Mapping[str, Any],
    catalogue: Catalogue,
    site: Site,
    *,
    now: float,
    statistics: StatisticsOf | None = None,
) -> dict[str, Any]:
    """DescribeTable."""
    name = resolve_table_name(request["TableName"], site.region, site.account)
    document = existing_table(catalogue, name)
    known = statistics(document) if statistics else NO_STATISTICS
    return {"Table": describe(document, statistics=known, now=now)}


def list_tables(request: Mapping[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    """ListTables."""
    return list_table_names(catalogue.names(), request.get("Limit"), request.get("ExclusiveStartTableName"))


def list_table_names(
    names: Sequence[str], limit: int | None = None, exclusive_start: str | None = None
) -> dict[str, Any]:
    """One page of `names` (sorted), after `exclusive_start`, which need not be among them.

    LastEvaluatedTableName is there only when more names follow.
    """
    start = 0 if exclusive_start is None else bisect_right(names, exclusive_start)
    page = list(names[start : start + (limit or LIST_TABLES_LIMIT_MAX)])
    reply: dict[str, Any] = {"TableNames": page}
    if start + len(page) < len(names):
        reply["LastEvaluatedTableName"] = page[-1]
    return reply
