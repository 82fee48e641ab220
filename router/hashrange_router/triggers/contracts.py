"""What the parts of the trigger pool, and the Lambda API in front of it, know of one another.

    Lambda API (functions/) --Invocation--> Invoker (the pool here, or a pool elsewhere) --> a worker
    mappings  (mapping/)    --Invocation--> the pool's Invoker
    events    (events/)     --Invocation--> the pool's Invoker

What users configure lies in control documents (`hashrange.wire.documents`): functions under FUNCTION by name,
mappings under MAPPING by UUID. What the system itself keeps (code, queued events, leases, checkpoints, which pools
there are) are rows of a system table, read and written with ordinary operations through `LocalClient`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

FUNCTION = "function"
"""Kind of the control documents of functions; the name is the function's."""
MAPPING = "mapping"
"""Kind of the control documents of event source mappings; the name is the mapping's UUID."""

TRIGGER_TABLE = "$triggers"
"""The system table of the pools. Partition key `pk`, sort key `sk`, both strings; time to live in `expires`."""

STATUS_ROW = "$status"
"""Sort key of the row `mapping#<uuid>` that tells what pools have made of a mapping: `revision` (N), the `Revision` of
the document that they act on; `result` (S), its LastProcessingResult. The API shows the mapping as Creating, Updating,
Enabling or Disabling until `revision` has come up with the document's, as Enabled or Disabled from then on.

A document whose `State` is "Deleting" is removed by the pool that has let go of its shards and removed its rows; by the
API at once, when there is no status row: no pool has ever seen the mapping then."""

REQUEST_ID_HEADER = "x-hashrange-request-id"
"""On an invocation that is handed on: the id that its caller is told, and that the function is to see."""

Source = Literal["sync", "async", "mapping"]


@dataclass(frozen=True, slots=True)
class FunctionVersion:
    """What a worker needs to know of a function: one version, or $LATEST as it is now.

    `arn` is qualified unless it is that of $LATEST. `code` is the SHA-256 (hex) of the deployment package. `revision`
    changes with everything that a running worker cannot take over: workers are kept by (arn, revision).
    `reserved` is the function's reserved concurrency, None without. Sizes in MiB.
    """

    name: str
    arn: str
    version: str
    runtime: str
    handler: str
    code: str
    revision: str
    timeout_s: int
    memory_mb: int
    ephemeral_mb: int
    environment: dict[str, str] = field(default_factory=dict)
    reserved: int | None = None
    log_format: str = "Text"
    architecture: str = "x86_64"


@dataclass(slots=True)
class Invocation:
    """One event for one version. `invoked_arn` is the ARN that the caller named, in full."""

    function: FunctionVersion
    payload: bytes
    request_id: str
    invoked_arn: str
    source: Source = "sync"
    client_context: bytes | None = None
    """JSON, decoded from base64."""
    want_log: bool = False


@dataclass(slots=True)
class InvocationResult:
    """How an invocation ended: the function's answer, or the document of its error.

    `error` is what X-Amz-Function-Error says ("Unhandled"), None when the handler returned. `log_tail` are the last
    4 KB of its log, if they were asked for. Times in milliseconds; `init_ms` None for a warm worker.
    """

    payload: bytes
    error: str | None = None
    log_tail: bytes = b""
    duration_ms: float = 0.0
    init_ms: float | None = None
    max_memory_mb: int = 0


class Invoker(Protocol):
    """Runs functions."""

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        """Run it on a worker, warm or new.

        ApiError when it could not be run: TooManyRequestsException (429, with `Reason`) without a free slot,
        ServiceException (500) or the Runtime errors of the service. An error of the function is a result.

        When it returns, or has been cancelled, the function is not at work any more: a worker that has to be stopped
        for it (a timeout, a cancelled call) is dead by then. ServiceException is also the answer when the worker was
        stopped together with its pool, and is no failure of the function.
        """
        ...


class LocalClient(Protocol):
    """DynamoDB operations of this very process, without HTTP; they can name system tables."""

    async def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Run an operation, given and answered as its JSON documents. Raises the ApiError that it is answered with."""
        ...

    async def send(self, message: Any) -> Any:
        """Send a message of `hashrange.wire` to where it belongs; raises an ApiError that answers it."""
        ...


class CodeStore(Protocol):
    """Deployment packages, by the SHA-256 (hex) of their zip file."""

    async def put(self, package: bytes) -> str:
        """Keep a package; returns its SHA-256. Twice is harmless."""
        ...

    async def get(self, sha256: str) -> bytes:
        """The zip file. ApiError ResourceNotFoundException when it is not there."""
        ...

    async def remove(self, sha256: str) -> None:
        """Forget a package that no function refers to any more. It may be there for a while yet."""
        ...

    async def keep(self, sha256: str) -> None:
        """Take back a removal, if there was one: of a package that a function has begun to refer to."""
        ...


class FunctionDirectory(Protocol):
    """The functions there are, as this process knows them."""

    def resolve(self, name_or_arn: str, qualifier: str | None = None) -> FunctionVersion:
        """The version that a name, partial or full ARN (with a qualifier in it or beside it) stands for, now.

        An alias with routing weights is resolved with the directory's own chance. ApiError
        ResourceNotFoundException "Function not found: <arn>" when there is none, ResourceConflictException
        when it is not Active.
        """
        ...

    def event_invoke(self, name_or_arn: str, qualifier: str | None = None) -> dict[str, Any]:
        """The event invoke configuration in force: MaximumRetryAttempts, MaximumEventAgeInSeconds,
        DestinationConfig, with the service's defaults where nothing is set; DeadLetterConfig, if the function has one.
        """
        ...

    def subscribe(self, changed: Callable[[str], None]) -> None:
        """Be told the name of every function that is made, changed or deleted."""
        ...


class EventQueue(Protocol):
    """The durable queue of asynchronous invocations (InvocationType Event)."""

    async def put(
        self, function_arn: str, payload: bytes, request_id: str, client_context: bytes | None
    ) -> None:
        """Keep an event until it has been run, or given up. When this returns it is not lost any more."""
        ...


class Destinations(Protocol):
    """Where records of invocations go: OnSuccess and OnFailure, of event queue and mappings."""

    async def send(self, destination: str, document: dict[str, Any]) -> None:
        """Deliver a document to an ARN of a function or a table, or to an http(s) URL. ApiError when it cannot be."""
        ...


@dataclass(slots=True)
class TriggerMetrics:
    """What the pool counts: plain numbers by labels, rendered for /metrics by the composition root.

    invocations, errors, throttles, duration_ms (sum), concurrent, cold_starts: by function name. records, retries,
    dropped, filtered, iterator_age_ms: by (mapping UUID, shard id or ""). dead_letter_errors: by function or mapping.
    """

    invocations: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    throttles: dict[str, int] = field(default_factory=dict)
    duration_ms: dict[str, float] = field(default_factory=dict)
    concurrent: dict[str, int] = field(default_factory=dict)
    cold_starts: dict[str, int] = field(default_factory=dict)
    records: dict[tuple[str, str], int] = field(default_factory=dict)
    retries: dict[tuple[str, str], int] = field(default_factory=dict)
    dropped: dict[tuple[str, str], int] = field(default_factory=dict)
    filtered: dict[tuple[str, str], int] = field(default_factory=dict)
    iterator_age_ms: dict[tuple[str, str], float] = field(default_factory=dict)
    dead_letter_errors: dict[str, int] = field(default_factory=dict)
