"""The command line: commands, help that teaches, errors in one sentence, exit codes."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from hashrange import __version__
from hashrange.cli import serve
from hashrange.cli.main import app
from hashrange.cli.screen import endpoint_url, start_screen
from hashrange.cli.startup_errors import explain
from hashrange.runtime.config import ServeConfig
from hashrange.runtime.settings import flag_of, load
from hashrange.runtime.startup import StartupError

COMMANDS = (
    "serve",
    "cluster",
    "health",
    "node",
    "regions",
    "router",
    "api",
    "bench",
    "top",
    "functions",
    "triggers",
    "dax",
    "reset",
    "repair",
    "version",
)

runner = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})


def run_program(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The real program, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "hashrange.cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "NO_COLOR": "1", **environ},
        check=False,
    )


def test_the_help_lists_the_commands_that_exist() -> None:
    text = runner.invoke(app, ["--help"]).output
    for command in COMMANDS:
        assert command in text
    listed = {line.split()[1] for line in text.splitlines() if line.startswith("│ ") and line[2].isalpha()}
    assert listed == set(COMMANDS)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "version"])
def test_every_command_shows_examples(command: str) -> None:
    text = runner.invoke(app, [command, "--help"]).output
    assert "Examples:" in text
    assert f"hashrange {command}" in text


def test_every_setting_has_a_flag_with_its_default_in_the_help() -> None:
    command = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]
    options = {parameter.name: parameter for parameter in command.params}
    fields = set(ServeConfig.model_fields) - {
        "credentials",
        "peer_credentials",
    }  # secrets do not belong on a command line
    assert set(options) - {"config", "print_config", "help"} == fields
    for name in fields:
        assert options[name].opts == [flag_of(name)]
        default = ServeConfig.model_fields[name].default
        if isinstance(default, bool) or default in (None, ()):
            continue
        shown = ",".join(default) if isinstance(default, tuple) else str(default)
        assert f"(default {shown})" in options[name].help, name


def test_an_unknown_command_is_answered_with_a_suggestion() -> None:
    result = runner.invoke(app, ["serv"])
    assert result.exit_code == 2
    assert "Did you mean 'serve'?" in result.output


def test_the_version() -> None:
    assert runner.invoke(app, ["version"]).output == f"hashrange {__version__}\n"


def test_mistakes_in_settings_are_all_told_and_end_with_code_2() -> None:
    result = run_program("serve", "--port", "x", "--durability", "y", HASHRANGE_REGION="?")
    assert result.returncode == 2
    lines = result.stderr.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["HASHRANGE_REGION", "--port", "--durability"]
    assert "Traceback" not in result.stderr


def test_the_effective_configuration_is_printed_with_sources() -> None:
    result = run_program("-port", "8123", "-sharedDb", "--print-config", HASHRANGE_DURABILITY="os")
    assert result.returncode == 0
    assert "port = 8123" in result.stdout
    assert "# --port" in result.stdout
    assert 'durability = "os"' in result.stdout
    assert "# HASHRANGE_DURABILITY" in result.stdout


def test_version_and_help_load_no_server() -> None:
    code = (
        "import sys; from hashrange.cli import main; sys.argv = ['hashrange', 'version']\n"
        "try: main.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'uvloop', 'grpc', 'botocore', 'rocksdict', 'structlog', 'hdrh', 'rich'}\n"
        "loaded = set(sys.modules) & heavy\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


def test_a_server_loads_neither_grpc_nor_botocore_nor_rich() -> None:
    code = (
        "import sys, hashrange.cli.main, hashrange.cli.server, hashrange.cli.embedded\n"
        "loaded = set(sys.modules) & {'grpc', 'botocore', 'boto3', 'rich', 'hdrh', 'pydantic_settings'}\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


def test_a_server_without_functions_loads_nothing_of_them() -> None:
    code = (
        "import sys, hashrange.cli.main, hashrange.cli.server, hashrange.cli.embedded\n"
        "loaded = [m for m in sys.modules if m.startswith(('hashrange_router.triggers', 'hashrange.cli.triggers'))]\n"
        "assert not loaded, loaded\n"
        "assert not set(sys.modules) & {'aiohttp', 'awslambdaric', 'watchfiles', 'http.client'}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


def test_the_start_screen_tells_of_functions() -> None:
    config = load({"triggers": True}, {}).config
    assert "hashrange functions deploy handler.py --table TABLE" in start_screen(
        config, "h", 1, colours=False
    )


def test_the_start_screen_gives_lines_to_copy() -> None:
    config = load({"data_dir": "/data"}, {}).config
    text = start_screen(config, "0.0.0.0", 8000, colours=False)
    assert "\x1b" not in text
    assert "http://127.0.0.1:8000" in text
    assert 'boto3.resource("dynamodb", endpoint_url="http://127.0.0.1:8000", region_name="us-east-1"' in text
    assert "aws dynamodb list-tables --endpoint-url http://127.0.0.1:8000 --region us-east-1" in text
    assert "/data" in text
    assert "fsync" in text
    assert "any are accepted (SDKs insist" in text
    assert "\x1b[" in start_screen(config, "127.0.0.1", 8000, colours=True)


def test_the_start_screen_warns_of_an_open_door() -> None:
    config = load({"host": "0.0.0.0"}, {}).config
    assert "whoever reaches this port can read and write" in start_screen(config, "h", 1, colours=False)


def test_the_start_screen_of_a_server_in_memory_with_credentials() -> None:
    config = load({"in_memory": True}, {"HASHRANGE_CREDENTIALS": "KEY:geheim"}).config
    text = start_screen(config, "127.0.0.1", 8000, colours=False)
    assert "everything is gone when the server stops" in text
    assert "1 access key configured" in text
    assert "geheim" not in text


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8"),
        ("::", "http://[::1]:8"),
        ("::1", "http://[::1]:8"),
        ("box", "http://box:8"),
    ],
)
def test_endpoint_url(address: str, url: str) -> None:
    assert endpoint_url(address, 8) == url


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EADDRINUSE, "in use"), "port 8000 is in use; stop the program"),
        (OSError(errno.EADDRNOTAVAIL, "x"), "127.0.0.1 is no address of this machine"),
        (PermissionError(errno.EACCES, "x"), "may not listen on 127.0.0.1:8000"),
        (PermissionError(errno.EACCES, "x", "/data"), "/data may not be read and written"),
        (OSError(errno.EROFS, "x", "/data"), "/data is on a file system mounted read-only"),
        (OSError(errno.ENOSPC, "x", "/data"), "no space left for /data"),
        (NotADirectoryError(errno.ENOTDIR, "x", "/data"), "/data is not a directory"),
        (socket.gaierror(-2, "x"), "the address '127.0.0.1' is unknown"),
        (StartupError("The data directory is in use; stop the other server."), "in use; stop the other"),
    ],
)
def test_a_failed_start_is_explained_in_one_sentence(error: BaseException, words: str) -> None:
    sentence = explain(error, load({}, {}).config)
    assert sentence is not None
    assert words in sentence
    assert "\n" not in sentence


def test_a_mistake_in_the_program_is_not_explained_away() -> None:
    assert explain(KeyError("x"), load({}, {}).config) is None
    assert explain(OSError(errno.EBADF, "x"), load({}, {}).config) is None


def test_the_api_table() -> None:
    from hashrange.cli import api_table

    table = api_table.rows()
    names = {(service, name) for service, name, _ in table}
    assert ("dynamodb", "GetItem") in names
    assert ("dynamodbstreams", "GetRecords") in names
    assert any(supported for _, _, supported in table)
    text = runner.invoke(app, ["api"]).output
    assert "GetItem" in text
    assert "dynamodb: " in text
    listed = json.loads(runner.invoke(app, ["api", "--json"]).output)
    assert {entry["operation"]: entry["supported"] for entry in listed} == {
        name: supported for _, name, supported in table
    }
    assert not any(entry["supported"] for entry in listed if "refused" in entry)
    refused = [entry for entry in listed if "refused" in entry and entry["service"] == "dynamodb"]
    assert len(refused) == 3
    assert all("Kinesis" in entry["operation"] for entry in refused)
    assert "refused: there are no layers" in text
    assert "refused: Kinesis streams are not available here" in text


def test_bench_refuses_nonsense_in_one_sentence() -> None:
    for arguments, words in (
        (["fly"], "there is no workload 'fly'"),
        (["get", "--endpoint", "ftp://x"], "is no endpoint"),
        (["get", "--sign", "x"], "--sign takes KEY:SECRET"),
        (["get", "--connections", "1", "--processes", "2"], "every process needs a connection"),
        (["get", "--endpoint", "http://127.0.0.1:9", "--duration", "0.1"], "does not answer"),
    ):
        result = runner.invoke(app, ["bench", *arguments])
        assert result.exit_code == 1, arguments
        assert words in result.output


def test_serve_takes_its_settings_as_texts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[object] = []

    def run(flags: object, config: object, print_config: object) -> int:
        seen.append((flags, config, print_config))
        return 7

    monkeypatch.setattr("hashrange.cli.server.run", run)
    result = runner.invoke(app, ["serve", "--port", "1", "--in-memory", "--config", str(tmp_path)])
    assert result.exit_code == 7
    assert seen == [({"port": "1", "in_memory": True}, str(tmp_path), False)]
    assert serve.serve.__doc__
