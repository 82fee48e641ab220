"""The guard: a pool that dies, freezes or stops takes every process of its workers with it, and leaves nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hashrange_router.triggers.limits import cgroup_v1, cgroup_v2
from hashrange_router.triggers.limits.group import PREFIX, is_stale, process_tag, started_at

from hashrange.errors import ApiError
from tests.triggers.workers_support import Lab, laboratory, until

SCRIPT = Path(__file__).parent / "pool_process.py"


class OtherPool:
    """A pool in another process whose function, and a process that it started, are connected to this test."""

    def __init__(self, work_dir: Path, server: socket.socket) -> None:
        port = server.getsockname()[1]
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(work_dir), str(port)], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.output = self.process.stdout
        self.guard = 0
        for line in self.output:
            if line.startswith("ready"):
                self.guard = int(line.split()[1])
                break
        self.connections = [self.accept(server), self.accept(server)]

    @staticmethod
    def accept(server: socket.socket) -> socket.socket:
        server.settimeout(30)
        connection, _ = server.accept()
        connection.settimeout(30)
        return connection

    def interrupted(self) -> bool:
        """Whether the pool answers the call with an error of its own; waits for it."""
        return any(line == "ServiceException\n" for line in self.output)

    def workers_are_dead(self) -> bool:
        """Whether both processes are gone; waits for it."""
        return [connection.recv(1) for connection in self.connections] == [b"", b""]


@contextmanager
def other_pool(work_dir: Path) -> Iterator[tuple[OtherPool, socket.socket]]:
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        pool = OtherPool(work_dir, server)
        try:
            yield pool, server
        finally:
            pool.process.kill()
            pool.process.wait()
            pool.output.close()
            for connection in pool.connections:
                connection.close()
            until(lambda: started_at(pool.guard) == 0 or is_zombie(pool.guard), "the guard has ended")


def is_zombie(pid: int) -> bool:
    """Whether it has ended, and nobody has asked how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def groups() -> set[Path]:
    """Control groups of guards that there are."""
    bases = {*cgroup_v1.bases(), *cgroup_v2.bases()}
    return {path for base in bases for path in base.glob(PREFIX + "*")}


def test_a_killed_pool_takes_its_workers_with_it(tmp_path: Path) -> None:
    with other_pool(tmp_path) as (pool, _):
        tag = process_tag(pool.guard)
        assert (tmp_path / "workers" / tag).is_dir()
        os.kill(pool.process.pid, signal.SIGKILL)
        assert pool.workers_are_dead()
    assert not (tmp_path / "workers" / tag).exists()
    assert not {path for path in groups() if path.name == tag}


def test_a_frozen_pool_loses_its_workers(tmp_path: Path) -> None:
    with other_pool(tmp_path) as (pool, server):
        os.kill(pool.process.pid, signal.SIGSTOP)
        assert pool.workers_are_dead()
        os.kill(pool.process.pid, signal.SIGCONT)
        assert pool.interrupted(), "that is no failure of the function"
        again = pool.accept(server)
        again.close()


def test_without_its_guard_no_worker_lives(tmp_path: Path) -> None:
    with other_pool(tmp_path) as (pool, server):
        os.kill(pool.guard, signal.SIGKILL)
        assert pool.workers_are_dead()
        assert pool.interrupted()
        again = pool.accept(server)  # by a worker under a new guard
        again.close()
        pool.process.kill()
    stale = tmp_path / "workers" / process_tag(pool.guard)
    assert not stale.exists(), "the new guard has removed it"


def test_a_frozen_pool_whose_guard_dies(tmp_path: Path) -> None:
    """Nobody is left to kill the workers but the kernel."""
    with other_pool(tmp_path) as (pool, _):
        os.kill(pool.process.pid, signal.SIGSTOP)
        os.kill(pool.guard, signal.SIGKILL)
        assert pool.workers_are_dead()
        os.kill(pool.process.pid, signal.SIGKILL)


def test_what_a_killed_guard_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    tag = process_tag(process.pid)
    process.kill()
    process.communicate()
    assert is_stale(tag)
    left = tmp_path / "workers" / tag / "1" / "tmp"
    left.mkdir(parents=True)
    limits = cgroup_v2.find(tag) or cgroup_v1.find(tag)
    mine = tmp_path / "workers" / process_tag(os.getpid())
    mine.mkdir()
    with laboratory(tmp_path) as lab:
        assert not left.exists()
        assert mine.exists(), "its process lives"
        if limits is not None:
            assert not {path for path in groups() if path.name == tag}
        assert lab.workers() == 0


def descendants(pid: int) -> set[int]:
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == pid:
                found |= {int(entry.name)} | descendants(int(entry.name))
    return found


def listening() -> int:
    """Sockets that this process holds."""
    links = []
    for path in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(path.readlink()))
        except OSError:
            continue
    return sum(link.startswith(("socket:", "pipe:")) for link in links)


def test_nothing_is_left_after_a_stop(tmp_path: Path) -> None:
    processes, sockets = descendants(os.getpid()), listening()
    with laboratory(tmp_path) as lab:
        function = lab.python(
            "import subprocess\n"
            "def handler(event, context):\n    subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        )
        other = lab.python("def handler(event, context):\n    return 1\n")
        for _ in range(2):
            lab.value(function)
        lab.together(other, 3)
        tag = process_tag(lab.pool.guard.pid)
        assert descendants(os.getpid()) > processes
    assert descendants(os.getpid()) == processes
    assert listening() == sockets
    assert not (tmp_path / "workers" / tag).exists()
    assert not {path for path in groups() if path.name == tag}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_groups_of_single_workers_go_with_them(tmp_path: Path) -> None:
    with laboratory(tmp_path) as lab:
        tag = process_tag(lab.pool.guard.pid)
        mine = [path for path in groups() if path.name == tag]
        if not mine:
            pytest.skip("this machine has no control groups")
        function = lab.python("import os\ndef handler(event, context):\n    os._exit(1)\n")
        for _ in range(2):
            lab.failure(function)
        until(
            lambda: not any(child.is_dir() for path in mine for child in path.iterdir()), "no group is left"
        )
        until(lambda: not list((tmp_path / "workers" / tag).iterdir()), "no directory is left")


def test_stopping_interrupts_without_blaming_the_function(tmp_path: Path) -> None:
    with laboratory(tmp_path) as lab:
        function = lab.python("import time\ndef handler(event, context):\n    time.sleep(event)\n")
        lab.value(function, 0)
        call = lab.begin(function, 60)
    assert isinstance(call.exception(), ApiError)
    assert lab.metrics.errors == {}


def test_the_lab_is_what_the_tests_think(lab: Lab) -> None:
    assert lab.pool.guard.limits in ("cgroup v1", "cgroup v2", "watch")
    assert "no new privileges" in lab.pool.guard.isolation
