"""Auto scaling as it is stored: one control document for every scalable target, and one for what was done to it.

A target is one dimension (read or write units) of a table or of a global secondary index. Its document, of the kind
`TARGETS` under `document_name`, is changed by the Application Auto Scaling API and by scheduled actions:

    ResourceId, ScalableDimension
    Target     {Min, Max, CreatedAt, Arn, Suspended {In, Out, Scheduled}, BoundsAt, Tags}; BoundsAt: when Min or Max
               were last set, which is when the capacity is brought between them
    Policies   {name: {Arn, CreatedAt, TargetValue, InCooldown, OutCooldown, DisableIn, AlarmId, Given}}
    Actions    {name: {Arn, CreatedAt, ChangedAt, Schedule, Timezone?, Start?, End?, Min?, Max?, FiredAt?}}

What the scaler did is in a document of the kind `HISTORIES` under the same name:

    Activities [newest first: {Id, Description, Cause, StartedAt, EndedAt?, Status, Message, Details?}]
    BoundsDone?, LastOut?, LastIn?

Times are epoch seconds, capacities whole units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

TARGETS = "scaling"
HISTORIES = "scaling-history"

ACTIVITIES_MAX = 50
"""Activities kept of one target. The service keeps those of six weeks."""

READ = "ReadCapacityUnits"
WRITE = "WriteCapacityUnits"

METRICS = {READ: "DynamoDBReadCapacityUtilization", WRITE: "DynamoDBWriteCapacityUtilization"}
"""The predefined metric that a policy on either dimension follows."""

TargetDocument = dict[str, Any]
HistoryDocument = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scalable:
    """What is scaled: the units (`READ` or `WRITE`) of a table, or of its global secondary index."""

    table: str
    index: str | None
    units: str

    @property
    def resource_id(self) -> str:
        """As the API names the resource."""
        return f"table/{self.table}" if self.index is None else f"table/{self.table}/index/{self.index}"

    @property
    def dimension(self) -> str:
        """As the API names the dimension."""
        return f"dynamodb:{'table' if self.index is None else 'index'}:{self.units}"

    @property
    def document_name(self) -> str:
        """The name of its documents."""
        return f"{self.resource_id}|{self.dimension}"


def scalable(resource_id: str, dimension: str) -> Scalable | None:
    """What a resource id and a dimension name; None when they are not those of a table or an index."""
    service, _, rest = dimension.partition(":")
    kind, _, units = rest.partition(":")
    parts = resource_id.split("/")
    if service != "dynamodb" or units not in METRICS or parts[0] != "table" or not all(parts):
        return None
    if kind == "table" and len(parts) == 2:
        return Scalable(parts[1], None, units)
    if kind == "index" and len(parts) == 4 and parts[2] == "index":
        return Scalable(parts[1], parts[3], units)
    return None


def with_activity(
    history: HistoryDocument | None, activity: dict[str, Any], **members: Any
) -> HistoryDocument:
    """The history after one more activity; `members` replace those of the same name."""
    before = history or {"Activities": []}
    return {**before, **members, "Activities": [activity, *before["Activities"]][:ACTIVITIES_MAX]}
