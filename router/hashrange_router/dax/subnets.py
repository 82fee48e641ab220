"""Subnet groups: kept and told, so that scripts which make them run. Nodes have no subnets here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, TypedDict

from hashrange.model.dax import ClusterDocument
from hashrange_router.dax import pages
from hashrange_router.dax.describe import SUBNETS
from hashrange_router.dax.errors import fault, invalid, no_subnet_group
from hashrange_router.dax.setting import ZONE, Request

GROUPS_MAX: Final = 50
SUBNETS_MAX: Final = 20
"""Subnet groups of an account, and subnets of one (DAX Developer Guide, Quotas)."""


class SubnetDocument(TypedDict):
    """A subnet group."""

    Description: str
    Subnets: list[str]


_DEFAULT: Final[SubnetDocument] = {"Description": "Default subnet group", "Subnets": ["subnet-00000000"]}

Groups = dict[str, SubnetDocument]


def create(request: Request, name: str, known: Groups) -> SubnetDocument:
    """CreateSubnetGroup."""
    if name in known or name == SUBNETS:
        raise fault("SubnetGroupAlreadyExistsFault", f"Subnet group {name} already exists.")
    if len(known) >= GROUPS_MAX:
        raise fault("SubnetGroupQuotaExceededFault", f"There are at most {GROUPS_MAX} subnet groups")
    return {"Description": request.get("Description", ""), "Subnets": _subnets(request["SubnetIds"])}


def update(request: Request, name: str, before: SubnetDocument | None) -> SubnetDocument:
    """UpdateSubnetGroup: what is not given stays."""
    if name == SUBNETS:
        raise invalid(f"The subnet group {name} cannot be changed: create one of your own.")
    if before is None:
        raise no_subnet_group(name)
    after: SubnetDocument = {**before}
    if "Description" in request:
        after["Description"] = request["Description"]
    if "SubnetIds" in request:
        after["Subnets"] = _subnets(request["SubnetIds"])
    return after


def _subnets(given: Sequence[str]) -> list[str]:
    if not given:
        raise fault("InvalidSubnet", "A subnet group has at least one subnet.")
    if len(given) > SUBNETS_MAX:
        raise fault("SubnetQuotaExceededFault", f"A subnet group has at most {SUBNETS_MAX} subnets")
    for subnet in given:
        if not subnet.startswith("subnet-") or given.count(subnet) > 1:
            raise fault("InvalidSubnet", f"Not a subnet, or given twice: {subnet}")
    return list(given)


def check_unused(name: str, before: SubnetDocument | None, clusters: Iterable[ClusterDocument]) -> None:
    """DeleteSubnetGroup: whether a group can be deleted."""
    if before is None and name != SUBNETS:
        raise no_subnet_group(name)
    users = sorted(
        each["ClusterName"] for each in clusters if each["Told"].get("SubnetGroup", SUBNETS) == name
    )
    if name == SUBNETS or users:
        why = f"is in use by {', '.join(users)}." if users else "cannot be deleted."
        raise fault("SubnetGroupInUseFault", f"Subnet group {name} {why}")


def described(name: str, document: SubnetDocument) -> dict[str, Any]:
    """A group as the API shows it."""
    return {
        "SubnetGroupName": name,
        "Description": document["Description"],
        "VpcId": "vpc-00000000",
        "Subnets": [
            {
                "SubnetIdentifier": subnet,
                "SubnetAvailabilityZone": ZONE,
                "SupportedNetworkTypes": ["ipv4"],
            }
            for subnet in document["Subnets"]
        ],
        "SupportedNetworkTypes": ["ipv4"],
    }


def describe_groups(request: Request, names: list[str], known: Groups) -> dict[str, Any]:
    """DescribeSubnetGroups: those named, or all."""
    every = {**known, SUBNETS: _DEFAULT}
    for name in names:
        if name not in every:
            raise no_subnet_group(name)
    found = [
        (name, (name, document)) for name, document in sorted(every.items()) if not names or name in names
    ]
    return pages.page(request, "SubnetGroups", found, lambda entry: described(*entry))
