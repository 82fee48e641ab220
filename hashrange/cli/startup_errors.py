"""Turns what went wrong at start into one sentence that says what to do."""

from __future__ import annotations

import errno
import socket

from hashrange.runtime.config import ServeConfig
from hashrange.runtime.startup import StartupError


def explain(error: BaseException, config: ServeConfig) -> str | None:
    """A sentence for the user, or None when the error is a mistake in the program itself."""
    if isinstance(error, (StartupError, *_own_errors())):
        return str(error)
    if isinstance(error, socket.gaierror):
        return f"the address {config.host!r} is unknown on this machine; correct --host"
    if isinstance(error, OSError):
        return _explain_os_error(error, config)
    return None


def _own_errors() -> tuple[type[Exception], ...]:
    """The node's errors that say themselves what to do: data directory, log, storage engine."""
    from hashrange_node.log.errors import LogError
    from hashrange_node.storage.datadir import DataDirError
    from hashrange_node.storage.engine import EngineError

    return LogError, DataDirError, EngineError


def _explain_os_error(error: OSError, config: ServeConfig) -> str | None:
    where = f"{config.host}:{config.port}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {config.port} is in use; stop the program that listens there (ss -ltnp shows it), "
            "or choose another port with --port"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{config.host} is no address of this machine; correct --host (0.0.0.0 listens on all)"
    if error.errno in (errno.EACCES, errno.EPERM) and error.filename is None:
        return f"this user may not listen on {where}; choose a port from 1024 on with --port"
    path = error.filename if error.filename is not None else config.data_dir
    if error.errno in (errno.EACCES, errno.EPERM):
        return (
            f"{path} may not be read and written by this user; change its owner or choose another --data-dir"
        )
    if error.errno == errno.EROFS:
        return f"{path} is on a file system mounted read-only; choose another --data-dir, or use --in-memory"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"there is no space left for {path}; free some, or choose another --data-dir"
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"{path} is not a directory; choose another --data-dir"
    return None
