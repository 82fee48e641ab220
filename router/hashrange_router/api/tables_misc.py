"""Operations around tables that have little to say here: limits, endpoints, backups, insights, destinations.

What the server does not offer is described as switched off, which is true, and refused when asked to be
switched on. Each of these words a missing table in its own way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hashrange.errors import ApiError, resource_not_found, validation
from hashrange.model.table_arn import resolve_table_name
from hashrange.model.table_document import find_global_index
from hashrange_router.api.tables_plan import Catalogue, Site, existing_table
from hashrange_router.api.tables_settings import unsupported

ENDPOINT_CACHE_MINUTES = 1440


def describe_limits(site: Site) -> dict[str, Any]:
    """DescribeLimits: the quotas in force, not what is left of them."""
    quotas = site.quotas
    return {
        "AccountMaxReadCapacityUnits": quotas.account_max_read_units,
        "AccountMaxWriteCapacityUnits": quotas.account_max_write_units,
        "TableMaxReadCapacityUnits": quotas.table_max_read_units,
        "TableMaxWriteCapacityUnits": quotas.table_max_write_units,
    }


def describe_endpoints(site: Site) -> dict[str, Any]:
    """DescribeEndpoints: the one address that the client reached, so that it goes on using it."""
    return {"Endpoints": [{"Address": site.address, "CachePeriodInMinutes": ENDPOINT_CACHE_MINUTES}]}


def describe_continuous_backups(
    request: Mapping[str, Any], catalogue: Catalogue, site: Site
) -> dict[str, Any]:
    """DescribeContinuousBackups: point-in-time recovery is off for every table.

    ContinuousBackupsStatus is ENABLED all the same, as for every table of the real service.
    """
    _backup_table(request, catalogue, site)
    return {
        "ContinuousBackupsDescription": {
            "ContinuousBackupsStatus": "ENABLED",
            "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "DISABLED"},
        }
    }


def update_continuous_backups(request: Mapping[str, Any], catalogue: Catalogue, site: Site) -> dict[str, Any]:
    """UpdateContinuousBackups: switching recovery off is true already; switching it on is refused."""
    settings = request["PointInTimeRecoverySpecification"]
    if not settings["PointInTimeRecoveryEnabled"] and "RecoveryPeriodInDays" in settings:
        raise validation(
            "Invalid Request: Cannot specify RecoveryPeriodInDays when disabling point-in-time recovery."
        )
    description = describe_continuous_backups(request, catalogue, site)
    if settings["PointInTimeRecoveryEnabled"]:
        raise unsupported("Point-in-time recovery is not supported by this server yet")
    return description


def _backup_table(request: Mapping[str, Any], catalogue: Catalogue, site: Site) -> None:
    name = resolve_table_name(request["TableName"], site.region, site.account)
    if catalogue.get(name) is None:
        raise ApiError("TableNotFoundException", f"Table not found: {name}")


def describe_contributor_insights(
    request: Mapping[str, Any], catalogue: Catalogue, site: Site
) -> dict[str, Any]:
    """DescribeContributorInsights: off for every table and global secondary index."""
    name = resolve_table_name(request["TableName"], site.region, site.account)
    document = existing_table(catalogue, name)
    reply = {"TableName": name, "ContributorInsightsStatus": "DISABLED"}
    index = request.get("IndexName")
    if index is not None:
        if find_global_index(document, index) is None:
            raise resource_not_found(
                f"Requested resource not found: Index: {index} not found for table: {name}"
            )
        reply["IndexName"] = index
    return reply


NO_KINESIS = "Kinesis streams are not available here; read the table's stream instead (StreamSpecification)"
REFUSED = dict.fromkeys(
    (
        "DisableKinesisStreamingDestination",
        "EnableKinesisStreamingDestination",
        "UpdateKinesisStreamingDestination",
    ),
    NO_KINESIS,
)
"""Operations that are answered with a ValidationException, whatever is asked of them, and its text."""


def refuse_kinesis_streaming_destination(
    request: Mapping[str, Any], catalogue: Catalogue, site: Site
) -> dict[str, Any]:
    """EnableKinesisStreamingDestination and its like: there is no Kinesis to send changes to."""
    existing_table(catalogue, resolve_table_name(request["TableName"], site.region, site.account))
    raise unsupported(NO_KINESIS)


def describe_kinesis_streaming_destination(
    request: Mapping[str, Any], catalogue: Catalogue, site: Site
) -> dict[str, Any]:
    """DescribeKinesisStreamingDestination: a table has none."""
    name = resolve_table_name(request["TableName"], site.region, site.account)
    existing_table(catalogue, name)
    return {"TableName": name, "KinesisDataStreamDestinations": []}
