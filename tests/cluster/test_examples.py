"""The examples run as they are explained: the quickstart by itself, the tour against a server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.cluster.kill9 import Server, free_port


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )


def test_the_quickstart_starts_a_server_and_shows_it_working(tmp_path: Path) -> None:
    done = run(
        "hashrange_client.examples.quickstart",
        "--port",
        str(free_port()),
        "--data-dir",
        str(tmp_path / "data"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "queried ['Blue in Green']" in done.stdout


def test_the_tour_passes_through_every_operation(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", "--ttl-interval-ms", "100")
    try:
        done = run("hashrange_client.examples.tour", "--endpoint", f"http://127.0.0.1:{server.port}")
    finally:
        assert server.stop() == 0
    assert done.returncode == 0, done.stdout + done.stderr
    assert "23 operations" in done.stdout


def test_the_example_handler_keeps_its_totals(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", "--triggers")
    endpoint = f"http://127.0.0.1:{server.port}"
    handler = Path(__file__).parents[2] / "clients/hashrange_client/examples/totals.py"
    try:
        made = run("hashrange_client.examples.orders", "--create", "--endpoint", endpoint)
        assert made.returncode == 0, made.stdout + made.stderr
        deployed = run(
            *("hashrange.cli.main", "functions", "deploy", str(handler), "--table", "orders"),
            *("--endpoint-url", endpoint),
        )
        assert deployed.returncode == 0, deployed.stdout + deployed.stderr
        done = run("hashrange_client.examples.orders", "--endpoint", endpoint)
    finally:
        assert server.stop() == 0
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the totals are those of the orders" in done.stdout
