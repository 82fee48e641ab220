"""What functions write: in the log of the function, in its file, and at the end of an Invoke that asks for it."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from pathlib import Path

import pytest

from tests.triggers.workers_support import Lab, laboratory, until


def test_the_lines_of_an_invocation(lab: Lab) -> None:
    source = """
import sys
print("while loading")
def handler(event, context):
    print("to stdout")
    print("to stderr", file=sys.stderr)
    print("no end of line", end="")
"""
    function = lab.python(source, memory_mb=128)
    invocation = lab.invocation(function, want_log=True)
    result = lab.run(lab.pool.invoke(invocation))
    lines = lab.log(function)
    rid = invocation.request_id
    assert lines[:-1] == [
        "while loading",
        f"START RequestId: {rid} Version: $LATEST",
        "to stdout",
        "to stderr",
        "no end of line",
        f"END RequestId: {rid}",
    ]
    report = (
        rf"REPORT RequestId: {rid}\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\t"
        r"Max Memory Used: \d+ MB\tInit Duration: \d+\.\d\d ms\t"
    )
    assert re.fullmatch(report, lines[-1])
    assert result.log_tail.decode() == "\n".join(lines) + "\n"
    assert 1 <= result.max_memory_mb <= 128
    again = lab.invoke(function)
    assert "while loading" not in again.log_tail.decode()
    assert again.log_tail.startswith(b"START")


def test_the_log_is_given_to_those_who_ask(lab: Lab) -> None:
    function = lab.python("def handler(event, context):\n    print('x')\n")
    assert lab.run(lab.pool.invoke(lab.invocation(function))).log_tail == b""


def test_the_tail_is_four_kilobytes(lab: Lab) -> None:
    function = lab.python("def handler(event, context):\n    for n in range(3000): print('line', n)\n")
    tail = lab.invoke(function).log_tail
    assert len(tail) == 4096
    assert b"line 2999\nEND" in tail
    assert len(lab.log(function)) == 3003, "nothing is lost, and all is there when the call returns"


def test_a_traceback_is_one_entry(lab: Lab) -> None:
    function = lab.python("def handler(event, context):\n    raise ValueError('bad')\n")
    lab.failure(function)
    entry = next(text for text in lab.log(function) if "ValueError" in text)
    assert entry.startswith("[ERROR] ValueError: bad\nTraceback (most recent call last):\n")


def test_logging_has_request_ids(lab: Lab) -> None:
    source = "import logging\ndef handler(event, context):\n    logging.warning('careful')\n"
    function = lab.python(source)
    invocation = lab.invocation(function)
    lab.run(lab.pool.invoke(invocation))
    assert any(
        re.fullmatch(rf"\[WARNING\]\t\S+Z\t{invocation.request_id}\tcareful", text)
        for text in lab.log(function)
    )


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_what_node_writes(lab: Lab) -> None:
    source = """exports.handler = async () => {
        console.log("a %d", 1, { b: 2 }); console.error("two\\nlines"); process.stdout.write("raw\\n"); };"""
    function = lab.node(source)
    invocation = lab.invocation(function)
    lab.run(lab.pool.invoke(invocation))
    rid = invocation.request_id
    texts = lab.log(function)
    assert any(re.fullmatch(rf"\S+Z\t{rid}\tINFO\ta 1 {{ b: 2 }}", text) for text in texts)
    assert any(re.fullmatch(rf"\S+Z\t{rid}\tERROR\ttwo\nlines", text) for text in texts)
    assert "raw" in texts


def test_logs_as_json(lab: Lab) -> None:
    source = "import logging\ndef handler(event, context):\n    logging.getLogger().error('bad')\n"
    function = lab.python(source, log_format="JSON")
    lab.value(function)
    documents = [json.loads(text) for text in lab.log(function)]
    assert [document.get("type") or document.get("message") for document in documents] == [
        "platform.start",
        "bad",
        "platform.report",
    ]
    assert documents[2]["record"]["metrics"]["durationMs"] > 0


def test_files_hold_the_log_and_rotate(tmp_path: Path) -> None:
    with laboratory(tmp_path, log_file_bytes=4000, log_files=3) as lab:
        source = "def handler(event, context):\n    for n in range(40): print(event, n, 'x' * 50)\n"
        function = lab.python(source, name="wordy")
        for number in range(4):
            lab.value(function, number)
        folder = tmp_path / "logs"
        until(lambda: "END" in (folder / "wordy.log").read_text(), "it is handed over")
        names = sorted(path.name for path in folder.iterdir())
        assert names == ["wordy.log", "wordy.log.1", "wordy.log.2"]
        assert all(path.stat().st_size <= 4000 for path in folder.iterdir())
        newest = (folder / "wordy.log").read_text()
        assert re.search(r"^\d{4}-\S+Z\t\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}\t3 39 x+$", newest, re.M)


def test_following_a_log(lab: Lab) -> None:
    function = lab.python("def handler(event, context):\n    print('seen', event)\n")
    lab.value(function, 1)
    logs, name = lab.pool.logs, function.name
    first, cursor = logs.read(name)
    assert [entry.text for entry in first if entry.text.startswith("seen")] == ["seen 1"]
    assert logs.read(name, cursor) == ([], cursor)

    async def follow() -> tuple[bool, list[str]]:
        waiting = asyncio.ensure_future(logs.wait(name, cursor, 20))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        await lab.pool.invoke(lab.invocation(function, 2))
        return await waiting, [entry.text for entry in logs.read(name, cursor)[0]]

    more, texts = lab.run(follow())
    assert more
    assert "seen 2" in texts
    assert not lab.run(logs.wait(name, logs.read(name)[1], 0.01))
    assert {entry.request_id for entry in logs.read(name)[0]} != {""}


def test_a_flood_of_lines_that_outlives_the_handler_stops_nobody(tmp_path: Path) -> None:
    source = (
        "import subprocess, time\ndef handler(e, c):\n    subprocess.Popen(['yes'])\n    time.sleep(0.2)\n"
    )
    with laboratory(tmp_path, silence_s=2.0) as lab:
        lab.value(lab.python("def handler(e, c):\n    pass\n"))
        flood = lab.python(source)
        for _ in range(3):
            assert lab.value(flood) is None
        assert lab.workers() == 2, "the pool was never silent, or all workers would have been killed"
