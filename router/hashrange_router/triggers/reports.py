"""What the service says of an invocation: lines of the log, and documents of errors that the handler did not make.

Pure functions; texts as the service words them. Times in milliseconds, memory in MiB.
"""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime
from typing import Any

import orjson

from hashrange_router.triggers.contracts import FunctionVersion

RESPONSE_BYTES_MAX = 6 * 1024 * 1024 + 100
"""Largest answer of a handler that is not streamed; the service allows 100 bytes beyond 6 MiB."""
STREAM_BYTES_MAX = 20 * 1024 * 1024
"""Largest streamed answer."""


def timestamp(wall_ms: int) -> str:
    """ISO 8601 in UTC with milliseconds."""
    moment = datetime.fromtimestamp(wall_ms / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{wall_ms % 1000:03d}Z"


class Lines:
    """The platform's own lines in the log of one function, in its format: Text or JSON."""

    def __init__(self, function: FunctionVersion) -> None:
        self._version = function.version
        self._memory_mb = function.memory_mb
        self._json = function.log_format == "JSON"

    def start(self, request_id: str, wall_ms: int) -> str:
        """Before the handler."""
        if self._json:
            return _record(wall_ms, "platform.start", {"requestId": request_id, "version": self._version})
        return f"START RequestId: {request_id} Version: {self._version}"

    def end(self, request_id: str) -> str | None:
        """After the handler."""
        return None if self._json else f"END RequestId: {request_id}"

    def report(
        self,
        request_id: str,
        wall_ms: int,
        duration_ms: float,
        used_mb: int,
        init_ms: float | None,
        status: str = "",
        error_type: str = "",
    ) -> str:
        """What it took. `status`: "" when all is well, else "timeout" or "error"."""
        billed_ms = -(-int(duration_ms * 1000 + (init_ms or 0) * 1000) // 1000) or 1
        if self._json:
            metrics = {
                "durationMs": round(duration_ms, 3),
                "billedDurationMs": billed_ms,
                "memorySizeMB": self._memory_mb,
                "maxMemoryUsedMB": used_mb,
            } | ({} if init_ms is None else {"initDurationMs": round(init_ms, 3)})
            record = {"requestId": request_id, "metrics": metrics, "status": status or "success"}
            return _record(
                wall_ms, "platform.report", record | ({"errorType": error_type} if error_type else {})
            )
        parts = [
            f"REPORT RequestId: {request_id}",
            f"Duration: {duration_ms:.2f} ms",
            f"Billed Duration: {billed_ms} ms",
            f"Memory Size: {self._memory_mb} MB",
            f"Max Memory Used: {used_mb} MB",
        ]
        if init_ms is not None:
            parts.append(f"Init Duration: {init_ms:.2f} ms")
        if status:
            parts.append(f"Status: {status}")
        if error_type:
            parts.append(f"Error Type: {error_type}")
        return "\t".join(parts) + "\t"

    def failed_init(self, wall_ms: int, init_ms: float, status: str, error_type: str) -> str:
        """A worker that did not get as far as asking for an event."""
        if self._json:
            record = {"phase": "init", "status": status, "metrics": {"durationMs": round(init_ms, 3)}}
            return _record(wall_ms, "platform.initReport", record)
        text = f"INIT_REPORT Init Duration: {init_ms:.2f} ms\tPhase: init\tStatus: {status}"
        return text + (f"\tError Type: {error_type}" if error_type else "")


def _record(wall_ms: int, kind: str, record: dict[str, Any]) -> str:
    return orjson.dumps({"time": timestamp(wall_ms), "type": kind, "record": record}).decode()


def error(error_type: str, message: str) -> bytes:
    """The document of an error that is not the handler's."""
    return orjson.dumps({"errorType": error_type, "errorMessage": message})


def timed_out(wall_ms: int, request_id: str, timeout_s: float) -> str:
    """Line of the log and message of the error of a handler that took too long."""
    return f"{timestamp(wall_ms)} {request_id} Task timed out after {timeout_s:.2f} seconds"


def exit_message(request_id: str, status: int) -> str:
    """Message of the error of a process that ended; `status` as wait gives it."""
    prefix = f"RequestId: {request_id} Error: Runtime exited "
    if os.WIFSIGNALED(status):
        return prefix + "with error: signal: " + signal_name(os.WTERMSIG(status))
    code = os.WEXITSTATUS(status)
    if code == 0:
        return prefix + "without providing a reason"
    return prefix + f"with error: exit status {code}"


_SIGNALS = {
    signal.SIGKILL: "killed",
    signal.SIGTERM: "terminated",
    signal.SIGSEGV: "segmentation fault",
    signal.SIGABRT: "aborted",
    signal.SIGBUS: "bus error",
    signal.SIGFPE: "floating point exception",
    signal.SIGILL: "illegal instruction",
    signal.SIGTRAP: "trace/breakpoint trap",
    signal.SIGINT: "interrupt",
}


def signal_name(number: int) -> str:
    """A signal as the service's runtime, which is written in Go, calls it."""
    return _SIGNALS.get(signal.Signals(number), f"signal {number}") if number in _KNOWN else str(number)


_KNOWN = {int(known) for known in signal.Signals}


def too_large(limit: int) -> bytes:
    """The error of an answer that is beyond what is allowed."""
    return error(
        "Function.ResponseSizeTooLarge",
        f"Response payload size exceeded maximum allowed payload size ({limit} bytes).",
    )


def with_request_id(document: bytes, request_id: str) -> bytes:
    """The error document of a runtime that failed before it knew a request, for the request that it failed."""
    try:
        parsed = orjson.loads(document)
    except orjson.JSONDecodeError:
        return error("Runtime.Unknown", document.decode(errors="replace"))
    if isinstance(parsed, dict) and not parsed.get("requestId"):
        parsed["requestId"] = request_id
    return orjson.dumps(parsed)
