"""Where records of invocations may go: a function, a table, an HTTP endpoint. There are no queues and topics here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hashrange_router.functions.errors import invalid
from hashrange_router.functions.names import Names

Exists = Callable[[str], bool]
"""Whether there is a function, or a table, of a name."""


class DestinationRules:
    """Checks destinations against what there is. `function` and `table` say whether one of a name exists."""

    def __init__(self, names: Names, function: Exists, table: Exists) -> None:
        self._names = names
        self._function = function
        self._table = table
        self._tables = f"arn:aws:dynamodb:{names.region}:{names.account}:table/"

    def check(self, given: dict[str, Any] | None, *members: str) -> dict[str, Any]:
        """A DestinationConfig with those members of it that name a destination; the others must not be there."""
        kept: dict[str, Any] = {}
        for member in ("OnSuccess", "OnFailure"):
            destination = ((given or {}).get(member) or {}).get("Destination")
            if not destination:
                continue
            if member not in members:
                raise invalid(f"{member} destinations are not supported for event source mappings")
            self._check(member, destination)
            kept[member] = {"Destination": destination}
        return kept

    def check_dead_letter(self, given: dict[str, Any] | None) -> None:
        """Refuse a DeadLetterConfig that names what there is not here."""
        target = (given or {}).get("TargetArn")
        if target:
            self._check("DeadLetterConfig", target)

    def _check(self, member: str, destination: str) -> None:
        if destination.startswith(("http://", "https://")):
            return
        if self._names.is_function(destination):
            if not self._function(self._names.parse(destination).name):
                raise invalid(f"The destination of {member} does not exist: {destination}")
        elif destination.startswith(self._tables):
            if not self._table(destination[len(self._tables) :]):
                raise invalid(f"The destination of {member} does not exist: {destination}")
        else:
            raise invalid(
                f"The destination of {member} is not supported by this server: {destination}. Supported are the ARN "
                "of a function or of a table of this server, and http or https URLs"
            )
