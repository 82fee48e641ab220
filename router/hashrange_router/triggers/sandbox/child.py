"""From the fork to the program: what a new process does before it becomes a worker.

With namespaces there are two processes. The first is process 1 of its namespace: it arranges the file system, forks
the second, waits for it, and says how it ended; when it ends, or is killed, the kernel kills all that is left in
the namespace. (The program itself is not process 1, which signals of its own do not reach.) The second gives up
its rights and becomes the program. Without namespaces there is only the second.

How it ended goes through a pipe: lines "S <wait status> <peak KiB>", or "E <text>" when it could not be started.
"""

from __future__ import annotations

import os
import resource
import select
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from hashrange_router.triggers.sandbox import kernel, mounts
from hashrange_router.triggers.sandbox.isolation import Isolation

FILES_MAX = 1024
"""Open files of one worker, as in the service."""

PROCESSES_MAX = 1024

_KIB = 1024
_MIB = 1024 * 1024


@dataclass(slots=True)
class Spec:
    """A worker to be started. `directory` is the worker's own, with `tmp` in it."""

    argv: list[str]
    environment: dict[str, str]
    task_root: Path
    directory: Path
    memory_mb: int
    ephemeral_mb: int
    uid: int | None = None
    hidden: list[Path] = field(default_factory=list)
    visible: list[Path] = field(default_factory=list)
    address_space_mb: int = 0
    """Bound of the address space; 0: none."""


def start(spec: Spec, isolation: Isolation, join: list[Path], log_fd: int, status_fd: int) -> int:
    """Fork a worker; the process id of the first of its processes. OSError when it cannot be forked."""
    pid = kernel.clone(isolation.flags)
    if pid:
        return pid
    try:
        _restore_signals()
        if isolation.namespaces:
            _first_process(spec, isolation, join, log_fd, status_fd)
        _become(spec, isolation, join, log_fd, status_fd)
    except BaseException as error:
        _fail(status_fd, error)


def _first_process(
    spec: Spec, isolation: Isolation, join: list[Path], log_fd: int, status_fd: int
) -> NoReturn:
    """Process 1 of the namespace."""
    kernel.die_with_parent()
    os.setsid()
    _leave_if_orphan(status_fd)
    keep = sorted({log_fd, status_fd})
    for low, high in zip([3, *(fd + 1 for fd in keep)], [*keep, 4096], strict=True):
        os.closerange(low, high)
    if isolation.own_users:
        _map_user(isolation.uid, isolation.gid)
    # Opened here: the covers may hide the control groups' files, and the place they are named by.
    groups = [os.open(path, os.O_WRONLY) for path in join]
    if isolation.mounts:
        mounts.cover(spec.directory, spec.hidden, [*spec.visible, spec.task_root], [spec.task_root])
    worker = os.fork()
    if worker == 0:
        try:
            _become(spec, isolation, groups, log_fd, status_fd)
        except BaseException as error:
            _fail(status_fd, error)
    os.close(log_fd)
    while True:
        pid, status, usage = os.wait4(-1, 0)
        if pid == worker:
            os.write(status_fd, b"S %d %d\n" % (status, usage.ru_maxrss))
            os._exit(0)


def _become(
    spec: Spec, isolation: Isolation, groups: list[Path] | list[int], log_fd: int, status_fd: int
) -> NoReturn:
    """Give up all rights and become the program."""
    kernel.die_with_parent()
    os.setsid()
    if not isolation.namespaces:
        _leave_if_orphan(status_fd)
    for group in groups:
        descriptor = group if isinstance(group, int) else os.open(group, os.O_WRONLY)
        os.write(descriptor, b"0")
        os.close(descriptor)
    _bound(spec)
    if spec.uid is not None and isolation.change_user:
        os.setgroups([])
        os.setresgid(spec.uid, spec.uid, spec.uid)
        os.setresuid(spec.uid, spec.uid, spec.uid)
        kernel.die_with_parent()
    else:
        kernel.drop_capabilities()
    kernel.gain_no_rights()
    os.umask(0o022)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log_fd, 1)
    os.dup2(log_fd, 2)
    environment = dict(spec.environment)
    temporary = "/tmp" if isolation.mounts else str(spec.directory / "tmp")
    environment |= {"TMPDIR": temporary, "HOME": temporary}
    os.chdir(spec.task_root)
    os.execve(spec.argv[0], spec.argv, environment)


def _bound(spec: Spec) -> None:
    """Limits of resources that hold without control groups."""
    bounds = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, FILES_MAX),
        (resource.RLIMIT_FSIZE, spec.ephemeral_mb * _MIB),
    ]
    if spec.uid is not None:  # the kernel counts processes by user: only a user of its own is counted alone
        bounds.append((resource.RLIMIT_NPROC, PROCESSES_MAX))
    if spec.address_space_mb:
        bounds.append((resource.RLIMIT_AS, spec.address_space_mb * _MIB))
    for kind, value in bounds:
        hard = resource.getrlimit(kind)[1]
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        resource.setrlimit(kind, (value, value))


def _restore_signals() -> None:
    """Python ignores some, and the guard handles others: a program starts with none of that."""
    signal.set_wakeup_fd(-1)
    for number in (
        signal.SIGPIPE,
        signal.SIGXFSZ,
        signal.SIGCHLD,
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGHUP,
    ):
        signal.signal(number, signal.SIG_DFL)


def _leave_if_orphan(status_fd: int) -> None:
    """The guard may have ended before the kernel was told to kill this process with it."""
    poll = select.poll()
    poll.register(status_fd, 0)
    if any(event & select.POLLERR for _, event in poll.poll(0)):
        os._exit(1)


def _map_user(uid: int, gid: int) -> None:
    """In a user namespace of its own the process is the user it was."""
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")


def _fail(status_fd: int, error: BaseException) -> NoReturn:
    """Say why it could not be started, and end."""
    text = f"{type(error).__name__}: {error}".replace("\n", " ")
    try:
        os.write(status_fd, b"E " + text.encode()[:4000] + b"\n")
    finally:
        os._exit(127)
