"""The DAX API on the router's port: its operations, by the target header that names each.

    dispatcher.serve(dax_service(context, DaxSite("127.0.0.1", 8111)))

Requests come as `application/x-amz-json-1.1` with the target `AmazonDAXV3.<operation>`, which is what
`boto3.client("dax", endpoint_url=...)` sends. What is wanted is kept in control documents (`hashrange.model.dax`);
supervisors start and stop nodes accordingly, and the nodes say in documents of their own that they run. Without a
site nobody here starts nodes: clusters can be looked at, changed and deleted, but not be made to grow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from hashrange_router.api.call import Call, Operation
from hashrange_router.api.context import RouterContext
from hashrange_router.api.dispatch import JsonService, OperationEntry
from hashrange_router.api.validate import Validation
from hashrange_router.dax.cluster_operations import ClusterOperations
from hashrange_router.dax.errors import as_service
from hashrange_router.dax.group_operations import GroupOperations
from hashrange_router.dax.model import TARGET_PREFIX, dax_model
from hashrange_router.dax.setting import DaxSite, Request
from hashrange_router.dax.steps import Steps

SIGNING_NAME = "dax"

SUPPORTED = frozenset(dax_model().operations)
"""Operations with a handler. A test compares it with the handlers."""

Handler = Callable[[Request], Steps[dict[str, Any]]]


def dax_service(context: RouterContext, site: DaxSite | None) -> JsonService:
    """The service, to be given to the dispatcher. `site` says where supervised nodes run, None if nowhere."""
    validation = Validation(dax_model(), "classic")
    entries: dict[bytes, OperationEntry] = {}
    for name, handler in handlers(context, site).items():
        entry = OperationEntry(name, validation.compile_validator(name), _answering(handler), as_service)
        entries[f"{TARGET_PREFIX}.{name}".encode()] = entry
    return JsonService(TARGET_PREFIX.encode(), SIGNING_NAME, entries)


def handlers(context: RouterContext, site: DaxSite | None) -> dict[str, Handler]:
    """Every operation, by its name: steps that end with the reply."""
    clusters, groups = ClusterOperations(context, site), GroupOperations(context)
    return {
        "CreateCluster": clusters.create,
        "DeleteCluster": clusters.delete,
        "UpdateCluster": clusters.update,
        "DescribeClusters": clusters.describe,
        "IncreaseReplicationFactor": clusters.increase,
        "DecreaseReplicationFactor": clusters.decrease,
        "RebootNode": clusters.reboot,
        "ListTags": clusters.list_tags,
        "TagResource": clusters.tag,
        "UntagResource": clusters.untag,
        "CreateParameterGroup": groups.create_parameters,
        "UpdateParameterGroup": groups.update_parameters,
        "DeleteParameterGroup": groups.delete_parameters,
        "DescribeParameterGroups": groups.describe_parameter_groups,
        "DescribeParameters": groups.describe_parameters,
        "DescribeDefaultParameters": groups.describe_default_parameters,
        "CreateSubnetGroup": groups.create_subnets,
        "UpdateSubnetGroup": groups.update_subnets,
        "DeleteSubnetGroup": groups.delete_subnets,
        "DescribeSubnetGroups": groups.describe_subnet_groups,
        "DescribeEvents": groups.describe_events,
    }


def _answering(handler: Handler) -> Callable[[Call, dict[str, Any]], Operation]:
    def handle(call: Call, request: dict[str, Any]) -> Operation:
        return orjson.dumps((yield from handler(request)))

    return handle
