"""The data directory of one node: who may use it, and where things lie in it.

    VERSION   JSON: {"format": 1, "created": ISO time, "id": 32 hex digits, "node": id}; "node" in clusters only
    LOCK      locked (flock) by the process that uses the directory; holds its pid as text
    RESET     there while the directory is being emptied; an interrupted reset is finished by the next open
    log/      the append-only log
    rocks/    the storage engine

Every refusal is a DataDirError whose text tells the user what to do.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

FORMAT = 1
VERSION_NAME = "VERSION"
LOCK_NAME = "LOCK"
LOG_NAME = "log"
ENGINE_NAME = "rocks"
RESET_NAME = "RESET"
DRAFT_NAME = "VERSION.draft"

# What may lie in a directory that is not one of ours yet: a mount point's own folder.
_HARMLESS = frozenset((LOCK_NAME, DRAFT_NAME, "lost+found"))


class DataDirError(Exception):
    """The data directory cannot be used; the text is a sentence for the user."""


class DataDirectory:
    """An open, locked data directory. Made by `open`; `id` are 16 bytes that are its own for ever."""

    def __init__(self, path: Path, lock_fd: int, identity: bytes) -> None:
        self.path = path
        self.id = identity
        self._lock_fd = lock_fd

    @classmethod
    def open(cls, path: Path) -> DataDirectory:
        """Lock a data directory, making it first if there is none. Raises DataDirError."""
        path = path.absolute()
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            foreign = _foreign(path)
            if foreign:
                raise DataDirError(
                    f"{path} is not empty and not a hashrange data directory (it holds {foreign}). "
                    "Give another --data-dir, or empty this one."
                )
            lock_fd = _lock(path)
        except FileExistsError as error:
            raise DataDirError(f"{path} is not a directory. Give another --data-dir.") from error
        except OSError as error:
            raise _unwritable(path, error) from error
        try:
            if (path / RESET_NAME).exists():
                _empty(path)
            identity = _identity(path)
            (path / LOG_NAME).mkdir(mode=0o700, exist_ok=True)
            (path / ENGINE_NAME).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            os.close(lock_fd)
            raise _unwritable(path, error) from error
        except DataDirError:
            os.close(lock_fd)
            raise
        return cls(path, lock_fd, identity)

    @property
    def log_path(self) -> Path:
        """The directory of the log."""
        return self.path / LOG_NAME

    @property
    def engine_path(self) -> Path:
        """The directory of the storage engine."""
        return self.path / ENGINE_NAME

    @property
    def has_engine_data(self) -> bool:
        """Whether an engine has been created here: then a log must be here too."""
        return any(self.engine_path.iterdir())

    def claim(self, node: int | None) -> None:
        """Say whose directory it is: that of a node of a cluster, or (None) of a server by itself.

        A new directory remembers its node for ever. Raises DataDirError for another's. Only before there is an
        engine.
        """
        version = self.path / VERSION_NAME
        document = orjson.loads(version.read_bytes())
        owner = document.get("node")
        if owner == node:
            return
        if node is None:
            raise DataDirError(
                f"{self.path} belongs to node {owner} of a cluster. Start that with `hashrange node` or "
                "`hashrange cluster up`, or give another --data-dir."
            )
        if owner is not None:
            raise DataDirError(
                f"{self.path} belongs to node {owner}, not to node {node}. Correct id, or give node {node} "
                "a data_dir of its own."
            )
        if self.has_engine_data:
            raise DataDirError(
                f"{self.path} holds the data of `hashrange serve`, not that of a node. Give node {node} an "
                "empty data_dir."
            )
        try:
            _write_version(version, {**document, "node": node})
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def reset(self) -> None:
        """Delete everything in the directory but the lock, and begin anew under a new id.

        Only while neither log nor engine is open. Raises DataDirError.
        """
        try:
            (self.path / RESET_NAME).touch()
            _sync_directory(self.path)
            _empty(self.path)
            self.id = _identity(self.path)
            self.log_path.mkdir(mode=0o700)
            self.engine_path.mkdir(mode=0o700)
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def close(self) -> None:
        """Release the lock. Twice is harmless."""
        if self._lock_fd >= 0:
            os.ftruncate(self._lock_fd, 0)
            os.close(self._lock_fd)
            self._lock_fd = -1


def _foreign(path: Path) -> str:
    """The name of something that makes a directory without VERSION not ours, or ''."""
    if (path / VERSION_NAME).exists() or (path / RESET_NAME).exists():
        return ""
    for each in sorted(path.iterdir()):
        ours = each.name in (LOG_NAME, ENGINE_NAME) and each.is_dir() and not any(each.iterdir())
        if each.name not in _HARMLESS and not ours:
            return each.name
    return ""


def _lock(path: Path) -> int:
    fd = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.read(fd, 32).decode(errors="replace").strip()
        os.close(fd)
        who = f"process {owner}" if owner else "another process"
        raise DataDirError(
            f"{path} is in use by {who}. Stop that process, or give this one another --data-dir."
        ) from error
    except OSError:
        os.close(fd)
        raise
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


def _identity(path: Path) -> bytes:
    """Read VERSION, or write it for a new directory; returns the directory's id."""
    version = path / VERSION_NAME
    try:
        document = orjson.loads(version.read_bytes())
        written_by, identity = int(document["format"]), bytes.fromhex(document["id"])
    except FileNotFoundError:
        return _create_identity(version)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise DataDirError(
            f"{version} cannot be read ({error}). Restore the data directory from a copy, or give another "
            "--data-dir."
        ) from error
    if written_by > FORMAT:
        raise DataDirError(
            f"{path} was written by a newer release (format {written_by}, this one knows {FORMAT}). "
            "Use that release, or give another --data-dir."
        )
    if len(identity) != 16:
        raise DataDirError(f"{version} holds no valid id. Restore the data directory from a copy.")
    return identity


def _create_identity(version: Path) -> bytes:
    identity = os.urandom(16)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    _write_version(version, {"format": FORMAT, "created": created, "id": identity.hex()})
    return identity


def _write_version(version: Path, document: dict[str, Any]) -> None:
    draft = version.with_name(DRAFT_NAME)
    with draft.open("wb") as file:
        file.write(orjson.dumps(document) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    draft.rename(version)
    _sync_directory(version.parent)


def _empty(path: Path) -> None:
    """Remove all but the lock, and the sign that a reset is going on last."""
    for each in path.iterdir():
        if each.name in (LOCK_NAME, RESET_NAME):
            continue
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        else:
            each.unlink()
    (path / RESET_NAME).unlink()
    _sync_directory(path)


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _unwritable(path: Path, error: OSError) -> DataDirError:
    return DataDirError(
        f"{path} cannot be written ({error.strerror or error}). Check that the directory belongs to this "
        "user and that the disk is neither full nor read-only, or give another --data-dir."
    )
