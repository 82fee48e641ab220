"""Flip single bytes in the middle of a real server's log and see that every flip is noticed.

Run by hand for the long form: `python -m tests.cluster.flips --places 40`; the short form is a test
(`test_flips.py`). A server takes writes and is killed with kill -9; then, for each place, a copy of its data
directory gets one byte of the log changed and a server is started on it. It must refuse with a message that
names the log and what to do. A server that starts although the flip lies inside a record is a silent loss.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from tests.cluster.kill9 import CREATE, TABLE, Server, call, make_item


def fill(data_dir: Path, items: int, rng: random.Random) -> None:
    """Write items with fsync, then kill the server."""
    server = Server(data_dir)
    with closing(server.connect()) as connection:
        assert call(connection, "CreateTable", CREATE)[0] == 200
        for number in range(items):
            status, reply = call(
                connection, "PutItem", {"TableName": TABLE, "Item": make_item(f"k{number}", rng)}
            )
            assert status == 200, reply
    server.kill()


def segment_of(data_dir: Path) -> Path:
    """The log's segment with the records."""
    return max((data_dir / "log").iterdir(), key=lambda path: path.stat().st_size)


def used_bytes(segment: Path) -> int:
    """Where the records end: behind them are only the zeros written ahead."""
    return len(segment.read_bytes().rstrip(b"\0"))


def start_on_flipped(data_dir: Path, scratch: Path, offset: int) -> str:
    """Start a server on a copy with one byte changed; its error message, or '' when it started."""
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(data_dir, scratch)
    segment = segment_of(scratch)
    with segment.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))
    try:
        server = Server(scratch)
    except RuntimeError as refused:
        return str(refused)
    server.kill()
    return ""


def run(directory: Path, items: int, places: int, seed: int) -> tuple[int, list[int]]:
    """How many flips were noticed, and the offsets of those that were not."""
    rng = random.Random(seed)
    data_dir = directory / "data"
    fill(data_dir, items, rng)
    used = used_bytes(segment_of(data_dir))
    offsets = sorted(rng.sample(range(64, used - 1), places))
    missed = []
    for offset in offsets:
        message = start_on_flipped(data_dir, directory / "copy", offset)
        if "log is damaged" not in message:
            missed.append(offset)
    return places - len(missed), missed


def main() -> int:
    """The long form."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--places", type=int, default=40)
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        noticed, missed = run(Path(directory), arguments.items, arguments.places, arguments.seed)
    print(f"{noticed} of {arguments.places} flips were noticed; missed at {missed}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
