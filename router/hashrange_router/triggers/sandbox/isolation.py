"""Ways to separate a worker from the rest of the machine, best first."""

from __future__ import annotations

import os
from dataclasses import dataclass

from hashrange_router.triggers.sandbox.kernel import NEW_IPC, NEW_MOUNTS, NEW_PID, NEW_USER, NEW_UTS


@dataclass(frozen=True, slots=True)
class Isolation:
    """One way. `own_users`: the namespaces lie in a user namespace, which needs no rights to make."""

    namespaces: bool = False
    mounts: bool = False
    change_user: bool = False
    own_users: bool = False
    uid: int = 0
    gid: int = 0

    @property
    def flags(self) -> int:
        """What clone is asked for."""
        if not self.namespaces:
            return 0
        flags = NEW_MOUNTS | NEW_UTS | NEW_IPC | NEW_PID
        return flags | NEW_USER if self.own_users else flags

    def describe(self) -> list[str]:
        """What it gives, in words."""
        words = ["no new privileges", "resource limits"]
        if self.namespaces:
            words.append("namespaces (processes, mounts, ipc, host name)")
        if self.mounts:
            words += ["own /tmp", "hidden homes and data", "read-only code"]
        if self.change_user:
            words.append("own user")
        return words


def ladder(own_user: bool) -> list[Isolation]:
    """What to try, in this order. The last always works."""
    uid, gid = os.geteuid(), os.getegid()
    if uid != 0:
        return [
            Isolation(namespaces=True, mounts=True, own_users=True, uid=uid, gid=gid),
            Isolation(),
        ]
    return [
        Isolation(namespaces=True, mounts=True, change_user=own_user),
        Isolation(namespaces=True, mounts=False, change_user=own_user),
        Isolation(namespaces=True, mounts=True),
        Isolation(change_user=own_user),
        Isolation(),
    ]
