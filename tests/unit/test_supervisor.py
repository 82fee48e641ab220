"""The supervisor: children start, are watched, faulted and stopped; what it must never touch is left alone."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hashrange.cli.cluster import control, faults, layout, processes, up
from hashrange.cli.cluster.commands import node_number
from hashrange.cli.cluster.layout import Layout, LayoutError, Process
from hashrange.cli.cluster.status import gather
from hashrange.cli.cluster.supervisor import Supervisor, check_ports, describe_exit
from hashrange.cli.main import app

CHILD = [sys.executable, str(Path(__file__).with_name("supervisor_child.py"))]
WITHIN_S = 20.0

runner = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})


def free_base() -> int:
    """A base whose first ports are free; what another program takes meanwhile is refused clearly."""
    for base in range(20_000 + os.getpid() % 10_000, 64_000, layout.PORTS):
        planned = layout.plan(Path(), azs=3, nodes=6, routers=2, base_port=base, region="r")
        try:
            check_ports(planned, planned.processes)
        except LayoutError:
            continue
        return base
    raise AssertionError("no free ports")


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():  # noqa: ASYNC110 - what the kernel and the tests' children do raises no event
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(directory: Path, **settings: object) -> AsyncIterator[tuple[Supervisor, list[str]]]:
    planned = layout.plan(
        directory, azs=3, nodes=3, routers=1, base_port=free_base(), region="us-east-1", settings=settings
    )
    said: list[str] = []
    supervisor = Supervisor(planned, said.append, CHILD)
    try:
        await supervisor.start()
        yield supervisor, said
    finally:
        for process in planned.processes:  # also those that ignore SIGTERM
            if settings:
                processes.send(process.pid, process.started, signal.SIGKILL)
        await supervisor.stop()


def states(planned: Layout) -> list[str]:
    return [process.state for process in planned.processes]


def test_a_cluster_starts_and_stops(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as (supervisor, said):
            planned = supervisor.layout
            assert states(planned) == ["ready"] * 4
            assert layout.load(tmp_path).processes == planned.processes
            assert all(os.getsid(process.pid) == process.pid for process in planned.processes if process.pid)
            assert sum("is ready after" in line for line in said) == 4
            assert "node 1 begins" in (tmp_path / "node-1" / "log.txt").read_text()
            document = await gather(planned)
            assert [row["state"] for row in document["processes"]] == ["ready"] * 4
            assert set(document["processes"][0]) == {
                "role", "id", "az", "pid", "address", "metrics_url", "state",
            }  # fmt: skip
        assert states(planned) == ["stopped"] * 4
        assert {process.pid for process in planned.processes} == {None}
        assert [row["state"] for row in (await gather(planned))["processes"]] == ["stopped"] * 4

    asyncio.run(scenario())


def test_a_process_that_cannot_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    async def scenario() -> None:
        with pytest.raises(LayoutError, match=r"did not start .exit code 1.: hashrange: it may not be"):
            async with running(tmp_path, log_level="error"):
                pass

    asyncio.run(scenario())


def test_a_killed_process_stays_down_until_it_is_restarted(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as (supervisor, said):
            planned = supervisor.layout
            victim = planned.find("node", 2)
            assert faults.signal_all(planned, "kill", [victim]) == ["node-2 (az2) is killed"]
            await until(lambda: victim.state == "failed")
            assert "node-2 (az2) ended: killed by SIGKILL" in said
            assert faults.signal_all(planned, "kill", [victim]) == ["node-2 (az2) is not running"]
            assert (await gather(planned))["processes"][1]["state"] == "failed"
            await supervisor.obey({"verb": "restart", "names": ["node-2"]}, said.append)
            assert victim.state == "ready"
            before = victim.pid
            await supervisor.obey({"verb": "restart", "names": ["node-2"]}, said.append)
            assert victim.pid != before
            await supervisor.obey({"verb": "stop", "names": ["node-2"]}, said.append)
            assert victim.state == "stopped"

    asyncio.run(scenario())


def test_a_paused_process_is_seen_and_stopped_all_the_same(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as (supervisor, _):
            planned = supervisor.layout
            victim = planned.find("node", 3)
            faults.signal_all(planned, "pause", [victim])
            await until(lambda: processes.state_of(victim.pid, victim.started) == processes.PAUSED)
            assert (await gather(planned))["processes"][2]["state"] == "paused"

    asyncio.run(scenario())


def test_one_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, shutdown_grace_s="600") as (supervisor, said):
            victim = supervisor.layout.find("node", 1)
            await supervisor.end(victim, grace_s=0.1)
            assert victim.state == "stopped"
            assert any("did not stop" in line for line in said)

    asyncio.run(scenario())


def test_children_end_when_the_supervisor_dies(tmp_path: Path) -> None:
    """However it dies: the kernel closes the pipe that each child holds the other end of."""
    code = (
        "import asyncio, os, signal, sys\n"
        "from pathlib import Path\n"
        "from hashrange.cli.cluster import layout\n"
        "from hashrange.cli.cluster.supervisor import Supervisor\n"
        "planned = layout.plan(Path(sys.argv[1]), azs=1, nodes=1, routers=1,\n"
        "                      base_port=int(sys.argv[2]), region='r')\n"
        "async def main():\n"
        "    await Supervisor(planned, print, sys.argv[3:]).start()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    arguments = [sys.executable, "-c", code, str(tmp_path), str(free_base()), *CHILD]
    assert (
        subprocess.run(arguments, check=False, timeout=60, capture_output=True).returncode == -signal.SIGKILL
    )
    left = layout.load(tmp_path).processes
    assert all(process.pid for process in left)
    asyncio.run(until(lambda: all(processes.state_of(p.pid, p.started) == "gone" for p in left)))


def test_commands_of_another_terminal(tmp_path: Path) -> None:
    async def scenario() -> None:
        # Deeper than the 107 bytes that the address of a Unix socket may have.
        directory = tmp_path / ("d" * 100)
        directory.mkdir()
        said: list[str] = []
        with pytest.raises(LayoutError, match="is not running; start it"):
            await control.command(directory, {"verb": "stop", "names": []}, said.append)
        async with running(directory) as (supervisor, _):
            server = await control.listen(directory, supervisor.obey)
            added = await control.command(directory, {"verb": "add-node", "az": "az2"}, said.append)
            assert added == {"name": "node-4", "id": 4, "az": "az2"}
            assert said[0].startswith("node-4 (az2) is ready after")
            assert layout.load(directory).find("node", 4).state == "ready"
            await control.command(directory, {"verb": "forget", "names": ["node-4"]}, said.append)
            assert len(layout.load(directory).of("node")) == 3
            for request, words in (
                ({"verb": "fly", "names": []}, "knows no command 'fly'"),
                ({"verb": "restart", "names": ["node-9"]}, "there is no node 9"),
                ({"verb": "add-node", "az": "az9"}, "there is no zone az9"),
                ({"no": "verb"}, "was not understood"),
            ):
                with pytest.raises(LayoutError, match=words):
                    await control.command(directory, request, said.append)
            server.close()

    asyncio.run(scenario())


def test_cut_and_heal_through_the_command_line(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path):

            async def command(*arguments: str) -> list[str]:
                words = ["cluster", *arguments, "--data-dir", str(tmp_path)]
                result = await asyncio.to_thread(runner.invoke, app, words)
                return [*result.output.splitlines(), *([] if result.exit_code == 0 else ["failed"])]

            assert await command("cut", "az1") == [
                "node-1 (az1) is cut off from nodes 2, 3",
                "node-2 (az2) is cut off from node 1",
                "node-3 (az3) is cut off from node 1",
                "router-1 (az1) is cut off from node 1",
            ]
            assert await command("cut", "2", "--from", "3") == [
                "node-2 (az2) is cut off from nodes 1, 3",
                "node-3 (az3) is cut off from nodes 1, 2",
            ]
            assert "node-2 (az2) is cut off from node 3" in await command("heal", "az1")
            healed = await command("heal")
            assert len(healed) == 4
            assert all(line.endswith("reaches every node") for line in healed)
            assert await command("split", "7") == ["hashrange: there is no such partition", "failed"]
            assert await command("split", "Music") == [
                "hashrange: there is no table Music in this cluster",
                "failed",
            ]
            assert (await command("pause", "nobody"))[-1] == "failed"
            table = "\n".join(await command("status"))
            assert "node-3" in table
            assert "no partitions" in table

    asyncio.run(scenario())


def test_foreign_processes_are_never_signalled() -> None:
    with subprocess.Popen(["sleep", "60"]) as foreign:
        started = processes.start_time(foreign.pid)
        assert started is not None
        assert processes.state_of(foreign.pid, started) == "running"
        assert not processes.send(foreign.pid, started + 1, signal.SIGKILL)
        assert processes.state_of(foreign.pid, started + 1) == "gone"
        assert foreign.poll() is None
        assert processes.send(foreign.pid, started, signal.SIGKILL)
        foreign.wait()
    assert processes.state_of(foreign.pid, started) == "gone"
    assert not processes.send(foreign.pid, started, signal.SIGKILL)
    assert not processes.send(None, None, signal.SIGKILL)


def test_leftovers_are_stopped_and_strangers_with_their_ids_are_not(tmp_path: Path) -> None:
    planned = layout.plan(tmp_path, azs=3, nodes=3, routers=1, base_port=8000, region="r")
    first, second, _ = planned.of("node")
    said: list[str] = []

    def end_leftovers(boot: str) -> None:
        first.pid, first.started = mine.pid, processes.start_time(mine.pid)
        second.pid, second.started = stranger.pid, 1
        planned.boot = boot
        asyncio.run(up.end_leftovers(planned, said.append))

    with subprocess.Popen(["sleep", "60"]) as mine, subprocess.Popen(["sleep", "60"]) as stranger:
        end_leftovers("another run of this machine")
        assert mine.poll() is None
        assert first.pid is None
        end_leftovers(processes.boot_id())
        assert said == [f"node-1 still runs from before (pid {mine.pid}) and is stopped"]
        assert mine.poll() == -signal.SIGTERM
        assert stranger.poll() is None
        stranger.kill()


def test_a_second_supervisor_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with up.lock(tmp_path):
        assert up.run(up.UpOptions(tmp_path)) == 1
    text = capsys.readouterr().err
    assert f"the cluster in {tmp_path} is running already (pid {os.getpid()})" in text


def test_taken_ports_are_named_before_anything_starts(tmp_path: Path) -> None:
    base = free_base()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", base + 102))
        taken.listen()
        assert up.run(up.UpOptions(tmp_path, port=base)) == 1
        planned = layout.plan(tmp_path, azs=3, nodes=3, routers=1, base_port=base, region="r")
        with pytest.raises(LayoutError, match=f"port {base + 102} is in use"):
            check_ports(planned, planned.processes)
    assert not (tmp_path / "node-1").exists()


def test_options_that_contradict_the_cluster_of_the_directory(tmp_path: Path) -> None:
    layout.plan(tmp_path, azs=3, nodes=3, routers=1, base_port=9000, region="r").save()
    assert up.layout_for(up.UpOptions(tmp_path, nodes=3, settings=["segment-mb=8"])).settings == {
        "segment_mb": "8"
    }
    for options, words in (
        (up.UpOptions(tmp_path, nodes=6), "has --nodes 3, not 6; .*add-node"),
        (up.UpOptions(tmp_path, port=8000), "has --port 9000, not 8000"),
        (up.UpOptions(tmp_path, settings=["x"]), "--set takes NAME=VALUE"),
    ):
        with pytest.raises(LayoutError, match=words):
            up.layout_for(options)


@pytest.mark.parametrize(
    ("code", "words"), [(0, "exit code 0"), (-9, "killed by SIGKILL"), (-99, "killed by signal 99")]
)
def test_exits_in_words(code: int, words: str) -> None:
    assert describe_exit(code) == words


def test_commands_say_where_they_found_no_cluster(tmp_path: Path) -> None:
    for arguments in (
        ["status"],
        ["kill", "1"],
        ["restart", "1"],
        ["heal"],
        ["split", "1"],
        ["decommission", "1"],
        ["decommission", "node-1"],
        ["drain", "node-1"],
        ["undrain", "node-1"],
        ["move", "1", "node-1", "2"],
    ):
        result = runner.invoke(app, ["cluster", *arguments, "--data-dir", str(tmp_path / "none")])
        assert result.exit_code == 1, arguments
        assert "there is no cluster in" in result.output


def test_nodes_are_named_by_number_or_by_name() -> None:
    assert [node_number(text) for text in ("4", "node-4", " 4 ")] == [4, 4, 4]
    for text in ("node-", "router-1", "0", "node-0", "-4", "az1", "4x", ""):
        result = runner.invoke(app, ["cluster", "drain", "--", text])
        assert result.exit_code == 2, text
        assert "write 4 or node-4" in result.output


def test_children_are_started_as_the_supervisor_was(tmp_path: Path) -> None:
    """So that a wrapper around the program is around its children too."""
    script = tmp_path / "wrapper.py"
    script.write_text("from hashrange.cli.cluster.supervisor import own_program\nprint(own_program())\n")
    done = subprocess.run(
        [sys.executable, str(script), "cluster", "up"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str([sys.executable, str(script)])


def test_names_of_processes() -> None:
    assert Process("node", 3, "az1").name == "node-3"
