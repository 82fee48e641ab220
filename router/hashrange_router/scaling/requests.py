"""What requests of the Application Auto Scaling API have in common: which target they name, and what was planned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hashrange.model.scaling import TARGETS, Scalable, TargetDocument, scalable
from hashrange.wire.documents import ControlDocuments
from hashrange_router.scaling.errors import validation

Request = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Setting:
    """What planning needs besides the request: names in ARNs, the time in epoch seconds, and a new random id."""

    region: str
    account: str
    now: float
    new_id: str


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one target's document (None: removed), and the reply once it is made."""

    document: TargetDocument | None
    reply: dict[str, Any]


def check_namespace(request: Request) -> None:
    """Only tables and indexes are scaled here: ValidationException for another service."""
    namespace = request["ServiceNamespace"]
    if namespace != "dynamodb":
        raise validation(f"Unsupported service namespace: {namespace}. This server scales dynamodb only")


def target_of(request: Request) -> Scalable:
    """What a request names by ResourceId and ScalableDimension; ValidationException for anything else."""
    check_namespace(request)
    found = scalable(request["ResourceId"], request["ScalableDimension"])
    if found is None:
        raise validation("Unsupported service namespace, resource type or scalable dimension")
    return found


def targets(controls: ControlDocuments, request: Request) -> Iterator[tuple[Scalable, TargetDocument]]:
    """The targets that the filters of a Describe operation let through, in the order of their names."""
    check_namespace(request)
    wanted = request.get("ResourceIds") or ([request["ResourceId"]] if request.get("ResourceId") else None)
    dimension = request.get("ScalableDimension")
    for _, stored in sorted(controls.of(TARGETS).items()):
        document = stored["document"]
        what = scalable(document["ResourceId"], document["ScalableDimension"])
        if what is None or (wanted is not None and what.resource_id not in wanted):
            continue
        if dimension is None or what.dimension == dimension:
            yield what, document


def described(what: Scalable) -> dict[str, str]:
    """The members that every description begins with."""
    return {
        "ServiceNamespace": "dynamodb",
        "ResourceId": what.resource_id,
        "ScalableDimension": what.dimension,
    }
