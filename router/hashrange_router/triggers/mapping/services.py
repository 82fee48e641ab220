"""What the runners of mappings and shards share: the services of the pool, and a mapping as it is now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from hashrange.runtime.clock import Clock
from hashrange.wire.documents import ControlDocument
from hashrange_router.api.tables_plan import Site
from hashrange_router.streams.reader import StreamReader
from hashrange_router.triggers.contracts import (
    Destinations,
    FunctionDirectory,
    FunctionVersion,
    Invoker,
    LocalClient,
    TriggerMetrics,
)
from hashrange_router.triggers.mapping.filters import Filters, compile_patterns
from hashrange_router.triggers.mapping.leases import Leases
from hashrange_router.triggers.mapping.settings import Moment, Settings

FINE = "OK"
FAILED = "PROBLEM: Function call failed"
GONE = "PROBLEM: Stream not found"
TRIMMED = "PROBLEM: Records were trimmed before they were processed"


@dataclass(frozen=True, slots=True)
class Services:
    """What a pool's mappings work with."""

    reader: StreamReader
    client: LocalClient
    directory: FunctionDirectory
    invoker: Invoker
    destinations: Destinations
    metrics: TriggerMetrics
    leases: Leases
    site: Site
    clock: Clock
    new_id: Callable[[], str]
    warm: Callable[[FunctionVersion], Awaitable[None]] | None = None
    """Has a worker of a function started before it is needed, where the invoker can."""

    def moment(self) -> Moment:
        """Now."""
        return Moment(self.clock.monotonic(), self.clock.wall_ms())


@dataclass(slots=True)
class MappingView:
    """A mapping: what its document says, and what came of the last call here (`result`; None: there was none).

    One object for as long as the mapping exists: runners of its shards look at it before every call.
    """

    uuid: str
    generation: int = 0
    document: dict[str, Any] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    filters: Filters = field(default_factory=lambda: compile_patterns([]))
    result: str | None = None

    def take(self, control: ControlDocument) -> None:
        """Take over a new document. ValueError when its filters are none."""
        document = control["document"]
        self.generation = control["generation"]
        self.document = document
        self.settings = Settings.from_document(document)
        criteria = document.get("FilterCriteria") or {}
        self.filters = compile_patterns([each["Pattern"] for each in criteria.get("Filters") or ()])

    @property
    def stream_arn(self) -> str:
        """The stream that it reads."""
        return str(self.document["EventSourceArn"])

    @property
    def function_arn(self) -> str:
        """The function as the mapping names it, qualified or not."""
        return str(self.document["FunctionArn"])

    @property
    def wanted(self) -> str:
        """Enabled, Disabled or Deleting."""
        return str(self.document.get("State", "Enabled"))

    @property
    def revision(self) -> int:
        """The number that the status row answers with."""
        return int(self.document.get("Revision", 0))

    @property
    def destination(self) -> str | None:
        """Where reports about records go that were given up."""
        config = self.document.get("DestinationConfig") or {}
        return (config.get("OnFailure") or {}).get("Destination")

    @property
    def latest_from_ms(self) -> int | None:
        """When it was made, if it begins with what is written from then on."""
        if self.document.get("StartingPosition") != "LATEST":
            return None
        return int(float(self.document["Created"]) * 1000)
