"""The short form of the flips campaign: real servers refuse a log with a changed byte, and repair helps."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from tests.cluster.flips import fill, run, segment_of, start_on_flipped, used_bytes
from tests.cluster.kill9 import TABLE, Server, call


def test_every_flip_is_noticed(tmp_path: Path) -> None:
    noticed, missed = run(tmp_path, items=30, places=4, seed=3)
    assert missed == []
    assert noticed == 4


def test_repair_keeps_what_is_intact(tmp_path: Path) -> None:
    data_dir, scratch = tmp_path / "data", tmp_path / "copy"
    fill(data_dir, 40, random.Random(5))
    offset = used_bytes(segment_of(data_dir)) * 3 // 4
    assert "hashrange repair" in start_on_flipped(data_dir, scratch, offset)
    repaired = subprocess.run(
        [sys.executable, "-m", "hashrange.cli.main", "repair", "--data-dir", str(scratch), "--yes"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert repaired.returncode == 0, repaired.stdout + repaired.stderr
    server = Server(scratch)
    try:
        with closing(server.connect()) as connection:
            found = [
                number
                for number in range(40)
                if "Item"
                in call(connection, "GetItem", {"TableName": TABLE, "Key": {"pk": {"S": f"k{number}"}}})[1]
            ]
    finally:
        server.kill()
    assert 10 < len(found) < 40
    assert found == list(range(len(found)))
    shutil.rmtree(scratch)
