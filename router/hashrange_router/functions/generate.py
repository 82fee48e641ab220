"""Makes lambda_model.json, the model of the Lambda API, from the one that botocore carries.

Run `python -m hashrange_router.functions.generate` after upgrading botocore; `--check` only compares.

Besides what `api.generate` writes for every service the file has `routes`: method, path and status of each operation
that is served, and where the members of its request and its reply are that are not in the JSON body.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hashrange_router.api.generate import compare_or_write, describe, load_service, render, shapes_within

MODEL_PATH = Path(__file__).with_name("lambda_model.json")
SERVICE = "lambda"

UNSERVED = (
    # Kinds of resources that do not exist here, each with all its operations.
    "CapacityProvider",
    "DurableExecution",
    "FunctionScalingConfig",
    "ResourcePolicy",
)

REGION = r"(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}"
"""How patterns spell a region: a server may be set to speak for another one, "local" for example."""
ANY_REGION = r"[a-z][a-z0-9-]*"

DESTINATION = (
    r"$|kafka://([^.]([a-zA-Z0-9\-_.]{0,248}))|https?://[^\s]+"
    rf"|arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:({ANY_REGION})?:(\d{{12}})?:(.*)"
)

CORRECTIONS: dict[str, dict[str, Any]] = {
    # The limits of functions that run on demand (AWS Lambda Developer Guide, Lambda quotas); the model's are those
    # of managed instances.
    "Timeout": {"type": "integer", "min": 1, "max": 900},
    "MemorySize": {"type": "integer", "min": 128, "max": 10_240},
    "EphemeralStorageSize": {"type": "integer", "min": 512, "max": 10_240},
    # An HTTP endpoint is a destination here.
    "DestinationArn": {"type": "string", "min": 0, "max": 350, "pattern": DESTINATION},
    # Letters of every script, which the validators' patterns do not know: `tags.py` looks at them.
    "TagKey": {"type": "string", "min": 1, "max": 128},
    "TagValue": {"type": "string", "min": 0, "max": 256},
}


def build() -> dict[str, Any]:
    """The document that lambda_model.json should hold, from the installed botocore."""
    model = load_service(SERVICE)
    described = describe(model)
    operations = {
        name: shape
        for name, shape in described["operations"].items()
        if not any(part in name for part in UNSERVED)
    }
    shapes = {**described["shapes"], **CORRECTIONS}
    for shape in shapes.values():
        if "pattern" in shape:
            shape["pattern"] = shape["pattern"].replace(REGION, ANY_REGION)
    reached: set[str] = set()
    waiting = list(operations.values())
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += shapes_within(shapes[name])
    return {
        SERVICE: {
            "target": "",
            "operations": operations,
            "shapes": {name: shape for name, shape in shapes.items() if name in reached},
            "routes": {name: _route(model.operation_model(name)) for name in operations},
        }
    }


def _route(operation: Any) -> dict[str, Any]:
    """Where the parts of a request and of its reply are."""
    route: dict[str, Any] = {
        "method": operation.http["method"],
        "uri": operation.http["requestUri"],
        "status": operation.http.get("responseCode", 200),
    }
    shape = operation.input_shape
    places = {
        name: [member.serialization["location"], member.serialization.get("name", name)]
        for name, member in shape.members.items()
        if "location" in member.serialization
    }
    if places:
        route["places"] = places
    if "payload" in shape.serialization:
        route["payload"] = shape.serialization["payload"]
    return route


def main(arguments: list[str] | None = None) -> int:
    """Write the file, or with `--check` tell whether it is current."""
    return compare_or_write(arguments, MODEL_PATH, render(build()), "hashrange_router.functions.generate")


if __name__ == "__main__":
    sys.exit(main())
