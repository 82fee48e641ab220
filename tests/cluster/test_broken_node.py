"""The disk of the negative controls: it forgets what was not synced, and nothing else."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hashrange_node.log.format import Entry
from hashrange_node.log.log import FileLog

ROOT = Path(__file__).resolve().parent.parent.parent


def open_log(directory: Path, loop: asyncio.AbstractEventLoop) -> tuple[FileLog, list[int]]:
    """A log and the indexes of what it holds."""
    directory.mkdir(exist_ok=True)
    log = FileLog.open(
        directory,
        b"a" * 16,
        call_soon=loop.call_soon_threadsafe,
        durability="fsync",
        segment_bytes=1 << 20,
        must_exist=False,
        fatal=print,
    )
    return log, [entry.index for _, entry in log.replay()]


async def write_and_die(directory: Path) -> None:
    """Three entries that are synced, one that is not, and kill -9."""
    loop = asyncio.get_running_loop()
    log, _ = open_log(directory, loop)
    done: asyncio.Future[int] = loop.create_future()
    log.sync(log.append([Entry(1, index, 1, b"x" * 50) for index in (1, 2, 3)]), done.set_result)
    await done
    log.append([Entry(1, 4, 1, b"y" * 50)])
    assert [log.read(position).index for position in log.last_starts()] == [4], "it sees its own writes"
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(("disk", "left"), [("", [1, 2, 3, 4]), ("power", [1, 2, 3]), ("sync", [])])
def test_what_a_kill_leaves(disk: str, left: list[int], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.cluster.test_broken_node", str(tmp_path / "log"), disk]
    died = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    loop = asyncio.new_event_loop()
    log, found = open_log(tmp_path / "log", loop)
    log.close()
    loop.close()
    assert found == left


if __name__ == "__main__":
    from tests.cluster.broken_node import SABOTAGE

    if sys.argv[2]:
        SABOTAGE[sys.argv[2]]()
    asyncio.run(write_and_die(Path(sys.argv[1])))
