"""Faults of disks: slow, failing and full ones.

Slow and failing calls are injected by strace into a running process; a full disk is a small tmpfs that a node has
its data on. Both need root; where the machine does not allow them, the fault is left out and says so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType

from tests.cluster.campaign.scene import FAILOVER_S, Scene
from tests.cluster.local_cluster import LocalCluster

SMALL_DISK_MB = 96
LEADER_MOVES_S = 15.0
ATTEMPTS = 3
ATTACH_S = 10.0


class NotPossibleError(Exception):
    """The machine does not allow this fault; the text says what is missing."""


class Tracer:
    """strace attached to a process, with a fault injected into a system call."""

    def __init__(self, pid: int | None, injection: str) -> None:
        if shutil.which("strace") is None:
            raise NotPossibleError("strace is not installed")
        self._pid = pid
        call = injection.partition(":")[0]
        self._command = ["strace", "-f", "-q", "-o", os.devnull, "-e", f"trace={call}"]
        self._command += ["-e", f"inject={injection}", "-p", str(pid)]
        self._tracer: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Tracer:
        """Attach to every thread. One that starts while strace looks for them is missed: then it has to look again."""
        errors = ""
        for _ in range(ATTEMPTS):
            self._tracer = subprocess.Popen(self._command, stderr=subprocess.PIPE)
            deadline = time.monotonic() + ATTACH_S
            while not self._attached():
                if self._tracer.poll() is not None or time.monotonic() > deadline:
                    break
                time.sleep(0.02)
            else:
                return self
            if not Path(f"/proc/{self._pid}").exists():
                return self  # what was to be done to it has been done
            errors = self._end()
        raise NotPossibleError(f"strace cannot attach: {errors}")

    def _attached(self) -> bool:
        try:
            tasks = [task.read_text() for task in Path(f"/proc/{self._pid}/task").glob("*/status")]
        except OSError:
            return False
        return bool(tasks) and all("TracerPid:\t0\n" not in task for task in tasks)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> str:
        """Detach; returns what strace has said."""
        tracer, self._tracer = self._tracer, None
        if tracer is None:
            return ""
        tracer.terminate()
        try:
            return tracer.communicate(timeout=10)[1].decode()
        except subprocess.TimeoutExpired:
            # It waits for a thread inside a delayed call.
            tracer.kill()
            return tracer.communicate(timeout=10)[1].decode()


def slow_disk(scene: Scene) -> None:
    """F12: every fdatasync of a follower, then of the leader, takes long."""
    leader = scene.busiest()
    follower = next(n for n in scene.cluster.nodes() if n != leader)
    delay_s = 1.0 if scene.short else 5.0
    for what, node in (("follower", follower), ("leader", leader)):
        with scene.fault(f"F12 every fdatasync of {what} node-{node} takes {delay_s:.0f} s") as since:
            pid = scene.cluster.process(f"node-{node}").pid
            with Tracer(pid, f"fdatasync:delay_enter={int(delay_s * 1_000_000)}"):
                scene.pass_time(10 if scene.short else 30)
            # Within a second of the disk being well again, or sooner if leadership went elsewhere.
            limit = LEADER_MOVES_S if what == "leader" else 2.0 + delay_s
            scene.recovered(f"F12 slow {what} node-{node}", since, limit)
        scene.settle()


def failing_sync(scene: Scene) -> None:
    """F13: an fdatasync fails with EIO: the process must end by itself, and come back with what it acknowledged."""
    _, node = scene.leader()
    name = f"node-{node}"
    with scene.fault(f"F13 an fdatasync of {name} fails") as since:
        scene.cluster.ended_by_us.add(name)
        number = scene.rng.randrange(1, 20)
        with Tracer(scene.cluster.process(name).pid, f"fdatasync:error=EIO:when={number}"):
            try:
                scene.cluster.wait("the end of the process", lambda: name in scene.cluster.down(), 30)
            except TimeoutError:
                scene.wrong.append(f"F13: {name} went on after a failed fdatasync")
        if "fdatasync" not in scene.cluster.log_of(name) and "durable" not in scene.cluster.log_of(name):
            scene.wrong.append(f"F13: {name} did not say why it ended")
        scene.recovered(f"F13 {name} ended", since, FAILOVER_S + 2)
        scene.settle()


class SmallDisks:
    """Data of some nodes on small file systems, mounted before the cluster starts."""

    def __init__(self, cluster: LocalCluster, nodes: list[int], megabytes: int = SMALL_DISK_MB) -> None:
        self._places = {node: cluster.directory / f"node-{node}" for node in nodes}
        self._megabytes = megabytes
        self._mounted: list[Path] = []

    def mount(self) -> None:
        """Mount them; raises NotPossibleError."""
        for place in self._places.values():
            place.mkdir(parents=True)
            options = ["-t", "tmpfs", "-o", f"size={self._megabytes}m,mode=700"]
            done = subprocess.run(
                ["mount", *options, "tmpfs", str(place)], capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                self.unmount()
                raise NotPossibleError(f"a tmpfs cannot be mounted: {done.stderr.strip()}")
            self._mounted.append(place)

    def fill(self, node: int) -> None:
        """Take all the room there is."""
        with (self._places[node] / "filler").open("wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(1 << 20))
            except OSError:
                pass
            try:
                while True:
                    filler.write(bytes(512))
            except OSError:
                pass

    def free(self, node: int) -> None:
        """Give the room back."""
        (self._places[node] / "filler").unlink(missing_ok=True)

    def unmount(self) -> None:
        """Let go of the file systems."""
        for place in self._mounted:
            subprocess.run(["umount", "-l", str(place)], check=False)
        self._mounted.clear()


def full_disks(scene: Scene, disks: SmallDisks) -> None:
    """F11: one node's disk is full: writes go on. Two: clean errors, reads go on. Room again: all is well again."""
    first, second = scene.rng.sample(scene.cluster.nodes(), 2)
    with scene.fault(f"F11 the disk of node-{first} is full") as since:
        disks.fill(first)
        scene.pass_time(10 if scene.short else 30)
        scene.recovered(f"F11 node-{first} full", since, FAILOVER_S + 5)
        with scene.fault(f"F11 the disks of node-{first} and node-{second} are full"):
            disks.fill(second)
            scene.pass_time(8 if scene.short else 30)
        disks.free(first)
        disks.free(second)
        freed = time.monotonic()
        scene.recovered("F11 room again", freed, 60.0)
    scene.settle()
    down = [f"node-{n}" for n in (first, second) if f"node-{n}" in scene.cluster.down()]
    if down:
        scene.wrong.append(f"F11: {', '.join(down)} ended for want of room")
