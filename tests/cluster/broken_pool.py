"""`hashrange` with pools that take any shard from one another at any time, and keep what they have lost.

    python tests/cluster/broken_pool.py cluster up --triggers 2 --data-dir DIR

Leases count for nothing, and their rows are written without a condition: the negative control of the trigger pool.
The rest of the line is an ordinary command line; processes that a supervisor started like this starts are broken too.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))


def break_leases() -> None:
    """Let every lease be free, and every write to a row of a mapping go through."""
    from hashrange_router import local
    from hashrange_router.triggers.mapping import leases

    leases.Watch.free = lambda self, row, now_s: True  # type: ignore[method-assign]
    client = local.InProcessClient
    call = client.call

    async def without_condition(self: Any, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        key = request.get("Key", {}).get("pk", {}).get("S", "")
        if key.startswith("mapping#") and "ConditionExpression" in request:
            values = request["ExpressionAttributeValues"]
            names = request["ExpressionAttributeNames"]
            request = {
                **{name: value for name, value in request.items() if name != "ConditionExpression"},
                "ExpressionAttributeValues": {
                    name: value for name, value in values.items() if name in request["UpdateExpression"]
                },
                "ExpressionAttributeNames": {
                    name: value for name, value in names.items() if name in request["UpdateExpression"]
                },
            }
            for member in ("ExpressionAttributeValues", "ExpressionAttributeNames"):
                if not request[member]:
                    del request[member]
        return await call(self, operation, request)

    client.call = without_condition  # type: ignore[method-assign]


def main() -> None:
    """Break it, and be `hashrange`; a supervisor starts its children with the command that it was started with."""
    break_leases()
    from hashrange.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
