"""Faults of the disk under a real server process: no space left, and an fsync that fails.

The disk is a small tmpfs (root and mount are needed); the failing fsync is injected by strace. Where the
machine offers neither, the test is left out with the reason. Neither can be simulated by a test double
without testing the double.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.cluster.campaign.disks import Tracer
from tests.cluster.kill9 import CREATE, TABLE, Server, call


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a tmpfs cannot be mounted here: " + mounted.stderr.decode().strip())
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=False)


def create(server: Server) -> None:
    with closing(server.connect()) as connection:
        assert call(connection, "CreateTable", CREATE)[0] == 200


def put(server: Server, key: str, size: int = 20_000) -> tuple[int, dict]:
    item = {"pk": {"S": key}, "v": {"S": "x" * size}}
    with closing(server.connect()) as connection:
        return call(connection, "PutItem", {"TableName": TABLE, "Item": item})


def get(server: Server, key: str) -> dict:
    with closing(server.connect()) as connection:
        status, reply = call(connection, "GetItem", {"TableName": TABLE, "Key": {"pk": {"S": key}}})
    assert status == 200, reply
    return reply


def test_a_full_disk_fails_writes_keeps_reads_and_recovers(small_disk: Path) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(bytes(12 << 20))
    server = Server(small_disk / "data", "--segment-mb", "4")
    try:
        create(server)
        acknowledged = []
        refused: dict = {}
        for number in range(2000):
            status, refused = put(server, f"k{number}")
            if status != 200:
                assert status == 500, refused
                break
            acknowledged.append(f"k{number}")
        assert refused["__type"].endswith("#InternalServerError")
        assert "disk is full" in refused["message"]
        for key in acknowledged[:: max(1, len(acknowledged) // 20)]:
            assert "Item" in get(server, key)
        filler.unlink()
        deadline = time.monotonic() + 20
        while put(server, "after")[0] != 200:
            assert time.monotonic() < deadline, "writes did not come back when there was room"
            time.sleep(0.2)
        for key in [*acknowledged, "after"]:
            assert "Item" in get(server, key)
    finally:
        server.kill()
    again = Server(small_disk / "data", "--segment-mb", "4")
    try:
        for key in [*acknowledged, "after"]:
            assert "Item" in get(again, key)
    finally:
        again.kill()


@pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace, which injects the error, is not installed"
)
def test_a_failed_fsync_ends_the_process_with_a_message(tmp_path: Path) -> None:
    server = Server(tmp_path / "data")
    create(server)
    try:
        with Tracer(server.process.pid, "fdatasync:error=EIO"):
            try:
                put(server, "lost", 10)
            except OSError:
                pass
            except Exception as error:
                assert "Remote" in type(error).__name__ or "Incomplete" in type(error).__name__, error
            code = server.process.wait(20)
        assert code == 70
        assert server.process.stderr is not None
        message = server.process.stderr.read().decode()
        assert "fdatasync" in message or "fsync" in message, message
    finally:
        if server.process.poll() is None:
            server.kill()
        if server.process.stderr is not None:
            server.process.stderr.close()
