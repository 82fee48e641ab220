"""The errors of the DAX API, as that service gives them: no namespace, `message` in lower case."""

from __future__ import annotations

from typing import Final

from hashrange.errors import ApiError

HOW_TO_START: Final = (
    "There are no cache nodes on this server: start it with `hashrange serve --dax`, or a cluster with "
    "`hashrange cluster up --dax 1`"
)


def fault(type_name: str, message: str) -> ApiError:
    """One of the service's own faults."""
    return ApiError(type_name, message, status=400, namespace="")


def invalid(message: str) -> ApiError:
    """InvalidParameterValueException: a parameter has a value that cannot be taken."""
    return fault("InvalidParameterValueException", message)


def combination(message: str) -> ApiError:
    """InvalidParameterCombinationException: parameters that do not go together."""
    return fault("InvalidParameterCombinationException", message)


def no_cluster(name: str = "") -> ApiError:
    """ClusterNotFoundFault; only DescribeClusters names the cluster."""
    return fault("ClusterNotFoundFault", f"Cluster {name} not found." if name else "Cluster not found.")


def cluster_exists(name: str) -> ApiError:
    """ClusterAlreadyExistsFault."""
    return fault("ClusterAlreadyExistsFault", f"Cluster {name} already exists.")


def cluster_state(message: str) -> ApiError:
    """InvalidClusterStateFault: a cluster to which this cannot be done now."""
    return fault("InvalidClusterStateFault", message)


def no_node(node_id: str) -> ApiError:
    """NodeNotFoundFault."""
    return fault("NodeNotFoundFault", f"Node {node_id} not found.")


def no_capacity(message: str) -> ApiError:
    """InsufficientClusterCapacityFault: nothing here to run nodes with."""
    return fault("InsufficientClusterCapacityFault", message)


def too_many_nodes(limit: int) -> ApiError:
    """NodeQuotaForClusterExceededFault."""
    return fault(
        "NodeQuotaForClusterExceededFault", f"A cluster has at most {limit} nodes: a primary and replicas"
    )


def no_slots(type_name: str, limit: int) -> ApiError:
    """NodeQuotaForCustomerExceededFault and ClusterQuotaForCustomerExceededFault: all slots are taken."""
    return fault(type_name, f"This server has room for {limit} clusters and nodes in all: delete some first")


def no_group(name: str) -> ApiError:
    """ParameterGroupNotFoundFault."""
    return fault("ParameterGroupNotFoundFault", f"Parameter group {name} not found.")


def group_state(message: str) -> ApiError:
    """InvalidParameterGroupStateFault: a parameter group to which this cannot be done."""
    return fault("InvalidParameterGroupStateFault", message)


def no_subnet_group(name: str) -> ApiError:
    """SubnetGroupNotFoundFault."""
    return fault("SubnetGroupNotFoundFault", f"Subnet group {name} not found.")


def invalid_arn(arn: str) -> ApiError:
    """InvalidARNFault: not the ARN of a cluster."""
    return fault("InvalidARNFault", f"The Amazon Resource Name (ARN) is not that of a cluster: {arn}")


def too_many_tags(limit: int) -> ApiError:
    """TagQuotaPerResourceExceeded."""
    return fault("TagQuotaPerResourceExceeded", f"A cluster has at most {limit} tags")


def no_tag(key: str) -> ApiError:
    """TagNotFoundFault."""
    return fault("TagNotFoundFault", f"Tag {key} not found.")


def concurrent_update() -> ApiError:
    """InvalidClusterStateFault: others changed the same thing all the time."""
    return cluster_state("It is being changed by too many at once. Try again")


def as_service(operation: str, error: ApiError) -> ApiError:
    """Any error of the router or the control plane in this service's shape."""
    if not error.namespace:
        return error
    return ApiError(error.type_name, error.message or "", status=error.status, namespace="")
