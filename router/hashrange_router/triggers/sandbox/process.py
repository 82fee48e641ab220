"""The guard process: starts workers, says how they end, and kills them all when the pool is silent or gone.

    python -m hashrange_router.triggers.sandbox.process <descriptor> <settings as JSON>

It speaks JSON with the pool over a SOCK_SEQPACKET socket, one document a message.
From the pool: {"op": "beat"}; {"op": "spawn", "id", "argv", ...} with the write end of the log's pipe;
{"op": "kill", "id"}. To the pool: {"event": "ready", "limits", "isolation"}; {"event": "started", "id",
"pid", "memory_file"}; {"event": "exited", "id", "status" (as of wait), "error", "out_of_memory", "peak_mb",
"reason"}.

The pool sends beats. When it has been silent for `silence_s` it may be frozen: others may take its work over, so
whatever its workers are doing must end. When the socket closes the pool has died: the guard kills all, cleans up
and ends. If the guard itself dies the kernel kills the workers.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import select
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from hashrange_router.triggers import limits
from hashrange_router.triggers.limits import Bounds, Group
from hashrange_router.triggers.limits.group import is_stale, process_tag
from hashrange_router.triggers.sandbox import child, mounts
from hashrange_router.triggers.sandbox.child import Spec
from hashrange_router.triggers.sandbox.isolation import Isolation, ladder
from hashrange_router.triggers.sandbox.watch import directory_mb, has_few_files, resident_mb

_MESSAGE_MAX = 256 * 1024
_TICK_S = 1.0
_WATCH_S = 0.1
_PROBE_S = 10.0


class _Worker:
    """A worker that has been started. `reason`: why the guard killed it, if it did."""

    __slots__ = ("asked", "directory", "group", "id", "peak_mb", "pid", "reason", "spec", "status_fd")

    def __init__(self, number: int, spec: Spec, pid: int, group: Group | None, status_fd: int) -> None:
        self.id = number
        self.spec = spec
        self.pid = pid
        self.group = group
        self.status_fd = status_fd
        self.directory = spec.directory
        self.reason = ""
        self.peak_mb = 0


class Guard:
    """The loop and what it keeps."""

    def __init__(self, pool: socket.socket, settings: dict[str, Any]) -> None:
        self._pool = pool
        self._work_dir = Path(settings["work_dir"])
        self._silence_s = float(settings["silence_s"])
        self._cpu_quota = bool(settings["cpu_quota"])
        self._visible = [Path(path) for path in settings["visible"]]
        self._hidden = [*mounts.COVERED, self._work_dir, *(Path(path) for path in settings["hidden"])]
        self._hidden += mounts.closed([*self._visible, self._work_dir])
        self._probe_code = str(settings["probe"])
        self._own_user = bool(settings["own_user"])
        self._tag = process_tag(os.getpid())
        self._directory = self._work_dir / "workers" / self._tag
        self._workers: dict[int, _Worker] = {}
        self._heard_at = time.monotonic()
        self._measure_at = 0.0
        self._isolation = Isolation()

    def run(self) -> None:
        """Until the pool closes the socket."""
        self._clean_up()
        self._directory.mkdir(parents=True, exist_ok=True)
        wake_r, wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # the pool decides when workers end, also at a Ctrl-C
        self._limits = limits.probe(self._tag)
        try:
            self._probe()
            self._send(
                {"event": "ready", "limits": self._limits.name, "isolation": self._isolation.describe()}
            )
            self._loop(wake_r)
        finally:
            for worker in list(self._workers.values()):
                self._kill(worker, "")
            self._reap(wait=True)
            self._limits.close()
            shutil.rmtree(self._directory, ignore_errors=True)

    def _loop(self, wake_r: int) -> None:
        poll = select.poll()
        poll.register(self._pool, select.POLLIN)
        poll.register(wake_r, select.POLLIN)
        while True:
            watching = self._workers and self._limits.name == "watch"
            left_s = self._heard_at + self._silence_s - time.monotonic()
            wait_s = _WATCH_S if watching else min(_TICK_S, left_s) if left_s > 0 else _TICK_S
            poll.poll(1000 * wait_s + 1)
            with contextlib.suppress(BlockingIOError):
                os.read(wake_r, 4096)
            # All that has arrived first, and nothing that takes time in between: a guard that was itself frozen, or
            # at work, must not take that for silence.
            if not self._receive_all():
                return
            if time.monotonic() - self._heard_at > self._silence_s:
                for worker in self._workers.values():
                    self._kill(worker, "silence")
            self._reap(wait=False)
            if watching:
                self._watch_memory()
            began = time.monotonic()
            if began >= self._measure_at:
                self._watch_files()
                # Directories with very many files are looked at less often.
                self._measure_at = began + max(_TICK_S, 10 * (time.monotonic() - began))

    # Messages.

    def _receive_all(self) -> bool:
        """Handle every message there is; False when the pool has gone."""
        while True:
            try:
                data, ancillary, _, _ = self._pool.recvmsg(
                    _MESSAGE_MAX, socket.CMSG_SPACE(4), socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not data:
                return False
            self._heard_at = time.monotonic()
            descriptors = array.array("i")
            for level, kind, value in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    descriptors.frombytes(value)
            message = json.loads(data)
            if message["op"] == "spawn":
                self._spawn(message, descriptors[0])
            elif message["op"] == "kill":
                worker = self._workers.get(message["id"])
                if worker is not None:
                    self._kill(worker, message.get("reason", ""))

    def _send(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # the pool has gone: the next look at the socket says so
            self._pool.send(json.dumps(message).encode())

    # Workers.

    def _spawn(self, message: dict[str, Any], log_fd: int) -> None:
        number = message["id"]
        spec = Spec(
            argv=message["argv"],
            environment=message["environment"],
            task_root=Path(message["task_root"]),
            directory=self._directory / str(number),
            memory_mb=message["memory_mb"],
            ephemeral_mb=message["ephemeral_mb"],
            uid=message["uid"],
            hidden=self._hidden,
            visible=self._visible,
        )
        try:
            worker = self._start(number, spec, self._isolation, log_fd)
        except OSError as error:
            self._send({"event": "exited", "id": number, "status": 127 << 8, "error": str(error)})
        else:
            self._workers[number] = worker
            memory_file = worker.group.memory_file if worker.group is not None else None
            self._send(
                {
                    "event": "started",
                    "id": number,
                    "pid": worker.pid,
                    "memory_file": str(memory_file) if memory_file is not None else "",
                }
            )
        finally:
            os.close(log_fd)

    def _start(self, number: int, spec: Spec, isolation: Isolation, log_fd: int) -> _Worker:
        temporary = spec.directory / "tmp"
        temporary.mkdir(parents=True, mode=0o755)
        group = self._limits.create(str(number), Bounds(spec.memory_mb, self._cpu_quota))
        if group is None and "python" in Path(spec.argv[0]).name:
            # Node reserves far more addresses than it uses; Python does not, and its handler gets a MemoryError.
            spec.address_space_mb = 2 * spec.memory_mb + 512
        if spec.uid is not None and isolation.change_user:
            os.chown(temporary, spec.uid, spec.uid)
        temporary.chmod(0o700)
        status_r, status_w = os.pipe2(os.O_CLOEXEC)
        try:
            pid = child.start(spec, isolation, group.join if group is not None else [], log_fd, status_w)
        except OSError:
            os.close(status_r)
            self._discard(spec.directory, group)
            raise
        finally:
            os.close(status_w)
        return _Worker(number, spec, pid, group, status_r)

    def _kill(self, worker: _Worker, reason: str) -> None:
        """Kill all processes of a worker: its namespace ends with its first process; else by group and cgroup."""
        worker.reason = worker.reason or reason
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(worker.pid, signal.SIGKILL)

    def _reap(self, wait: bool) -> None:
        """Report the workers that have ended. `wait`: until none is left."""
        while self._workers:
            try:
                pid, status, usage = os.wait4(-1, 0 if wait else os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            worker = next((worker for worker in self._workers.values() if worker.pid == pid), None)
            if worker is not None:
                self._ended(worker, status, usage.ru_maxrss // 1024)

    def _ended(self, worker: _Worker, status: int, peak_mb: int) -> None:
        del self._workers[worker.id]
        error, group = "", worker.group
        for line in _read_all(worker.status_fd).splitlines():
            kind, _, rest = line.partition(b" ")
            if kind == b"E":
                error = rest.decode()
            elif kind == b"S":
                status, peak_kib = (int(field) for field in rest.split())
                peak_mb = peak_kib // 1024
        killed = False
        if group is not None:
            group.kill()  # those that left the process group
            killed, peak_mb = group.killed_for_memory(), group.peak_mb()
        self._send(
            {
                "event": "exited",
                "id": worker.id,
                "status": status,
                "error": error,
                "out_of_memory": killed or worker.reason == "memory",
                "peak_mb": max(peak_mb, worker.peak_mb),
                "reason": worker.reason,
            }
        )
        self._discard(worker.directory, group)

    def _discard(self, directory: Path, group: Group | None) -> None:
        if group is not None:
            group.remove()
        if not has_few_files(directory / "tmp"):
            # It may take long to remove them, and the other workers need the guard.
            if os.fork():
                return
            self._pool.close()  # or the pool would not notice when the guard dies
            shutil.rmtree(directory, ignore_errors=True)
            os._exit(0)
        shutil.rmtree(directory, ignore_errors=True)

    # Watching what has no limit in the kernel.

    def _watch_memory(self) -> None:
        for worker in self._workers.values():
            used_mb = resident_mb(worker.pid)
            worker.peak_mb = max(worker.peak_mb, used_mb)
            if used_mb > worker.spec.memory_mb:
                self._kill(worker, "memory")

    def _watch_files(self) -> None:
        for worker in self._workers.values():
            if directory_mb(worker.directory / "tmp") > worker.spec.ephemeral_mb:
                self._kill(worker, "ephemeral")

    # The start.

    def _clean_up(self) -> None:
        """Remove groups and directories of guards that are no more."""
        limits.sweep_all()
        parent = self._work_dir / "workers"
        if parent.is_dir():
            for path in parent.iterdir():
                if is_stale(path.name):
                    shutil.rmtree(path, ignore_errors=True)

    def _probe(self) -> None:
        """Find the best isolation by running the interpreter in each until one works."""
        null = os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)
        root = self._work_dir / "code"
        root.mkdir(parents=True, exist_ok=True)
        for number, isolation in enumerate(ladder(self._own_user)):
            spec = Spec(
                argv=[sys.executable, "-c", self._probe_code],
                environment={},
                task_root=root,
                directory=self._directory / f"probe-{number}",
                memory_mb=1024,
                ephemeral_mb=512,
                uid=65_534 if isolation.change_user else None,
                hidden=self._hidden,
                visible=self._visible,
            )
            self._isolation = isolation
            if self._works(spec, isolation, null):
                break
        os.close(null)

    def _works(self, spec: Spec, isolation: Isolation, log_fd: int) -> bool:
        try:
            worker = self._start(-1, spec, isolation, log_fd)
        except OSError:
            return False
        deadline = time.monotonic() + _PROBE_S
        pid, status = 0, -1
        while pid == 0:
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if time.monotonic() > deadline:
                self._kill(worker, "")
            time.sleep(0.002)
        lines = _read_all(worker.status_fd).splitlines()
        self._discard(worker.directory, worker.group)
        if isolation.namespaces:
            return bool(lines) and lines[-1].startswith(b"S 0 ")
        return status == 0 and not lines


def _read_all(descriptor: int) -> bytes:
    """What the processes of a worker have said. They have ended, or the writers of this pipe have."""
    os.set_blocking(descriptor, False)
    try:
        return os.read(descriptor, 65_536)
    except BlockingIOError:
        return b""
    finally:
        os.close(descriptor)


def main() -> None:
    """The guard, on the socket whose descriptor is the first argument."""
    pool = socket.socket(fileno=int(sys.argv[1]))
    pool.set_inheritable(False)
    Guard(pool, json.loads(sys.argv[2])).run()


if __name__ == "__main__":
    main()
