"""A pool with real workers for tests: functions from texts, an event loop in a thread, plain calls.

with laboratory(tmp_path) as lab:
    result = lab.invoke(lab.python("def handler(event, context): return 1"))
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import threading
import uuid
import zipfile
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeVar

from hashrange_router.triggers.contracts import FunctionVersion, Invocation, InvocationResult, TriggerMetrics
from hashrange_router.triggers.pool import Pool
from hashrange_router.triggers.settings import PoolSettings

from hashrange.errors import ApiError, resource_not_found
from hashrange.runtime.clock import SystemClock

T = TypeVar("T")

WAIT_S = 60.0


def package(files: dict[str, str]) -> bytes:
    """A deployment package of these files, all executable."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o100755 << 16
            archive.writestr(entry, text)
    return buffer.getvalue()


class Shelf:
    """A CodeStore in memory."""

    def __init__(self) -> None:
        self.packages: dict[str, bytes] = {}
        self.reads = 0

    async def put(self, package: bytes) -> str:
        sha256 = hashlib.sha256(package).hexdigest()
        self.packages[sha256] = package
        return sha256

    async def get(self, sha256: str) -> bytes:
        self.reads += 1
        if sha256 not in self.packages:
            raise resource_not_found()
        return self.packages[sha256]

    async def remove(self, sha256: str) -> None:
        self.packages.pop(sha256, None)


class Register:
    """A FunctionDirectory in memory."""

    def __init__(self) -> None:
        self.functions: dict[str, FunctionVersion] = {}
        self.subscribers: list[Callable[[str], None]] = []

    def resolve(self, name_or_arn: str, qualifier: str | None = None) -> FunctionVersion:
        for function in self.functions.values():
            if name_or_arn in (function.name, function.arn):
                return function
        raise resource_not_found("Function not found: " + name_or_arn)

    def event_invoke(self, name_or_arn: str, qualifier: str | None = None) -> dict[str, Any]:
        return {}

    def subscribe(self, changed: Callable[[str], None]) -> None:
        self.subscribers.append(changed)


async def function_of(shelf: Shelf, source: str, event: Any) -> tuple[FunctionVersion, Invocation]:
    """A Python function that may take ten minutes, and a call of it."""
    code = await shelf.put(package({"app.py": source}))
    arn = "arn:aws:lambda:us-east-1:000000000000:function:f"
    function = FunctionVersion("f", arn, "$LATEST", "python3.11", "app.handler", code, "1", 600, 256, 512)
    return function, Invocation(function, json.dumps(event).encode(), str(uuid.uuid4()), arn)


class Lab:
    """A started pool, called from the test's thread."""

    def __init__(self, settings: PoolSettings) -> None:
        self.shelf = Shelf()
        self.register = Register()
        self.metrics = TriggerMetrics()
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.settings = settings
        self.pool = self.run(self._make())

    async def _make(self) -> Pool:
        pool = Pool(
            self.register, self.shelf, settings=self.settings, metrics=self.metrics, clock=SystemClock()
        )
        await pool.start()
        return pool

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the pool's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(WAIT_S)

    def close(self) -> None:
        """Stop the pool and its loop."""
        self.run(self.pool.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    # Functions.

    def function(self, runtime: str, handler: str, files: dict[str, str], **settings: Any) -> FunctionVersion:
        """A function with a new name, in the directory."""
        name = settings.pop("name", "f" + uuid.uuid4().hex[:12])
        code = self.run(self.shelf.put(package(files)))
        function = FunctionVersion(
            name=name,
            arn=f"arn:aws:lambda:us-east-1:000000000000:function:{name}",
            version="$LATEST",
            runtime=runtime,
            handler=handler,
            code=code,
            revision=uuid.uuid4().hex,
            timeout_s=settings.pop("timeout_s", 20),
            memory_mb=settings.pop("memory_mb", 256),
            ephemeral_mb=settings.pop("ephemeral_mb", 512),
            **settings,
        )
        self.register.functions[name] = function
        return function

    def python(self, source: str, **settings: Any) -> FunctionVersion:
        """A Python function whose module is `source`, with `handler` in it."""
        return self.function("python3.11", "app.handler", {"app.py": source}, **settings)

    def node(self, source: str, name: str = "index.js", **settings: Any) -> FunctionVersion:
        """A Node function whose module is `source`, with `handler` in it."""
        return self.function("nodejs20.x", "index.handler", {name: source}, **settings)

    def update(self, function: FunctionVersion, **changes: Any) -> FunctionVersion:
        """Another revision of a function, told to the pool."""
        changed = replace(function, revision=uuid.uuid4().hex, **changes)
        self.register.functions[function.name] = changed
        for subscriber in self.register.subscribers:
            self.loop.call_soon_threadsafe(subscriber, function.name)
        return changed

    # Invocations.

    def invocation(self, function: FunctionVersion, event: Any = None, **more: Any) -> Invocation:
        """An invocation of it with an event."""
        return Invocation(function, json.dumps(event).encode(), str(uuid.uuid4()), function.arn, **more)

    def invoke(self, function: FunctionVersion, event: Any = None, **more: Any) -> InvocationResult:
        """Run it once."""
        return self.run(self.pool.invoke(self.invocation(function, event, want_log=True, **more)))

    def begin(self, function: FunctionVersion, event: Any = None) -> Future[InvocationResult]:
        """Begin to run it; returns when a worker is at work."""
        invocation = self.invocation(function, event)
        call = asyncio.run_coroutine_threadsafe(self.pool.invoke(invocation), self.loop)
        start = f"START RequestId: {invocation.request_id} Version: {function.version}"
        until(lambda: start in self.log(function), "it runs")
        return call

    def value(self, function: FunctionVersion, event: Any = None, **more: Any) -> Any:
        """Run it once; what it returned."""
        result = self.invoke(function, event, **more)
        assert result.error is None, (result.payload, result.log_tail)
        return json.loads(result.payload)

    def failure(self, function: FunctionVersion, event: Any = None) -> dict[str, Any]:
        """Run it once; the document of its error."""
        result = self.invoke(function, event)
        assert result.error == "Unhandled", result
        document = json.loads(result.payload)
        assert isinstance(document, dict)
        return document

    def together(self, function: FunctionVersion, count: int) -> list[InvocationResult | BaseException]:
        """Run it several times at once."""

        async def work() -> list[InvocationResult | BaseException]:
            calls = [self.pool.invoke(self.invocation(function)) for _ in range(count)]
            return await asyncio.gather(*calls, return_exceptions=True)

        return self.run(work())

    def workers(self) -> int:
        """Worker processes that live."""
        counts = self.pool.statistics()
        return counts["workers_idle"] + counts["workers_busy"] + counts["workers_starting"]

    def log(self, function: FunctionVersion) -> list[str]:
        """The texts in a function's log."""
        return [entry.text for entry in self.pool.logs.read(function.name, limit=10_000)[0]]


@contextmanager
def laboratory(work_dir: Path, **settings: Any) -> Iterator[Lab]:
    """A pool that works in `work_dir`, stopped at the end."""
    lab = Lab(PoolSettings(work_dir, **settings))
    try:
        yield lab
    finally:
        lab.close()


def reason_of(error: object) -> Any:
    """The Reason of a TooManyRequestsException."""
    assert isinstance(error, ApiError)
    assert (error.type_name, error.status) == ("TooManyRequestsException", 429)
    assert error.fields is not None
    return error.fields["Reason"]


def until(condition: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    """Wait for a condition."""
    deadline = monotonic() + timeout_s
    while not condition():
        assert monotonic() < deadline, what
        sleep(0.02)
