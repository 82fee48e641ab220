"""One worker: a process that runs one version of one function, one invocation at a time.

    STARTING --asks for an event--> IDLE --run--> BUSY --answers--> RETURNING --asks--> IDLE
        any of them --the process ends--> ENDED

A worker tells its owner when it is idle and when it has ended. Outcomes that mean "kill it" (a timeout, a cancelled
call) count only when the process has ended: whoever is told may start the same work elsewhere at once.
"""

from __future__ import annotations

import asyncio
import enum
import json
import os
import zlib
from pathlib import Path
from typing import Protocol

import orjson

from hashrange.errors import ApiError
from hashrange.runtime.clock import Clock
from hashrange_router.triggers import environment, reports
from hashrange_router.triggers.contracts import FunctionVersion, Invocation, InvocationResult
from hashrange_router.triggers.guard import Exit, Guard, Launch
from hashrange_router.triggers.logs import Capture, FunctionLog
from hashrange_router.triggers.runtime_api import RuntimeApi
from hashrange_router.triggers.settings import PoolSettings

_READ = 4096
"""Of what a worker writes at a time: many short lines of it keep the event loop for some milliseconds."""
_PIPE = 65_536
"""What a pipe holds."""
_LEAVE_S = 0.25
"""A runtime that reported a failed start ends by itself; it is killed when it has not after so long."""
_USERS = 10_000
RETURN_S = 0.02
"""A worker that has answered asks for the next event within a millisecond or so: for so long nobody starts another
for an invocation that it could serve."""


class State(enum.Enum):
    """See the module."""

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    RETURNING = "returning"
    ENDED = "ended"


class WorkerOwner(Protocol):
    """What a worker tells."""

    def worker_idle(self, worker: Worker) -> None:
        """It waits for an event."""
        ...

    def worker_ended(self, worker: Worker) -> None:
        """Its process has ended. It never began if `worker.never_ready`."""
        ...


class Worker:
    """See the module. Implements RuntimeEvents."""

    def __init__(
        self,
        number: int,
        function: FunctionVersion,
        owner: WorkerOwner,
        guard: Guard,
        log: FunctionLog,
        clock: Clock,
        settings: PoolSettings,
    ) -> None:
        self.number = number
        self.function = function
        self.state = State.STARTING
        self.idle_since = 0.0
        self.rested = False
        """Whether it has ever waited in vain: then its start is no part of an invocation."""
        self.returns_until = 0.0
        """It has answered, and is expected to ask again by then; 0 when it is doing something else."""
        self.never_ready = True
        self.exit: Exit | None = None
        self._owner = owner
        self._guard = guard
        self._clock = clock
        self._settings = settings
        self._api = RuntimeApi(self)
        self._lines = reports.Lines(function)
        day = reports.timestamp(clock.wall_ms())[:10].replace("-", "/")
        self._stream = f"{day}/[{function.version}]{os.urandom(16).hex()}"
        self._capture = Capture(log, clock, self._stream)
        self._log = log
        self._output_fd = -1
        self._started_at = 0.0
        self._init_ms: float | None = None
        self._init_error: bytes | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._late = False  # killed because it took too long
        self._invocation: Invocation | None = None
        self._first = True
        self._began_at = 0.0
        self._done: asyncio.Future[InvocationResult] | None = None
        self._ended = asyncio.Event()
        self._closing: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> bool:
        """Whether it asks for an event."""
        return self.state is State.IDLE

    @property
    def alive(self) -> bool:
        """Whether its process has not ended yet."""
        return self.state is not State.ENDED

    async def start(self, task_root: Path) -> None:
        """Start the process. ApiError or OSError when it cannot be; its failing later is told to the owner."""
        argv = environment.command(self.function, task_root)
        await self._api.start()
        output, log_fd = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(output, False)
        self._output_fd = output
        loop = asyncio.get_running_loop()
        loop.add_reader(output, self._readable)
        variables = environment.variables(
            self.function, self._settings, task_root, self._api.address, self._stream
        )
        launch = Launch(
            argv, variables, task_root, self.function.memory_mb, self.function.ephemeral_mb, self._uid()
        )
        self._started_at = self._clock.monotonic()
        self._timer = loop.call_later(self._start_limit_s(), self._too_late)
        self._guard.spawn(self.number, launch, log_fd, self._exited)

    def _start_limit_s(self) -> float:
        """The service begins a start that took too long again, within the time of the invocation."""
        return max(self._settings.init_timeout_s, self.function.timeout_s)

    def _uid(self) -> int | None:
        if not self._settings.own_user or os.geteuid() != 0:
            return None
        return self._settings.first_uid + zlib.crc32(self.function.name.encode()) % _USERS

    def kill(self) -> None:
        """End the process, whatever it is doing."""
        self._guard.kill(self.number, "stop")

    async def closed(self) -> None:
        """Until the process has ended and its port is closed."""
        await self._ended.wait()
        if self._closing is not None:
            await self._closing

    # Invocations.

    async def run(self, invocation: Invocation) -> InvocationResult:
        """Run one event; the worker must be idle. Cancelled, it returns when the process has been killed.

        ApiError ServiceException when the worker was killed together with the pool's others.
        """
        if self.state is not State.IDLE:
            raise RuntimeError("a worker runs one invocation at a time")
        self.state = State.BUSY
        self._invocation = invocation
        loop = asyncio.get_running_loop()
        self._done = loop.create_future()
        if self._first:
            self._capture.request_id = invocation.request_id  # what it wrote while starting belongs to it
        else:
            self._capture.begin(invocation.request_id)
        wall_ms = self._clock.wall_ms()
        self._capture.platform(self._lines.start(invocation.request_id, wall_ms))
        timeout_s = self.function.timeout_s
        headers = _event_headers(invocation, wall_ms + timeout_s * 1000)
        self._timer = loop.call_later(timeout_s, self._too_late)
        self._began_at = self._clock.monotonic()
        self._api.deliver(invocation.request_id, invocation.payload, headers)
        try:
            return await self._done
        except asyncio.CancelledError:
            self.kill()
            await asyncio.shield(self._ended.wait())
            raise

    def failed_start(self, invocation: Invocation) -> InvocationResult:
        """The result of an invocation that waited for this worker, whose start failed. ApiError as for run()."""
        if self.exit is not None and self.exit.reason == "silence":
            raise _interrupted()
        request_id = invocation.request_id
        self._capture.request_id = request_id
        document, status, kind = self._why_ended(request_id)
        wall_ms = self._clock.wall_ms()
        init_ms = self._init_ms or 0.0
        self._capture.platform(self._lines.failed_init(wall_ms, init_ms, status, kind))
        self._capture.platform(self._lines.start(request_id, wall_ms))
        self._capture.platform(self._lines.end(request_id))
        used_mb = self.exit.peak_mb if self.exit is not None else 0
        self._capture.platform(self._lines.report(request_id, wall_ms, init_ms, used_mb, None, status, kind))
        tail = self._capture.tail() if invocation.want_log else b""
        return InvocationResult(document, "Unhandled", tail, init_ms, init_ms, used_mb)

    def _finish(self, payload: bytes, status: str = "", error_type: str = "", error: bool = False) -> None:
        """The invocation is over: log it, and give its result to whoever waits."""
        invocation, done = self._invocation, self._done
        assert invocation is not None and done is not None
        duration_ms = (self._clock.monotonic() - self._began_at) * 1000
        self._stop_timer()
        self._invocation = self._done = None
        self._drain()
        init_ms = self._init_ms if self._first and not self.rested else None
        self._first = False
        used_mb = self.exit.peak_mb if self.exit is not None else self._guard.memory_mb(self.number)
        request_id = invocation.request_id
        self._capture.platform(self._lines.end(request_id))
        self._capture.platform(
            self._lines.report(
                request_id, self._clock.wall_ms(), duration_ms, used_mb, init_ms, status, error_type
            )
        )
        tail = self._capture.tail() if invocation.want_log else b""
        if not done.done():
            done.set_result(
                InvocationResult(payload, "Unhandled" if error else None, tail, duration_ms, init_ms, used_mb)
            )

    # What the runtime tells.

    def polling(self) -> None:
        """It asks for an event: it is ready, or ready again."""
        if self.state is State.STARTING:
            self._stop_timer()
            self._init_ms = (self._clock.monotonic() - self._started_at) * 1000
            self.never_ready = False
        elif self.state is not State.RETURNING:
            return  # a second connection of the same runtime, or one that forgot to answer: its time runs out
        self.state = State.IDLE
        self.returns_until = 0.0
        self.idle_since = self._clock.monotonic()
        self._owner.worker_idle(self)

    def answered(self, payload: bytes) -> None:
        """The handler returned."""
        if self.state is State.BUSY and not self._late:
            self._return()
            self._finish(payload)

    def failed(self, document: bytes) -> None:
        """The handler raised."""
        if self.state is State.BUSY and not self._late:
            self._return()
            self._finish(document, error=True)

    def _return(self) -> None:
        self.state = State.RETURNING
        self.returns_until = self._clock.monotonic() + RETURN_S

    def init_failed(self, document: bytes) -> None:
        """The runtime could not be initialised; it ends now."""
        self._init_error = document
        asyncio.get_running_loop().call_later(_LEAVE_S, self._guard.kill, self.number)

    # Time, and the end.

    def _too_late(self) -> None:
        self._late = True
        self.kill()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _exited(self, exit_: Exit) -> None:
        """The process has ended, and every process it had started."""
        self.exit = exit_
        self._stop_timer()
        self._drain()
        was, self.state = self.state, State.ENDED
        if was is State.STARTING:
            self._init_ms = (self._clock.monotonic() - self._started_at) * 1000
        elif was is State.BUSY:
            self._interrupted_by_end()
        self._capture.finish()
        self._log.flush()
        self._close_output()
        self._closing = asyncio.get_running_loop().create_task(self._api.stop())
        self._ended.set()
        self._owner.worker_ended(self)

    def _interrupted_by_end(self) -> None:
        """The process ended in the middle of an invocation."""
        invocation, done = self._invocation, self._done
        assert invocation is not None and done is not None and self.exit is not None
        if self.exit.reason == "silence" and not self._late:
            if not done.done():
                done.set_exception(_interrupted())
            return
        document, status, kind = self._why_ended(invocation.request_id)
        self._finish(document, status, kind, error=True)

    def _why_ended(self, request_id: str) -> tuple[bytes, str, str]:
        """The document of the error, and the status and error type of the report."""
        assert self.exit is not None
        if self._late:
            limit_s = self._start_limit_s() if self.never_ready else self.function.timeout_s
            text = reports.timed_out(self._clock.wall_ms(), request_id, limit_s)
            self._capture.platform(text)
            return orjson.dumps({"errorMessage": text}), "timeout", ""
        if self._init_error is not None:
            document = reports.with_request_id(self._init_error, request_id)
            return document, "error", _error_type(document)
        if self.exit.error:
            message = f"RequestId: {request_id} Error: {self.exit.error}"
            return reports.error("Runtime.InvalidEntrypoint", message), "error", "Runtime.InvalidEntrypoint"
        if self.exit.reason == "ephemeral":
            self._capture.platform(
                f"/tmp held more than {self.function.ephemeral_mb} MB: the worker was killed"
            )
        message = reports.exit_message(request_id, self.exit.status)
        self._capture.platform(message)
        return reports.error("Runtime.ExitError", message), "error", "Runtime.ExitError"

    # Output.

    def _readable(self) -> None:
        try:
            data = os.read(self._output_fd, _READ)
        except BlockingIOError:
            return
        if data:
            self._capture.feed(data)
        else:
            self._close_output()

    def _drain(self) -> None:
        """Take what has been written and not been read yet, up to what a pipe holds."""
        if self._output_fd < 0:
            return
        left = _PIPE  # and no more: what the handler has left running may write faster than it is read here
        try:
            while left > 0 and (data := os.read(self._output_fd, left)):
                self._capture.feed(data)
                left -= len(data)
        except BlockingIOError:
            pass

    def _close_output(self) -> None:
        if self._output_fd >= 0:
            asyncio.get_running_loop().remove_reader(self._output_fd)
            os.close(self._output_fd)
            self._output_fd = -1

    async def abandon(self) -> None:
        """Take back a start that did not get as far as the process."""
        self.state = State.ENDED
        self._close_output()
        await self._api.stop()
        self._ended.set()


def _interrupted() -> ApiError:
    return ApiError(
        "ServiceException",
        "The worker was ended together with its pool",
        status=500,
        fields={"Type": "Service"},
    )


def _error_type(document: bytes) -> str:
    try:
        parsed = orjson.loads(document)
    except orjson.JSONDecodeError:
        return ""
    kind = parsed.get("errorType") if isinstance(parsed, dict) else None
    return kind if isinstance(kind, str) else ""


def _event_headers(invocation: Invocation, deadline_ms: int) -> bytes:
    """The header lines that come with an event."""
    trace = os.urandom(16).hex()
    lines = [
        f"Lambda-Runtime-Aws-Request-Id: {_clean(invocation.request_id)}",
        f"Lambda-Runtime-Deadline-Ms: {deadline_ms}",
        f"Lambda-Runtime-Invoked-Function-Arn: {_clean(invocation.invoked_arn)}",
        f"Lambda-Runtime-Trace-Id: Root=1-{deadline_ms // 1000:08x}-{trace[:24]};Parent={trace[16:]};Sampled=0",
    ]
    if invocation.client_context is not None:
        try:
            context = json.dumps(orjson.loads(invocation.client_context))  # ASCII on one line
        except orjson.JSONDecodeError:
            context = ""
        if context:
            lines.append(f"Lambda-Runtime-Client-Context: {context}")
    return "\r\n".join(lines).encode() + b"\r\n"


def _clean(text: str) -> str:
    """A header's value cannot end its line."""
    return text.replace("\r", "").replace("\n", "")
