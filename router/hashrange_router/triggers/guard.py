"""The pool's side of the guard process: starting it, its beats, and what it says of workers.

    guard = Guard(settings, visible, probe_code)         # paths that workers need; what to try isolation with
    await guard.start()
    guard.spawn(worker_id, launch, log_fd, on_exit)      # on_exit(Exit) is called once, on the event loop
    guard.kill(worker_id)
    await guard.stop()

If the guard process dies, so do all workers; a new one is started.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hashrange.runtime.logging import get_logger
from hashrange_router.triggers.sandbox.watch import resident_mb
from hashrange_router.triggers.settings import PoolSettings

_log = get_logger("triggers")

_BEAT_S = 1.0
_STARTED_S = 30.0
_STOPPED_S = 10.0
_MESSAGE_MAX = 64 * 1024
_KILLED = 9  # a wait status: ended by SIGKILL


@dataclass(frozen=True, slots=True)
class Launch:
    """What is to be started."""

    argv: list[str]
    environment: dict[str, str]
    task_root: Path
    memory_mb: int
    ephemeral_mb: int
    uid: int | None


@dataclass(frozen=True, slots=True)
class Exit:
    """How a worker ended. `status` as os.wait gives it; `reason`: why the guard killed it ("silence", "ephemeral",
    "memory"), empty when it did not of its own."""

    status: int
    error: str = ""
    out_of_memory: bool = False
    peak_mb: int = 0
    reason: str = ""


@dataclass(slots=True)
class _Known:
    ended: Callable[[Exit], None]
    pid: int = 0
    memory_file: Path | None = None


class Guard:
    """One guard process at a time, for one pool."""

    def __init__(self, settings: PoolSettings, visible: list[Path], probe_code: str) -> None:
        self._settings = settings
        self._probe_code = probe_code
        self._visible = visible
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._workers: dict[int, _Known] = {}
        self._waiting: deque[tuple[bytes, int | None]] = deque()
        self._ready: asyncio.Future[None] | None = None
        self._beat: asyncio.TimerHandle | None = None
        self._restart: asyncio.Task[None] | None = None
        self._stopping = False
        self.limits = ""
        self.isolation: list[str] = []

    async def start(self) -> None:
        """Start the guard process and wait until it is ready. OSError when it is not in time."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        told = {
            "work_dir": str(self._settings.work_dir.resolve()),
            "silence_s": self._settings.silence_s,
            "cpu_quota": self._settings.cpu_quota,
            "own_user": self._settings.own_user,
            "hidden": [str(path) for path in self._settings.hidden],
            "probe": self._probe_code,
            "visible": [str(path) for path in self._visible],
        }
        loop = asyncio.get_running_loop()
        with theirs:
            self._process = await asyncio.to_thread(_run, theirs, json.dumps(told))
        self._socket = ours
        self._ready = loop.create_future()
        loop.add_reader(ours, self._readable)
        self._send_beat()
        try:
            await asyncio.wait_for(self._ready, _STARTED_S)
        except TimeoutError:
            await self.stop()
            raise OSError("the guard process did not start") from None

    async def stop(self) -> None:
        """End it, and with it every worker; it cleans up. Their ends are reported before this returns."""
        self._stopping = True
        if self._restart is not None:
            self._restart.cancel()
        if self._beat is not None:
            self._beat.cancel()
        self._close()
        process = self._process
        if process is not None:
            try:
                await asyncio.to_thread(process.wait, _STOPPED_S)
            except subprocess.TimeoutExpired:
                process.kill()
                await asyncio.to_thread(process.wait)
        self._all_ended()

    @property
    def pid(self) -> int:
        """The guard's process id, 0 without one."""
        return self._process.pid if self._process is not None else 0

    def spawn(self, worker: int, launch: Launch, log_fd: int, ended: Callable[[Exit], None]) -> None:
        """Start a worker; `log_fd` is its standard output and error, and is closed here. `ended` is called once."""
        if self._socket is None:
            os.close(log_fd)
            asyncio.get_running_loop().call_soon(ended, Exit(_KILLED, reason="silence"))
            return
        self._workers[worker] = _Known(ended)
        message = {
            "op": "spawn",
            "id": worker,
            "argv": launch.argv,
            "environment": launch.environment,
            "task_root": str(launch.task_root),
            "memory_mb": launch.memory_mb,
            "ephemeral_mb": launch.ephemeral_mb,
            "uid": launch.uid,
        }
        self._send(json.dumps(message).encode(), log_fd)

    def kill(self, worker: int, reason: str = "") -> None:
        """Kill a worker and everything it has started; `reason` comes back with its end."""
        if worker in self._workers:
            self._send(json.dumps({"op": "kill", "id": worker, "reason": reason}).encode())

    def memory_mb(self, worker: int) -> int:
        """The highest use of memory of a worker so far, in MiB; 0 when it is not known."""
        known = self._workers.get(worker)
        if known is None or not known.pid:
            return 0
        if known.memory_file is None:
            return resident_mb(known.pid)
        try:
            return -(-int(known.memory_file.read_bytes()) // (1024 * 1024))
        except (OSError, ValueError):
            return 0

    # Sending.

    def _send_beat(self) -> None:
        self._send(b'{"op": "beat"}')
        self._beat = asyncio.get_running_loop().call_later(_BEAT_S, self._send_beat)

    def _send(self, message: bytes, descriptor: int | None = None) -> None:
        self._waiting.append((message, descriptor))
        if len(self._waiting) == 1:
            self._flush()

    def _flush(self) -> None:
        """Send what waits; a full socket is tried again when it has room."""
        ours = self._socket
        while self._waiting and ours is not None:
            message, descriptor = self._waiting[0]
            ancillary = []
            if descriptor is not None:
                ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
            loop = asyncio.get_running_loop()
            try:
                ours.sendmsg([message], ancillary)
            except BlockingIOError:
                loop.add_writer(ours, self._flush)
                return
            except OSError:
                break  # it has died: the reader notices
            loop.remove_writer(ours)
            self._waiting.popleft()
            if descriptor is not None:
                os.close(descriptor)
        while self._waiting:
            _, descriptor = self._waiting.popleft()
            if descriptor is not None:
                os.close(descriptor)

    # Receiving.

    def _readable(self) -> None:
        while self._socket is not None:
            try:
                data = self._socket.recv(_MESSAGE_MAX)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._lost()
                return
            self._handle(json.loads(data))

    def _handle(self, message: dict[str, Any]) -> None:
        event = message["event"]
        if event == "ready":
            self.limits, self.isolation = message["limits"], message["isolation"]
            _log.info("guard ready", limits=self.limits, isolation=self.isolation)
            if self._ready is not None and not self._ready.done():
                self._ready.set_result(None)
        elif event == "started":
            known = self._workers.get(message["id"])
            if known is not None:
                known.pid = message["pid"]
                known.memory_file = Path(message["memory_file"]) if message["memory_file"] else None
        elif event == "exited":
            known = self._workers.pop(message["id"], None)
            if known is not None:
                known.ended(
                    Exit(
                        message["status"],
                        message["error"],
                        message.get("out_of_memory", False),
                        message.get("peak_mb", 0),
                        message.get("reason", ""),
                    )
                )

    def _lost(self) -> None:
        """The guard has died, and every worker with it."""
        self._close()
        self._all_ended()
        if not self._stopping:
            _log.error("the guard process died; starting another")
            if self._beat is not None:
                self._beat.cancel()
            self._restart = asyncio.get_running_loop().create_task(self._start_again())

    async def _start_again(self) -> None:
        process = self._process
        if process is not None:
            await asyncio.to_thread(process.wait)
        while not self._stopping:
            try:
                await self.start()
            except OSError as error:
                _log.error("the guard process does not start", error=str(error))
                await asyncio.sleep(_BEAT_S)
            else:
                return

    def _close(self) -> None:
        if self._socket is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._socket)
            loop.remove_writer(self._socket)
            self._socket.close()
            self._socket = None
        self._flush()

    def _all_ended(self) -> None:
        workers, self._workers = self._workers, {}
        for known in workers.values():
            with contextlib.suppress(asyncio.InvalidStateError):
                known.ended(Exit(_KILLED, reason="silence"))


def _run(theirs: socket.socket, told: str) -> subprocess.Popen[bytes]:
    """The guard process, with its end of the socket. It has a session of its own: a terminal's keys do not reach it."""
    descriptor = theirs.fileno()
    return subprocess.Popen(
        [sys.executable, "-m", "hashrange_router.triggers.sandbox.process", str(descriptor), told],
        stdin=subprocess.DEVNULL,
        pass_fds=(descriptor,),
        start_new_session=True,
    )
