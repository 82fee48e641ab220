"""What a worker may do and see: the least that this machine can be made to give it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hashrange_router.triggers.sandbox import process
from hashrange_router.triggers.sandbox.isolation import Isolation, ladder
from hashrange_router.triggers.settings import PoolSettings

from tests.triggers.workers_support import Lab, laboratory

LOOK = """
import os, resource, socket
def status(name):
    for line in open("/proc/self/status"):
        if line.startswith(name + ":"):
            return line.split()[1]
def attempt(work):
    try:
        work()
    except OSError as error:
        return error.strerror
    return "done"
def handler(event, context):
    root = os.environ["LAMBDA_TASK_ROOT"]
    open(os.path.join(os.environ["TMPDIR"], "mine"), "w").close()
    return {
        "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(), "pid": os.getpid(),
        "capabilities": int(status("CapEff"), 16) | int(status("CapBnd"), 16) * (os.getuid() == 0),
        "no_new_privs": status("NoNewPrivs"), "temporary": os.environ["TMPDIR"],
        "tmp": sorted(os.listdir(os.environ["TMPDIR"])),
        "write_code": attempt(lambda: open(root + "/app.py", "a")),
        "hidden": attempt(lambda: os.listdir(event)) if event else None,
        "processes": len([name for name in os.listdir("/proc") if name.isdigit()]),
        "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0], "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
        "environ_of_parent": attempt(lambda: open("/proc/%d/environ" % os.getppid()).read()),
    }
"""


def isolated(lab: Lab) -> bool:
    return "own /tmp" in lab.pool.guard.isolation


def test_rights_of_a_worker(lab: Lab) -> None:
    first, second = lab.python(LOOK), lab.python(LOOK)
    seen, other = lab.value(first), lab.value(second)
    assert seen["no_new_privs"] == "1"
    assert seen["capabilities"] == 0
    assert (seen["files"], seen["core"]) == (1024, 0)
    if "own user" in lab.pool.guard.isolation:
        assert seen["uid"] != other["uid"]
        assert min(seen["uid"], seen["gid"]) >= PoolSettings(Path("x")).first_uid
        assert seen["groups"] == []
        assert seen["write_code"] != "done"


def test_each_worker_has_a_tmp_of_its_own(lab: Lab) -> None:
    function, other = lab.python(LOOK), lab.python(LOOK)
    assert "mine" in lab.value(function)["tmp"]
    stays = lab.python(
        "import os, tempfile\ndef handler(e, c):\n    name = tempfile.gettempdir() + '/kept'\n"
        "    found = os.path.exists(name)\n    open(name, 'w').close()\n    return found\n"
    )
    assert [lab.value(stays), lab.value(stays)] == [False, True], "it stays from one invocation to the next"
    seen = lab.value(other)
    assert "kept" not in seen["tmp"]


def test_what_is_hidden(lab: Lab, tmp_path: Path) -> None:
    if not isolated(lab):
        pytest.skip("this machine gives no mount namespaces")
    (tmp_path / "secret").write_text("x")
    seen = lab.value(lab.python(LOOK), str(tmp_path))
    assert seen["hidden"] == "No such file or directory", "other files below /tmp are not there"
    assert seen["temporary"] == "/tmp"
    assert lab.value(lab.python(LOOK), str(lab.settings.work_dir / "logs"))["hidden"] != "done"
    assert seen["processes"] == 2, "it sees its own processes alone"
    assert seen["write_code"] in ("Read-only file system", "Permission denied")


@pytest.mark.parametrize("base", ["/var/tmp", "/dev/shm", "/var/lib", "/run"])
def test_wherever_the_pool_works(lab: Lab, base: str) -> None:
    """Also below a place that is covered, or that only the pool's user can enter."""
    if not os.access(base, os.W_OK):
        pytest.skip(f"{base} is not writable")
    with tempfile.TemporaryDirectory(dir=base) as place, laboratory(Path(place) / "deep" / "work") as there:
        assert there.pool.guard.isolation == lab.pool.guard.isolation
        logs = str(there.settings.work_dir / "logs")
        assert there.value(there.python(LOOK), logs)["hidden"] != "done"


def test_the_network_is_there(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        source = (
            "import socket\n"
            "def handler(e, c):\n    socket.create_connection(('127.0.0.1', e)).close()\n    return 'open'\n"
        )
        assert lab.value(lab.python(source), server.getsockname()[1]) == "open"


@pytest.mark.parametrize("rung", range(len(ladder(True))))
def test_functions_run_with_each_kind_of_isolation(
    tmp_path: Path, rung: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each as if the machine gave no better: the guard, a process of its own, is told so by a module on its path."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'hashrange_router.triggers.sandbox.process' in sys.orig_argv:\n"
        "    from hashrange_router.triggers.sandbox import isolation\n"
        f"    best = isolation.ladder\n    isolation.ladder = lambda own_user: best(own_user)[{rung}:]\n"
        "    from hashrange_router.triggers import limits\n"
        + ("    limits.probe = lambda tag: limits.NoLimits()\n" if rung % 2 else "")
    )
    monkeypatch.setenv("PYTHONPATH", str(site))
    with laboratory(tmp_path / "work") as lab:
        assert lab.pool.guard.isolation in [worse.describe() for worse in ladder(True)[rung:]]
        if rung % 2:
            assert lab.pool.guard.limits == "watch"
        function = lab.python(LOOK, memory_mb=128)
        seen = lab.value(function)
        assert (seen["no_new_privs"], seen["capabilities"]) == ("1", 0), "whatever the machine gives"
        assert lab.value(lab.node("exports.handler = async (e) => e;"), 5) == 5
        source = (
            "import time\ndef handler(e, c):\n    x = [bytearray(1 << 20) for _ in range(e)]\n"
            "    time.sleep(e > 99 and 5)\n    return len(x)\n"
        )
        hungry = lab.python(source, memory_mb=128, timeout_s=20)
        assert lab.value(hungry, 10) == 10
        failure = lab.failure(hungry, 300)
        assert failure["errorType"] == "Runtime.ExitError"
        assert failure["errorMessage"].endswith("signal: killed")
        fork = (
            "import subprocess\ndef handler(e, c):\n    subprocess.run(['true'], check=True)\n    return 1\n"
        )
        assert lab.value(lab.python(fork)) == 1


AS_NOBODY = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from hashrange_router.triggers.sandbox import child
from hashrange_router.triggers.sandbox.isolation import ladder
look = "import os; print(os.getuid(), os.listdir('/tmp'), open('/proc/self/status').read().split('CapEff:')[1][:17])"
for number, isolation in enumerate(ladder(True)):
    work = Path(sys.argv[1]) / "work" / str(number)
    (work / "tmp").mkdir(parents=True)
    spec = child.Spec([sys.executable, "-c", look], {}, work, work, 128, 64, hidden=[Path("/tmp")])
    said, status = os.pipe2(os.O_CLOEXEC)
    pid = child.start(spec, isolation, [], 1, status)
    os.close(status)
    os.waitpid(pid, 0)
    sys.stdout.flush()
    print(isolation.own_users, os.read(said, 1000), flush=True)
"""


def python_for_all() -> str | None:
    """An interpreter that a user without rights can run."""
    for path in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        # Twice: setpriv gives its rights up only with what it executes.
        again = "import os, sys; os.execv(sys.executable, [sys.executable, '-c', 'import json, tomllib'])"
        asked = [*NOBODY, path, "-c", again]
        if subprocess.run(asked, capture_output=True, check=False).returncode == 0:
            return path
    return None


NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")
def test_without_root() -> None:
    """A user without rights still gets namespaces, if the kernel gives them; and always no new rights."""
    python = python_for_all()
    if python is None:
        pytest.skip("every interpreter is in a directory of root's alone")
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        source = Path(process.__file__).parents[2]
        for part in ("__init__.py", "triggers/__init__.py", "triggers/limits", "triggers/sandbox"):
            target = Path(place) / "hashrange_router" / part
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (source / part).is_dir() else shutil.copy)(source / part, target)
        (Path(place) / "work").mkdir()
        (Path(place) / "work").chmod(0o777)
        done = subprocess.run(
            [*NOBODY, python, "-c", AS_NOBODY, place], capture_output=True, text=True, timeout=60, check=True
        )
    lines = done.stdout.splitlines()
    assert lines[-1] == "False b''"
    assert lines[-2].startswith("65534 ")
    if lines[1].startswith("True b'S 0 "):
        assert lines[0].split("\t")[0].strip() == f"65534 ['{Path(place).name}']", "it sees its own /tmp"
        assert int(lines[0].split("\t")[1], 16) == 0
    else:
        assert lines[0].startswith("True b'E"), "it says why not"


def test_the_ladder_ends_with_what_always_works() -> None:
    rungs = ladder(own_user=True)
    assert rungs[-1] == Isolation()
    assert rungs[-1].flags == 0
    assert len(set(rungs)) == len(rungs)
    assert not any(rung.change_user for rung in ladder(own_user=False))


def test_the_guard_loads_the_standard_library_alone() -> None:
    heavy = ("asyncio", "orjson", "structlog", "uvloop", "httptools")
    code = f"import {process.__name__}, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
