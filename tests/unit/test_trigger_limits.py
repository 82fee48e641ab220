"""Control groups: reading what the kernel says, and version 2 on a directory that stands for its files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hashrange_router.triggers.limits import Bounds, cgroup_v1, cgroup_v2
from hashrange_router.triggers.limits.group import is_stale, process_tag, read_count
from hashrange_router.triggers.limits.mounts import Mount, parse_mounts, parse_own
from hashrange_router.triggers.sandbox.mounts import outermost
from hashrange_router.triggers.sandbox.watch import directory_mb, resident_mb

MOUNTS = """\
proc /proc proc rw,nosuid 0 0
cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nodev 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0
cgroup /mnt/my\\040groups cgroup rw,cpu,cpuacct 0 0
"""


def test_mounts() -> None:
    found = parse_mounts(MOUNTS)
    assert [(mount.target, mount.kind) for mount in found[1:]] == [
        (Path("/sys/fs/cgroup"), "cgroup2"),
        (Path("/sys/fs/cgroup/memory"), "cgroup"),
        (Path("/mnt/my groups"), "cgroup"),
    ]
    assert {"cpu", "cpuacct"} <= found[3].options


def test_groups_of_this_process() -> None:
    text = "4:memory:/a/b\n3:cpu,cpuacct:/c\n0::/user.slice\n"
    assert parse_own(text) == {"memory": "/a/b", "cpu": "/c", "cpuacct": "/c", "": "/user.slice"}


def v2_at(monkeypatch: pytest.MonkeyPatch, root: Path, controllers: str) -> None:
    """Files of a version 2 hierarchy, as far as they exist before a group is made."""
    root.mkdir()
    (root / "cgroup.controllers").write_text(controllers)
    monkeypatch.setattr(cgroup_v2, "read_mounts", lambda: [Mount(root, "cgroup2", frozenset())])
    monkeypatch.setattr(cgroup_v2, "own_paths", lambda: {"": "/"})
    made = Path.mkdir

    def mkdir(self: Path, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        made(self, mode, parents, exist_ok)
        if root in self.parents:
            (self / "cgroup.controllers").write_text(controllers)

    monkeypatch.setattr(Path, "mkdir", mkdir)


def test_version_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    v2_at(monkeypatch, tmp_path / "cgroup", "cpu io memory pids\n")
    limits = cgroup_v2.find("hashrange-1-2")
    assert limits is not None
    group = limits.create("7", Bounds(128, cpu_quota=True))
    assert group is not None
    directory = tmp_path / "cgroup" / "hashrange-1-2" / "7"
    written = {name: (directory / name).read_text() for name in ("memory.max", "memory.swap.max", "pids.max")}
    assert written == {"memory.max": str(128 << 20), "memory.swap.max": "0", "pids.max": "1024"}
    assert (directory / "cpu.weight").read_text() == "7"
    assert (directory / "cpu.max").read_text() == "7236 100000"
    assert group.join == [directory / "cgroup.procs"]
    (directory / "memory.peak").write_text(str(40 * 1024 * 1024 + 1))
    assert group.peak_mb() == 41
    (directory / "memory.events").write_text("low 0\noom 2\noom_kill 0\n")
    assert not group.killed_for_memory()
    (directory / "memory.events").write_text("low 0\noom 2\noom_kill 1\n")
    assert group.killed_for_memory()


def test_version_2_without_the_memory_controller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    v2_at(monkeypatch, tmp_path / "cgroup", "cpu io\n")
    assert cgroup_v2.find("hashrange-1-2") is None
    assert not (tmp_path / "cgroup" / "hashrange-1-2").exists()


def test_version_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = []
    for controller in ("memory", "pids"):
        (tmp_path / controller / "own").mkdir(parents=True)
        mounts.append(Mount(tmp_path / controller, "cgroup", frozenset(("rw", controller))))
    monkeypatch.setattr(cgroup_v1, "read_mounts", lambda: mounts)
    monkeypatch.setattr(cgroup_v1, "own_paths", lambda: {"memory": "/own", "pids": "/"})
    limits = cgroup_v1.find("hashrange-1-2")
    assert limits is not None
    group = limits.create("3", Bounds(256))
    assert group is not None
    memory = tmp_path / "memory/own/hashrange-1-2/3"
    assert (memory / "memory.limit_in_bytes").read_text() == str(256 << 20)
    assert group.join == [memory / "cgroup.procs", tmp_path / "pids/hashrange-1-2/3/cgroup.procs"]


def test_names_of_what_belongs_to_a_process() -> None:
    mine = process_tag(os.getpid())
    assert not is_stale(mine)
    assert is_stale(mine[:-1] + str((int(mine[-1]) + 1) % 10)), "another process had this id"
    assert not is_stale("something else")
    assert not is_stale("hashrange-data")


def test_counts(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_text("a 1\nb 22\n")
    assert (read_count(path, "b"), read_count(path, "c"), read_count(tmp_path / "none", "a")) == (22, 0, 0)


def test_the_outermost_of_paths() -> None:
    paths = [Path("/a/b"), Path("/a"), Path("/ab"), Path("/c/d/e"), Path("/c/d"), Path("/a")]
    assert sorted(outermost(paths)) == [Path("/a"), Path("/ab"), Path("/c/d")]


def test_what_is_used(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(os.urandom(3 * 1024 * 1024))
    (tmp_path / "loop").symlink_to(tmp_path)
    assert 3 <= directory_mb(tmp_path) <= 4
    assert resident_mb(os.getpid()) > 5
    assert resident_mb(2**22 + 1) == 0
