"""A disk that fails under the log: full, refusing fsync, or refusing writes."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hashrange_node.log import Entry, LogFailed, LogFull

from tests.unit.log_support import (
    FailingFiles,
    Owner,
    crash_copy,
    entries,
    grow_disk,
    open_log,
    small_disk,
    sync_now,
)


@pytest.mark.parametrize("durability", ["fsync", "os"])
def test_a_full_disk_takes_nothing_of_the_batch_and_later_ones_work(tmp_path: Path, durability: str):
    files, owner = FailingFiles(), Owner()
    log, _ = open_log(tmp_path / "log", owner, files=files, durability=durability)
    log.append(entries(1, 4))
    end = log.position
    # Past the zeros written ahead, so that the write needs room.
    large = [Entry(1, 99, 1, b"x" * 400_000)]
    for room in (0, 1, 55, 100, 4096, 399_999):
        files.room = room
        with pytest.raises(LogFull):
            log.append(large)
        assert log.position == end
        files.room = None
        log.append(entries(5, 1))
        end = log.position
        copy = crash_copy(tmp_path / "log", tmp_path / f"copy-{room}")
        again, found = open_log(copy)
        assert found[-1] == entries(5, 1)[0]
        assert Entry(1, 99, 1, b"x" * 400_000) not in found
        again.close()
    log.close()


def test_a_full_disk_when_a_segment_begins_leaves_the_log_as_it_was(tmp_path: Path):
    files = FailingFiles()
    log, _ = open_log(tmp_path, files=files, segment_bytes=5000)
    log.append(entries(1, 1, size=4000))
    files.room = 0
    with pytest.raises(LogFull):
        log.append(entries(2, 1, size=4000))
    files.room = 100
    with pytest.raises(LogFull):
        log.append(entries(2, 1, size=4000))
    files.room = None
    log.append(entries(2, 2, size=4000))
    log.close()
    log, found = open_log(tmp_path)
    assert found == entries(1, 3, size=4000)
    log.close()


def test_a_small_disk_fills_up_and_gets_more_room(tmp_path: Path):
    with small_disk(tmp_path / "disk", "2m") as disk:
        owner = Owner()
        log, _ = open_log(disk / "log", owner)
        written = 0
        with pytest.raises(LogFull):
            while True:
                log.append(entries(written + 1, 10, size=1000))
                written += 10
        assert written > 1000
        sync_now(log, owner)
        with pytest.raises(LogFull):
            log.append([Entry(1, 1, 1, b"x" * 300_000)])
        grow_disk(disk, "8m")
        log.append(entries(written + 1, 10, size=1000))
        written += 10
        sync_now(log, owner)
        log.close()
        log, found = open_log(disk / "log")
        assert found == entries(1, written, size=1000)
        log.close()


def test_a_failed_fdatasync_ends_the_process_and_confirms_nothing(tmp_path: Path):
    files, owner, fatal, done = FailingFiles(), Owner(), [], []
    log, _ = open_log(tmp_path, owner, files=files, fatal=fatal.append)
    log.append(entries(1, 3))
    sync_now(log, owner)
    files.sync_error = OSError(errno.EIO, "Input/output error")
    position = log.append(entries(4, 1))
    before = files.syncs
    log.sync(position, done.append)
    owner.run_until(lambda: fatal)
    assert "could not be made durable" in fatal[0]
    assert str(tmp_path) in fatal[0]
    assert files.syncs == before + 1, "a failed fdatasync is never tried again"
    with pytest.raises(LogFailed):
        log.append(entries(5, 1))
    log.sync(position, done.append)
    files.sync_error = None
    log.close()
    assert done == []
    assert log.durable_position < position


def test_a_write_error_ends_the_process(tmp_path: Path):
    class BrokenFiles(FailingFiles):
        def pwritev(self, fd, buffers, offset):
            if self.room == 0:
                raise OSError(errno.EIO, "Input/output error")
            return super().pwritev(fd, buffers, offset)

    files, fatal = BrokenFiles(), []
    log, _ = open_log(tmp_path, files=files, fatal=fatal.append)
    files.room = 0
    with pytest.raises(LogFailed):
        log.append(entries(1, 1))
    assert "could not be written" in fatal[0]
    log.close()


CHILD = """
import sys, threading
from pathlib import Path
from hashrange_node.log import FileLog
log = FileLog.open(Path(sys.argv[1]), b"0123456789abcdef", call_soon=lambda call, *args: call(*args))
list(log.replay())
print("open", flush=True)
sys.stdin.readline()
done = threading.Event()
log.sync(log.append([(1, 1, 1, b"payload", 1)]), lambda position: done.set())
done.wait(30)
print("acknowledged", flush=True)
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_an_error_of_the_real_system_call_ends_the_process(tmp_path: Path):
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None and child.stdout is not None
    assert child.stdout.readline() == "open\n"
    options = ["-f", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO"]
    tracer = subprocess.Popen(["strace", *options, "-p", str(child.pid)], stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    attached = tracer.stderr.readline()
    if "attached" not in attached:
        child.kill()
        child.communicate()
        pytest.skip("tracing is not permitted here")
    output, errors = child.communicate("go\n", timeout=60)
    tracer.communicate(timeout=60)
    assert child.returncode == 70
    assert "could not be made durable" in errors
    assert "Input/output error" in errors
    assert output == "", "nothing was acknowledged"
