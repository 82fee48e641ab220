"""The load generator when things go wrong: no request may vanish from the counts, no run without its result."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hashrange_client.load.requests import Step

from tests.conformance.support import wait_until
from tests.unit.load_fakes import FakeDynamo
from tests.unit.test_bench_command import QUICK, bench, running
from tests.unit.test_load_engine import GOOD, Constant, answer_each, load, scripted, total

CLOSING = GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)


def test_idle_connections_that_are_closed_take_no_request_with_them() -> None:
    def serve(connection: socket.socket, number: int) -> None:
        """The first three connections are closed before anything is asked on them."""
        if number >= 3:
            answer_each(connection, lambda _number: GOOD)

    source = Constant()
    with scripted(serve) as port:
        series, _, _ = load(port, source=source, connections=4, rate=200.0, seconds=1.0)
    assert total(series) + series.errors.total() == source.given
    assert source.given + series.unsent == pytest.approx(200, abs=2)


def test_nothing_is_invented_while_nobody_listens() -> None:
    """At a fixed rate each request that was due is counted once, however often connections were tried."""
    listener = socket.create_server(("127.0.0.1", 0))
    opened: list[socket.socket] = []

    class Last(Constant):
        """The server goes away when the first request is drawn."""

        def next(self) -> Step:
            if not self.given:
                accepting.join(10)
                for each in (listener, *opened):
                    each.close()
            return super().next()

    accepting = threading.Thread(target=lambda: opened.extend(listener.accept()[0] for _ in range(8)))
    accepting.start()
    port = listener.getsockname()[1]
    series, _, _ = load(port, source=Last(), connections=8, rate=20.0, seconds=1.0, backlog=5)
    assert total(series) == 0
    assert series.errors.total() + series.unsent == pytest.approx(20, abs=1)


@pytest.mark.parametrize(("closing_at", "errors", "wholes"), [(0, 2, 1), (1, 0, 2)])
def test_a_connection_that_ends_within_two_requests_is_told(
    closing_at: int, errors: int, wholes: int
) -> None:
    """Requests 0 and 1 of each connection belong together: a read, and a write that is lost with the connection."""

    def serve(connection: socket.socket, number: int) -> None:
        answer_each(connection, lambda place: CLOSING if place == closing_at and number < 2 else GOOD)

    with scripted(serve) as port:
        series, _, _ = load(port, source=Constant(follow=True), connections=1, count=3)
    assert total(series) == 3
    assert total(series, "UpdateItem") == 3 - errors
    assert total(series, "ReadModifyWrite") == 3 - errors == wholes + (1 if closing_at else 0)
    assert series.errors.total() == errors


def test_a_run_that_is_interrupted_tells_what_it_had(tmp_path: Path) -> None:
    fake, path = FakeDynamo(), tmp_path / "run.json"
    fake.exists = True
    with running(fake) as url:
        words = [
            "get",
            "--no-preload",
            "--duration",
            "60",
            "--json",
            str(path),
            "--report",
            str(path) + ".html",
        ]
        process = subprocess.Popen(
            [sys.executable, "-m", "hashrange.cli.main", "bench", *QUICK, "--endpoint", url, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            wait_until(lambda: fake.calls["GetItem"] > 500, "requests")
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=30)
        finally:
            process.kill()
            process.wait()
    assert process.returncode == 130
    assert "stopped after" in output
    assert "GetItem" in output
    document = json.loads(path.read_text())
    assert 0 < document["requests"] <= fake.calls["GetItem"]
    assert document["seconds"] < 30
    assert Path(str(path) + ".html").stat().st_size > 10_000


@pytest.mark.parametrize("option", ["--json", "--report"])
def test_a_file_that_cannot_be_written_is_told_before_the_run(option: str, tmp_path: Path) -> None:
    fake = FakeDynamo()
    code, text = bench(fake, "get", "--count", "10", option, str(tmp_path / "missing" / "run"))
    assert code == 1
    assert "cannot be written" in text
    assert not fake.calls


def test_items_are_loaded_anew_after_deletions() -> None:
    fake = FakeDynamo()
    for workload in ("get", "get", "delete"):
        bench(fake, workload, "--count", "10")
    assert fake.calls["BatchWriteItem"] == 4
    bench(fake, "get", "--count", "10")
    assert fake.calls["BatchWriteItem"] == 8


def test_what_boto3_could_not_send_in_time_is_told() -> None:
    code, text = bench(
        FakeDynamo(), "get", "--client", "boto3", "--rate", "20000", "--duration", "0.5", "--json"
    )
    assert code == 0, text
    document = json.loads(text)
    assert document["unsent"] + document["requests"] == pytest.approx(10_000, rel=0.1)


def test_requests_that_were_never_sent_count_against_the_limit_of_errors() -> None:
    words = ("get", "--rate", "20000", "--duration", "0.5", "--client", "boto3", "--max-error-rate", "0.1")
    code, text = bench(FakeDynamo(), *words)
    assert code == 1
    assert "never sent" in text


@pytest.mark.parametrize(
    "words", [("--endpoint", "http://127.0.0.1:port"), ("--client", "dax", "--dax", "dax://a:b")]
)
def test_a_port_that_is_no_number_is_told(words: tuple[str, ...]) -> None:
    code, text = bench(FakeDynamo(), "get", *words)
    assert code == 1
    assert "write it like" in text
