"""Bounds on memory, CPU and processes of a worker: control groups (v2, else v1), else a watch on what it uses.

    limits = probe(tag)                      # looks at the machine once, when the guard starts
    group = limits.create("7", Bounds(memory_mb=128, cpu_quota=False))
    ...the child writes "0" to each of group.join, before it gives up its rights...
    group.peak_mb(), group.killed_for_memory(); group.kill(); group.remove()

Only the guard process uses this; it loads nothing but the standard library.
"""

from __future__ import annotations

from hashrange_router.triggers.limits import cgroup_v1, cgroup_v2
from hashrange_router.triggers.limits.group import Bounds, Group, Limits, NoLimits, sweep

__all__ = ["Bounds", "Group", "Limits", "probe", "sweep_all"]


def probe(tag: str) -> Limits:
    """The best means this machine allows. `tag` names the directory of this guard's groups."""
    return cgroup_v2.find(tag) or cgroup_v1.find(tag) or NoLimits()


def sweep_all() -> None:
    """Remove groups that a guard which is no more has left behind."""
    for base in (*cgroup_v2.bases(), *cgroup_v1.bases()):
        sweep(base)
