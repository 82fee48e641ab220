"""System calls that the standard library of Python 3.11 does not offer: clone, mount, prctl."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
from pathlib import Path

NEW_MOUNTS = 0x00020000
NEW_UTS = 0x04000000
NEW_IPC = 0x08000000
NEW_USER = 0x10000000
NEW_PID = 0x20000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_MOVE = 8192
MS_REC = 16384
MS_PRIVATE = 1 << 18

_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_LAST_CAPABILITY = 63

_SYS_CLONE = {"x86_64": 56, "aarch64": 220}.get(platform.machine(), 0)

_libc = ctypes.CDLL(None, use_errno=True)
# The interpreter's lock stays held across clone: the child goes on inside the interpreter.
_held = ctypes.PyDLL(None, use_errno=True)


def _raise(name: str) -> None:
    number = ctypes.get_errno()
    raise OSError(number, f"{name}: {os.strerror(number)}")


def clone(flags: int) -> int:
    """fork() into new namespaces: the child's process id, 0 in the child. For processes without threads. OSError."""
    if not flags:
        return os.fork()
    if not _SYS_CLONE:
        raise OSError("namespaces are not known on this kind of machine")
    zero = ctypes.c_long(0)
    pid = _held.syscall(
        ctypes.c_long(_SYS_CLONE), ctypes.c_long(flags | signal.SIGCHLD), zero, zero, zero, zero
    )
    if pid < 0:
        _raise("clone")
    return int(pid)


def mount(
    source: str | Path | None, target: str | Path, kind: str | None, flags: int, data: str = ""
) -> None:
    """mount(2). OSError."""
    texts = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    if _libc.mount(*texts, ctypes.c_ulong(flags), data.encode() if data else None) != 0:
        _raise(f"mount {target}")


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that forked it ends. A change of user undoes it."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def gain_no_rights() -> None:
    """No program that is run from here on gains rights (set-user-ID, file capabilities)."""
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        _raise("prctl")


def drop_capabilities() -> None:
    """Take every capability from what this process will execute, also when it stays root."""
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    for capability in range(_LAST_CAPABILITY + 1):
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
