"""Names: of clusters and groups as requests give them, of nodes, and ARNs."""

from __future__ import annotations

import re
from typing import Final

from hashrange_router.dax.errors import invalid, invalid_arn, no_cluster

_IDENTIFIER: Final = re.compile(r"[a-z](?:-?[a-z0-9])*")
_GROUP: Final = re.compile(r"[a-z](?:[-._]?[a-z0-9])*")
_ARN: Final = re.compile(r"arn:([^:]+):dax:([^:]*):([^:]*):cache/([^:/]+)")

CLUSTER_NAME_MAX: Final = 20
"""Characters of a cluster's name (API reference, CreateCluster)."""
GROUP_NAME_MAX: Final = 255


def cluster_name(given: str) -> str:
    """A cluster's name as it is stored, which is in lower case; InvalidParameterValueException."""
    name = given.lower()
    if not _IDENTIFIER.fullmatch(name) or len(name) > CLUSTER_NAME_MAX:
        raise invalid(
            "Cluster ID specified is not a valid identifier. Identifiers must begin with a letter; must contain "
            "only ASCII letters, digits, and hyphens; and must not end with a hyphen or contain two consecutive "
            f"hyphens. They have at most {CLUSTER_NAME_MAX} characters."
        )
    return name


def group_name(given: str, what: str) -> str:
    """The name of a parameter group or subnet group (`what`), in lower case; InvalidParameterValueException."""
    name = given.lower()
    if not _GROUP.fullmatch(name) or len(name) > GROUP_NAME_MAX:
        raise invalid(
            f"The name of a {what} begins with a letter and has at most {GROUP_NAME_MAX} letters, digits and single "
            f"hyphens, dots or underscores between them: {given}"
        )
    return name


def node_id(cluster: str, number: int) -> str:
    """The id of a node by its number, which is never given again in its cluster."""
    return f"{cluster}-{number}"


def arn_of(region: str, account: str, cluster: str) -> str:
    """The ARN of a cluster."""
    return f"arn:aws:dax:{region}:{account}:cache/{cluster}"


def cluster_of_arn(arn: str, region: str, account: str) -> str:
    """The cluster that an ARN names; InvalidARNFault, ClusterNotFoundFault for one of elsewhere."""
    found = _ARN.fullmatch(arn)
    if found is None:
        raise invalid_arn(arn)
    if (found[2], found[3]) != (region, account):
        raise no_cluster()
    return found[4]


def check_role(arn: str) -> None:
    """What IamRoleArn must look like: nobody assumes the role here. InvalidParameterValueException."""
    missing = ("arn", "partition", "vendor", "region/namespace delimiter", "namespace/relative-id delimiter")
    ordinals = ("", "Second", "Third", "Fourth", "Fifth")
    if not arn.startswith("arn:"):
        raise invalid(f"ARNs must start with 'arn:': {arn}")
    colons = arn.count(":")
    if colons < len(missing):
        what = missing[colons]
        what = f"({what})" if "/" in what else what
        raise invalid(f"{ordinals[colons]} colon {what} not found: {arn}")
