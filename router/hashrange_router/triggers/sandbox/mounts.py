"""What a worker sees of the file system, in a mount namespace of its own.

Home directories, places for temporary files and shared memory, and the pool's directories are covered by empty ones
in which only what the worker needs appears at its usual place (the interpreter, its task root read-only). /tmp is the
worker's own directory.
"""

from __future__ import annotations

from pathlib import Path

from hashrange_router.triggers.sandbox import kernel
from hashrange_router.triggers.sandbox.kernel import (
    MS_BIND,
    MS_MOVE,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
)

_TEMPORARY = {Path("/tmp").resolve(), Path("/var/tmp").resolve()}
_SHARED_MEMORY = Path("/dev/shm").resolve()

COVERED = (*_TEMPORARY, _SHARED_MEMORY, Path("/root"), Path("/home"))
"""Covered in any case, where they exist."""


def outermost(paths: list[Path]) -> list[Path]:
    """The paths that lie in no other of them, each once."""
    found: list[Path] = []
    for path in sorted(set(paths), key=lambda path: len(path.parts)):
        if not any(path == other or other in path.parents for other in found):
            found.append(path)
    return found


def closed(paths: list[Path]) -> list[Path]:
    """The outermost directories on the way to any of the paths that other users cannot pass: to be covered, too."""
    found = set()
    for path in paths:
        for parent in reversed(path.resolve().parents):
            if not parent.stat().st_mode & 0o001:
                found.add(parent)
                break
    return sorted(found)


def cover(worker_dir: Path, hidden: list[Path], visible: list[Path], read_only: list[Path]) -> None:
    """Arrange the namespace of this process. OSError when it is not possible.

    `worker_dir` has `tmp` for /tmp; directories to assemble in are made beside it. `read_only` are among `visible`.
    """
    kernel.mount(None, "/", None, MS_REC | MS_PRIVATE)
    covered = [path for path in outermost([path.resolve() for path in hidden]) if path.is_dir()]
    # The cover that hides the directories of assembly themselves comes last.
    covered.sort(key=lambda path: path in worker_dir.parents)
    stages = []
    for number, target in enumerate(covered):
        stage = worker_dir / f"stage-{number}"
        stage.mkdir(exist_ok=True)
        if target in _TEMPORARY:
            kernel.mount(worker_dir / "tmp", stage, None, MS_BIND)
        else:
            room = "mode=1777,size=64m" if target == _SHARED_MEMORY else "mode=0755,size=1m"
            kernel.mount("tmpfs", stage, "tmpfs", MS_NOSUID | MS_NODEV, room)
        for path in outermost(visible):
            if target in path.parents:
                _show(path, stage / path.relative_to(target), read_only=path in read_only)
        stages.append((stage, target))
    for stage, target in stages:
        kernel.mount(stage, target, None, MS_MOVE)
    try:
        kernel.mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    except OSError:
        pass  # a container may forbid it; what it shows then is the container's processes


def _show(path: Path, place: Path, read_only: bool) -> None:
    """Let a directory appear in a cover."""
    place.mkdir(parents=True, exist_ok=True)
    kernel.mount(path, place, None, MS_BIND | MS_REC)
    if read_only:
        try:
            kernel.mount(None, place, None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV)
        except OSError:
            pass  # in a user namespace some flags are locked; the files are another user's or write-protected
