"""What becomes of an event after each step: try again, wait, or tell those who want to know. Pure.

The rules are the service's (AWS Lambda Developer Guide, "How Lambda handles errors and retries with asynchronous
invocation"): errors of the function are counted and tried again after one and two minutes; throttles and errors of
the service are not counted, and are waited out for one second, doubling up to five minutes, until the event is too old.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from hashrange.errors import ApiError
from hashrange_router.triggers.contracts import InvocationResult
from hashrange_router.triggers.events.rows import Event

RETRIES_DEFAULT: Final = 2
AGE_DEFAULT_S: Final = 21_600
RETRY_DELAYS_S: Final = (60.0, 120.0)
WAIT_MAX_S: Final = 300.0
DELIVERIES_MAX: Final = 5
"""A destination that can be reached, but refuses, is tried so often."""

SUCCESS: Final = "Success"
EXHAUSTED: Final = "RetriesExhausted"
TOO_OLD: Final = "EventAgeExceeded"

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class EventConfig:
    """How a function's events are handled; destinations are ARNs or URLs, "" where nothing is to be told."""

    retries_max: int = RETRIES_DEFAULT
    age_max_s: int = AGE_DEFAULT_S
    on_success: str = ""
    on_failure: str = ""
    dead_letter: str = ""

    @staticmethod
    def of(document: Document) -> EventConfig:
        """From what `FunctionDirectory.event_invoke` says; `DeadLetterConfig` is that of the function."""
        destinations = document.get("DestinationConfig") or {}

        def target(name: str) -> str:
            return (destinations.get(name) or {}).get("Destination") or ""

        retries, age_s = document.get("MaximumRetryAttempts"), document.get("MaximumEventAgeInSeconds")
        return EventConfig(
            RETRIES_DEFAULT if retries is None else retries,
            AGE_DEFAULT_S if age_s is None else age_s,
            target("OnSuccess"),
            target("OnFailure"),
            (document.get("DeadLetterConfig") or {}).get("TargetArn") or "",
        )

    def too_old(self, event: Event, now_ms: int) -> bool:
        """Whether an event is not to be run any more."""
        return now_ms - event.put_ms > self.age_max_s * 1000


@dataclass(frozen=True, slots=True)
class Ended:
    """How the last run went: the version that ran, if one did, and its result or the error instead of one."""

    condition: str
    version: str = ""
    result: InvocationResult | None = None
    error: ApiError | None = None


def retry_delay_s(tries: int) -> float:
    """How long to wait after the `tries`-th error of the function (from 1)."""
    return RETRY_DELAYS_S[min(tries, len(RETRY_DELAYS_S)) - 1]


def wait_s(waits: int) -> float:
    """How long to wait after the `waits`-th throttle or service error in a row (from 1)."""
    return min(2.0 ** min(waits - 1, 10), WAIT_MAX_S)


def is_transient(error: ApiError) -> bool:
    """Whether a call that failed like this may succeed later: throttled, in the midst of a change, or a fault here."""
    return (
        error.status >= 500
        or error.status == 429
        or error.type_name in ("ResourceConflictException", "ThrottlingException", "TooManyRequestsException")
        or error.type_name.endswith(("ThroughputExceededException", "LimitExceeded", "InProgressException"))
    )


def deliveries(
    event: Event, config: EventConfig, ended: Ended, payload: bytes, now_ms: int
) -> list[Document]:
    """What is to be sent: [{"to": destination, "document": ...}], two at most."""
    if ended.condition == SUCCESS:
        found = [(config.on_success, record)]
    else:
        found = [(config.on_failure, record), (config.dead_letter, dead_letter)]
    return [{"to": to, "document": make(event, ended, payload, now_ms)} for to, make in found if to]


def record(event: Event, ended: Ended, payload: bytes, now_ms: int) -> Document:
    """The document for OnSuccess and OnFailure (AWS Lambda Developer Guide, "Invocation record")."""
    document: Document = {
        "version": "1.0",
        "timestamp": timestamp(now_ms),
        "requestContext": {
            "requestId": event.id,
            "functionArn": qualified(event.arn),
            "condition": ended.condition,
            "approximateInvokeCount": event.invokes,
        },
        "requestPayload": as_json(payload),
    }
    if ended.result is not None:
        context: Document = {"statusCode": 200, "executedVersion": ended.version}
        if ended.result.error is not None:
            context["functionError"] = ended.result.error
        document["responseContext"] = context
        document["responsePayload"] = as_json(ended.result.payload)
    elif ended.error is not None:
        document["responseContext"] = {
            "statusCode": ended.error.status,
            "functionError": ended.error.type_name,
        }
        document["responsePayload"] = {"errorMessage": ended.error.message}
    return document


def dead_letter(event: Event, ended: Ended, payload: bytes, now_ms: int) -> Document:
    """The document for a dead-letter target: the event, with the attributes that the service gives the message."""
    status, message = 200, ended.condition
    if ended.error is not None:
        status, message = ended.error.status, ended.error.message or ended.error.type_name
    elif ended.result is not None:
        response = as_json(ended.result.payload)
        message = str(response.get("errorMessage", message)) if isinstance(response, dict) else str(response)
    return {
        "RequestID": event.id,
        "ErrorCode": status,
        "ErrorMessage": message[:1024],
        "timestamp": timestamp(now_ms),
        "functionArn": qualified(event.arn),
        "body": as_json(payload),
    }


def as_json(data: bytes) -> Any:
    """A payload as part of a document; what is no JSON becomes a string, what is empty null."""
    if not data:
        return None
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return data.decode("utf-8", "replace")


def timestamp(now_ms: int) -> str:
    """A moment as the documents have it, UTC."""
    moment = datetime.fromtimestamp(now_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{now_ms % 1000:03d}Z"


def qualified(arn: str) -> str:
    """The ARN of a function with the qualifier that it means."""
    return arn if arn.count(":") != 6 else f"{arn}:$LATEST"


def name_of(arn: str) -> str:
    """The name of the function that an ARN is of."""
    return arn.split(":")[6] if arn.count(":") >= 6 else arn
