"""Where the processor time of a replicated PutItem goes: by process and package, from py-spy's samples.

The loop's thread of the router, the leader and a follower is sampled under load, native frames included. A sample
belongs to the package of its innermost frame that has one; what runs inside a system call is left out, because a
sample cannot tell waiting from working. The shares are then applied to the user time that the kernel has accounted to
that thread, beside its kernel time, the thread that syncs the log, and RocksDB's own threads, which py-spy cannot see.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.cluster.load import Result, Workload, run_once
from tests.bench.cluster.scene import Scene, say

SAMPLES_PER_S = 200
WORKLOAD = Workload("PutItem", "put")
LOOP_MARK = "run (hashrange/runtime/loop.py"
KERNEL, SYNC, ENGINE_THREADS, REST = "kernel", "log sync thread", "RocksDB threads", "rest"

PACKAGES: tuple[tuple[str, str], ...] = (
    ("http", r"hashrange_router/http/"),
    ("auth", r"hashrange_router/auth/"),
    ("json", r"orjson|/json/"),
    ("validation, model", r"hashrange_router/api/(validate|rules|model|prefix|deep)|hashrange/(model|expr)/"),
    ("api", r"hashrange_router/|hashrange/cli/front"),
    ("routing", r"hashrange/routing/"),
    (
        "codec",
        r"hashrange/wire/|hashrange_node/raft_codec|replica/effects|msgpack|unpack\.h|_cmsgpack|_upb|google/",
    ),
    ("rpc", r"hashrange/runtime/rpc/"),
    ("raft", r"hashrange_node/raft/"),
    ("log", r"hashrange_node/log/|replica/(group_log|log_use)"),
    ("RocksDB", r"rocksdict|rocksdb|hashrange_node/storage/"),
    ("replica, driver, applier", r"hashrange_node/|hashrange/cli/node_server"),
    ("event loop", r"loop\.c|linux\.c|core\.c|stream\.c|asyncio/|hashrange/runtime/loop"),
    ("metrics, clock, stamps", r"hashrange/runtime/|prometheus"),
    ("garbage collector", r"gc_collect|gcmodule"),
)
_PATTERNS = [(name, re.compile(pattern)) for name, pattern in PACKAGES]
_SYSTEM_CALL = re.compile(
    r"^(read|write|readv|writev|send|sendto|sendmsg|recv|recvfrom|recvmsg|epoll_\w+|fdatasync|fsync|pwrite\w*|pread\w*|"
    r"futex|syscall|sem_\w+|__libc_\w+) \(libc"
)
_LINE = re.compile(r"^(.*) \(((?:hashrange|tests)[^)]*\.py:\d+)\)$")


@dataclass
class Profile:
    """Samples of one process: by package, and by line of this project for what ran directly under it."""

    process: str
    role: str
    packages: Counter[str] = field(default_factory=Counter)
    lines: Counter[str] = field(default_factory=Counter)
    functions: Counter[str] = field(default_factory=Counter)
    samples: int = 0

    def user_us(self, result: Result) -> dict[str, float]:
        """Microseconds a request by package, from the processor time of a run without py-spy."""
        used = result.process_us(self.process)
        total = sum(self.packages.values()) or 1
        found = {name: used.loop_user * count / total for name, count in self.packages.most_common()}
        found[KERNEL] = used.loop_system
        found[SYNC] = used.other
        found[ENGINE_THREADS] = used.engine
        return found


def available() -> bool:
    """Whether py-spy is installed."""
    return _program() is not None


def _program() -> str | None:
    """Where py-spy is: beside the interpreter, or on the path."""
    beside = Path(sys.executable).parent / "py-spy"
    return str(beside) if beside.exists() else shutil.which("py-spy")


def take(scene: Scene, seconds: int, scratch: Path, tool: str, keep: Path | None = None) -> list[Profile]:
    """Sample router, leader and one follower, one after the other, under PutItem load."""
    roles = scene.roles()
    pids = scene.pids()
    found: list[Profile] = []
    for role in ("router", "leader", "follower"):
        name = next(each for each, has in sorted(roles.items()) if has == role)
        say(f"sampling {name}, the {role}, for {seconds} s")
        raw = (keep or scratch) / f"profile-{role}.raw"
        recorder = threading.Thread(target=_record, args=(pids[name], seconds, raw))
        recorder.start()
        run_once(scene, WORKLOAD, seconds + 2, scratch, tool)
        recorder.join()
        if raw.exists():
            found.append(read(raw.read_text(encoding="utf-8", errors="replace"), name, role))
    return found


def _record(pid: int, seconds: int, raw: Path) -> None:
    program = _program() or "py-spy"
    command = [program, "record", "--native", "--format", "raw"]
    command += ["-r", str(SAMPLES_PER_S), "-d", str(seconds), "-o", str(raw), "-p", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        say(f"py-spy failed: {done.stderr.strip()[-300:]}")


def read(raw: str, process: str, role: str) -> Profile:
    """Samples in py-spy's raw format: `frame;frame;... count` a line, the outermost frame first."""
    profile = Profile(process, role)
    for line in raw.splitlines():
        stack, _, number = line.rpartition(" ")
        frames = stack.split(";")
        if not number.isdigit() or LOOP_MARK not in stack:
            continue  # another thread
        count = int(number)
        if _SYSTEM_CALL.match(frames[-1]):
            continue
        profile.samples += count
        profile.packages[package_of(frames)] += count
        for frame in reversed(frames):
            match = _LINE.match(frame)
            if match is not None:
                profile.lines[f"{match[2]} {match[1]}"] += count
                profile.functions[f"{match[2].rpartition(':')[0]} {match[1]}"] += count
                break
    return profile


def package_of(frames: list[str]) -> str:
    """The package of the innermost frame that has one."""
    for frame in reversed(frames):
        for name, pattern in _PATTERNS:
            if pattern.search(frame):
                return name
    return REST
