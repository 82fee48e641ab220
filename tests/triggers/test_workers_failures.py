"""What goes wrong in a worker, reported as the service does: time, memory, exits, functions that cannot be loaded."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
from pathlib import Path
from time import monotonic

import pytest

from hashrange.errors import ApiError
from tests.triggers.workers_support import Lab, laboratory, until

BORN = "import random, os, sys, time\nborn = random.random()\n"


def test_a_handler_that_takes_too_long(lab: Lab) -> None:
    function = lab.python(BORN + "def handler(e, c):\n    time.sleep(e)\n    return born\n", timeout_s=1)
    first = lab.value(function, 0)
    invocation = lab.invocation(function, 30, want_log=True)
    result = lab.run(lab.pool.invoke(invocation))
    assert result.error == "Unhandled"
    message = json.loads(result.payload)["errorMessage"]
    pattern = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (\S+) Task timed out after 1\.00 seconds"
    match = re.fullmatch(pattern, message)
    assert match is not None, message
    assert match[1] == invocation.request_id
    assert json.loads(result.payload).keys() == {"errorMessage"}
    assert message.encode() in result.log_tail
    assert b"Status: timeout" in result.log_tail
    assert result.duration_ms >= 1000
    assert lab.value(function, 0) != first, "the next invocation has a new worker"


def test_a_timeout_ends_what_the_handler_has_started(lab: Lab) -> None:
    source = """
import os, socket, subprocess, sys, time
def handler(event, context):
    code = "import socket, time; s = socket.create_connection(('127.0.0.1', %d)); time.sleep(600)"
    subprocess.Popen([sys.executable, "-c", code % event], start_new_session=True)
    time.sleep(600)
"""

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        function = lab.python(source, timeout_s=2)
        assert "timed out" in lab.failure(function, server.getsockname()[1])["errorMessage"]
        connection, _ = server.accept()
        with connection:
            connection.settimeout(30)
            assert connection.recv(1) == b"", "the process in a session of its own is dead too"


def test_more_memory_than_allowed(lab: Lab) -> None:
    function = lab.python(
        BORN + "def handler(e, c):\n    x = bytearray(e * 1024 * 1024)\n    return [len(x), born]\n",
        memory_mb=128,
    )
    size, first = lab.value(function, 40)
    assert size == 40 * 1024 * 1024
    result = lab.invoke(function, 400)
    document = json.loads(result.payload)
    assert document["errorType"] == "Runtime.ExitError"
    assert re.fullmatch(
        r"RequestId: \S+ Error: Runtime exited with error: signal: killed", document["errorMessage"]
    )
    assert b"Error Type: Runtime.ExitError" in result.log_tail
    assert 120 <= result.max_memory_mb <= 130
    assert lab.value(function, 1)[1] != first


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_more_memory_than_allowed_in_node(lab: Lab) -> None:
    source = """exports.handler = async (n) => {
        const kept = [];
        for (let i = 0; i < n; i++) kept.push(Buffer.alloc(1 << 20, 1));
        return kept.length; };"""
    function = lab.node(source, memory_mb=160)
    assert lab.value(function, 5) == 5
    assert lab.failure(function, 1000)["errorType"] == "Runtime.ExitError"


@pytest.mark.parametrize(
    ("statement", "ending"),
    [
        ("sys.exit(3)", "Runtime exited with error: exit status 3"),
        ("os._exit(0)", "Runtime exited without providing a reason"),
        ("os.kill(os.getpid(), 9)", "Runtime exited with error: signal: killed"),
        ("os.abort()", "Runtime exited with error: signal: aborted"),
    ],
)
def test_a_process_that_ends(lab: Lab, statement: str, ending: str) -> None:
    function = lab.python(BORN + f"def handler(e, c):\n    print('last words')\n    {statement}\n")
    result = lab.invoke(function)
    document = json.loads(result.payload)
    assert (result.error, document["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert document["errorMessage"].endswith("Error: " + ending), document
    assert b"last words" in result.log_tail


@pytest.mark.parametrize(
    ("source", "handler", "kind", "words"),
    [
        ("import nothing_like_this\n", "app.handler", "Runtime.ImportModuleError", "No module named"),
        ("x = (\n", "app.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app'"),
        ("x = 1\n", "app.handler", "Runtime.HandlerNotFound", "missing on module 'app'"),
        ("x = 1\n", "absent.handler", "Runtime.ImportModuleError", "No module named 'absent'"),
        ("x = 1\n", "handler", "Runtime.MalformedHandlerName", "Bad handler"),
        ("x = {}['k']\n", "app.handler", "KeyError", "'k'"),
        ("import os; os._exit(7)\n", "app.handler", "Runtime.ExitError", "exit status 7"),
        (
            "import time; print('hm'); time.sleep(60)\n",
            "app.handler",
            "",
            "Task timed out after 2.00 seconds",
        ),
    ],
)
def test_functions_that_cannot_be_loaded(
    tmp_path: Path, source: str, handler: str, kind: str, words: str
) -> None:
    with laboratory(tmp_path, init_timeout_s=1.0 if "sleep" in source else 20.0) as lab:
        function = lab.function("python3.11", handler, {"app.py": source}, timeout_s=2)
        result = lab.invoke(function)
        document = json.loads(result.payload)
        assert result.error == "Unhandled"
        assert document.get("errorType", "") == kind
        assert words in document["errorMessage"]
        assert b"INIT_REPORT" in result.log_tail
        until(lambda: lab.workers() == 0, "the failed worker is gone")


def test_a_function_that_cannot_start_is_started_less_and_less_often(tmp_path: Path) -> None:
    with laboratory(tmp_path) as lab:
        function = lab.python("import nothing_like_this\n")
        begun = monotonic()
        for _ in range(5):
            assert lab.failure(function)["errorType"] == "Runtime.ImportModuleError"
        assert monotonic() - begun > 0.25 + 0.5, "the fourth and the fifth start were put off"
        mended = lab.run(
            lab.shelf.put(lab.shelf.packages[lab.python("def handler(e, c):\n    return 1\n").code])
        )
        begun = monotonic()
        assert lab.value(lab.update(function, code=mended)) == 1, "a new revision starts at once"


def test_a_package_that_is_not_there(lab: Lab) -> None:
    function = lab.update(lab.python("x = 1\n"), code="0" * 64)
    with pytest.raises(ApiError) as caught:
        lab.invoke(function)
    assert caught.value.type_name == "ResourceNotFoundException"


def test_too_much_in_tmp(tmp_path: Path) -> None:
    with laboratory(tmp_path) as lab:
        source = """
import tempfile, time, os
def handler(event, context):
    kept = []
    for _ in range(event):
        kept.append(tempfile.NamedTemporaryFile(delete=False))
        kept[-1].write(os.urandom(1 << 20)); kept[-1].flush()
    if event > 1: time.sleep(20)
    return os.path.dirname(kept[0].name)
"""
        function = lab.python(source, ephemeral_mb=5)
        assert lab.value(function, 1)
        result = lab.invoke(function, 8)
        assert json.loads(result.payload)["errorType"] == "Runtime.ExitError"
        assert b"/tmp held more than 5 MB" in result.log_tail


def test_one_file_cannot_pass_the_size_of_tmp(lab: Lab) -> None:
    source = """
import tempfile
def handler(event, context):
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * event)
"""
    function = lab.python(source, ephemeral_mb=5)
    assert lab.failure(function, 6 * 1024 * 1024)["errorType"] == "OSError"


def test_a_cancelled_call_returns_when_the_worker_is_dead(lab: Lab) -> None:

    function = lab.python(BORN + "def handler(e, c):\n    time.sleep(e)\n    return born\n")
    first = lab.value(function, 0)

    async def cancel() -> int:
        task = asyncio.ensure_future(lab.pool.invoke(lab.invocation(function, 60)))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return sum(worker.function == function for worker in lab.pool._owner_of)

    assert lab.run(cancel()) == 0
    assert lab.value(function, 0) != first


def test_very_many_files_are_too_much_in_tmp_and_disturb_nobody(tmp_path: Path) -> None:
    source = """
import os
def handler(event, context):
    number = 0
    while True:
        open("%s/%d" % (os.environ["TMPDIR"], number), "w").close()
        number += 1
"""
    with laboratory(tmp_path, silence_s=2.0) as lab:
        many = lab.begin(lab.python(source, ephemeral_mb=96, timeout_s=60))
        other = lab.begin(lab.python("import time\ndef handler(e, c):\n    time.sleep(60)\n", timeout_s=60))
        assert json.loads(many.result(60).payload)["errorType"] == "Runtime.ExitError"
        with pytest.raises(TimeoutError):
            other.result(
                3.0
            )  # longer than a pool may be silent: the guard did not take its own work for that
        other.cancel()
