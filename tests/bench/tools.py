"""One measurement of one operation on one server: with wrk, or with the load generator of this repository.

wrk spends 10 µs of processor time a request in C and disturbs the server least; it gets a Lua script with the
very bytes the load generator would send. Both count answers that are not 200 as errors.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from hashrange_client.load import shape
from hashrange_client.load.requests import Head, templates
from hashrange_client.load.run import generate
from hashrange_client.load.settings import LoadSettings

from tests.bench.servers import Server

SUMMARY_MARK = "SUMMARY "


@dataclass(frozen=True)
class Sample:
    """What one run has measured; times in µs, `cpu_us` is the server's processor time a request."""

    requests_per_s: float
    p50_us: float
    p99_us: float
    cpu_us: float | None
    errors: int
    requests: int = 0


def measure(tool: str, server: Server, settings: LoadSettings, scratch: Path) -> Sample:
    """Run `settings` against the server with `wrk` or `load`."""
    if tool == "load":
        result = asyncio.run(generate(settings, server_pid=server.pid or None))
        figures = next(iter(result.to_json()["operations"].values()), None)
        if figures is None:
            return Sample(0.0, 0.0, 0.0, None, result.errors.total())
        return Sample(
            result.rate,
            figures["p50_us"],
            figures["p99_us"],
            result.server_cpu_us,
            result.errors.total(),
            result.requests,
        )
    return _measure_with_wrk(server, settings, scratch)


def has_wrk() -> bool:
    """Whether wrk is installed."""
    return shutil.which("wrk") is not None


def _measure_with_wrk(server: Server, settings: LoadSettings, scratch: Path) -> Sample:
    script = scratch / f"{server.name}-{settings.workload}-{settings.items}.lua"
    script.write_text(lua_script(settings))
    command = ["wrk", "-t1", f"-c{settings.connections}", f"-d{settings.duration_s:g}s", "--timeout", "10s"]
    before = server.cpu_s()
    run = subprocess.run(
        [*command, "-s", str(script), server.url], capture_output=True, text=True, check=True
    )
    after = server.cpu_s()
    line = next(line for line in run.stdout.splitlines() if line.startswith(SUMMARY_MARK))
    summary = json.loads(line.removeprefix(SUMMARY_MARK))
    cpu = None
    if before is not None and after is not None and summary["requests"]:
        cpu = (after - before) * 1e6 / summary["requests"]
    return Sample(
        requests_per_s=summary["requests"] / (summary["duration_us"] / 1e6),
        p50_us=summary["p50_us"],
        p99_us=summary["p99_us"],
        cpu_us=cpu,
        errors=summary["errors"],
        requests=summary["requests"],
    )


def lua_script(settings: LoadSettings) -> str:
    """A script that sends the settings' workload (one operation) with random keys."""
    template = templates(settings, Head(settings))[settings.workload]
    before, between, after, sorted_key = template.parts()
    items = settings.items - settings.items % shape.PER_PARTITION
    key = f'string.format("p%08d", math.floor(n / {shape.PER_PARTITION}))'
    sort = f'"s" .. (n % {shape.PER_PARTITION})' if sorted_key else '""'
    return f"""
local before, between, after = {_lua(before)}, {_lua(between)}, {_lua(after)}
function init() math.randomseed({settings.seed}) end
function request()
  local n = math.random(0, {items - 1})
  return before .. {key} .. between .. {sort} .. after
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '{SUMMARY_MARK}{{"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "errors": %d}}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.status + e.connect + e.read + e.write + e.timeout))
end
"""


def _lua(text: bytes) -> str:
    """A Lua string literal of any bytes."""
    return '"' + "".join(f"\\{byte:03d}" for byte in text) + '"'
