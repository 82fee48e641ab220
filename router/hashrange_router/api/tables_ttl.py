"""Time to live: UpdateTimeToLive and DescribeTimeToLive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hashrange.errors import validation
from hashrange.model.table_arn import resolve_table_name
from hashrange.model.table_document import CREATING, DELETING, TableDocument, revised, timestamp
from hashrange_router.api.tables_plan import Catalogue, Plan, Site, existing_table, in_use


def update_time_to_live(request: Mapping[str, Any], catalogue: Catalogue, site: Site, *, now: float) -> Plan:
    """UpdateTimeToLive: switch expiry on by an attribute, or off. The reply repeats the specification.

    A change that changes nothing is an error, and so is naming another attribute while one is in use. With
    `Quotas.ttl_cooldown_s` the next change has to wait that long.
    """
    name = resolve_table_name(request["TableName"], site.region, site.account)
    wanted = request["TimeToLiveSpecification"]
    document = existing_table(catalogue, name)
    if document["Status"] == CREATING:
        raise in_use(f"Table {name} is being created")
    settings = document["TimeToLive"]
    _check_change(settings, wanted["Enabled"], wanted["AttributeName"])
    changed_at = settings.get("ChangedAt")
    if changed_at is not None and now < changed_at + site.quotas.ttl_cooldown_s:
        raise validation("Time to live has been modified multiple times within a fixed interval")
    new = revised(document)
    new["TimeToLive"] = {"ChangedAt": timestamp(now)}
    if wanted["Enabled"]:
        new["TimeToLive"]["AttributeName"] = wanted["AttributeName"]
    response = {
        "TimeToLiveSpecification": {
            "Enabled": wanted["Enabled"],
            "AttributeName": wanted["AttributeName"],
        }
    }
    return Plan(new, response, changed=True)


def _check_change(settings: Mapping[str, Any], enable: bool, attribute: str) -> None:
    current = settings.get("AttributeName")
    if current is None:
        if not enable:
            raise validation("TimeToLive is already disabled")
        return
    if attribute != current:
        raise validation(
            f"TimeToLive is active on a different AttributeName: current AttributeName is {current}"
        )
    if enable:
        raise validation("TimeToLive is already enabled")


def describe_time_to_live(request: Mapping[str, Any], catalogue: Catalogue, site: Site) -> dict[str, Any]:
    """DescribeTimeToLive: the attribute is named only while expiry is on."""
    name = resolve_table_name(request["TableName"], site.region, site.account)
    document: TableDocument = existing_table(catalogue, name)
    status = document["Status"]
    if status in (CREATING, DELETING):
        raise validation(
            f"Cannot describe time to live while table is in {status} state: Current table state is {status}"
        )
    attribute = document["TimeToLive"].get("AttributeName")
    if attribute is None:
        return {"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}
    return {"TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED", "AttributeName": attribute}}
