"""Whether the workers of earlier pools in the same directory have ended.

    if await have_ended(work_dir): ...      # asked before the pool of this process is started

Whoever is the only one to use a directory knows that earlier pools there are no more, but not yet that nothing runs
for them: their guards end the workers, which takes a moment. A guard has a directory named after its process from
before its first worker until after its last. Where that is left behind by a process that is no more, the kernel has
killed its workers.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from hashrange_router.triggers.limits.group import PREFIX, is_stale

WAIT_S: Final = 3.0
_LOOK_S: Final = 0.05


def guards_alive(work_dir: Path) -> list[str]:
    """The guards that look after workers below a pool's directory, by the names of their directories."""
    names = [path.name for path in (work_dir / "workers").glob(f"{PREFIX}*")]
    return [name for name in names if not is_stale(name)]


async def have_ended(work_dir: Path, wait_s: float = WAIT_S) -> bool:
    """Whether no guard is left, which is waited for as long as `wait_s` seconds."""
    for _ in range(round(wait_s / _LOOK_S)):
        if not guards_alive(work_dir):
            return True
        await asyncio.sleep(_LOOK_S)
    return not guards_alive(work_dir)
