"""`hashrange bench` from its options to its output, against a tiny server; and the example for Locust."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hashrange.cli.bench import show, targets
from hashrange.cli.main import app
from tests.unit.load_fakes import FakeDynamo

runner = CliRunner(env={"COLUMNS": "160", "NO_COLOR": "1", "TERM": "dumb"})
QUICK = ("--items", "100", "--warm-up", "0", "--connections", "4", "--scrape-interval", "0.1")
EXAMPLES = Path(__file__).parents[2] / "clients" / "hashrange_client" / "examples"


@contextlib.contextmanager
def running(fake: FakeDynamo) -> Iterator[str]:
    """The server in a thread; its URL."""
    loop, ready, url = asyncio.new_event_loop(), threading.Event(), []
    end = asyncio.Event()

    async def serve() -> None:
        async with fake.serving() as where:
            url.append(where)
            ready.set()
            await end.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(10)
    try:
        yield url[0]
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
        loop.close()


def bench(fake: FakeDynamo, *arguments: str) -> tuple[int, str]:
    """Run the command; exit code and output."""
    with running(fake) as url:
        result = runner.invoke(app, ["bench", *QUICK, "--endpoint", url, *arguments])
    return result.exit_code, result.output


def test_a_run_is_told_as_tables_and_says_what_the_generator_cost() -> None:
    code, text = bench(FakeDynamo(), "get", "--count", "200")
    assert code == 0, text
    assert "GetItem" in text
    assert "load generator: " in text
    assert "keys uniform" in text


@pytest.mark.parametrize(
    "words", [("get", "--json"), ("--json", "get"), ("--json", "-", "get"), ("get", "--json", "-")]
)
def test_json_alone_goes_to_standard_output(words: tuple[str, ...]) -> None:
    code, text = bench(FakeDynamo(), "--count", "50", *words)
    assert code == 0, text
    document = json.loads(text)
    assert (document["format"], document["workload"], document["requests"]) == (2, "get", 50)


def test_files_of_a_run_can_be_compared(tmp_path: Path) -> None:
    one, page = tmp_path / "one.json", tmp_path / "one.html"
    code, text = bench(FakeDynamo(), "mix", "--count", "300", "--json", str(one), "--report", str(page))
    assert code == 0, text
    assert "GetItem" in text
    assert page.read_text().startswith("<!doctype html>")
    document = json.loads(one.read_text())
    document["operations"]["GetItem"]["p50_us"] *= 2
    (tmp_path / "two.json").write_text(json.dumps(document))
    compared = runner.invoke(app, ["bench", "--compare", str(one), str(tmp_path / "two.json")])
    assert compared.exit_code == 0
    assert "2.00" in compared.output
    (tmp_path / "other.json").write_text("{}")
    for name, words in (("other.json", "is no run of this version"), ("none.json", "cannot be read")):
        refused = runner.invoke(app, ["bench", "--compare", str(one), str(tmp_path / name)])
        assert refused.exit_code == 1
        assert words in refused.output


def test_scripts_can_ask_for_limits() -> None:
    throttling = FakeDynamo(refuse=10)
    throttling.exists = True
    code, text = bench(throttling, "get", "--no-preload", "--count", "200", "--max-error-rate", "0.05")
    assert code == 1
    assert "10.000% of the requests failed or were never sent, not at most 5.000%" in text
    assert "throttled: 20 requests" in text
    code, text = bench(FakeDynamo(), "get", "--count", "50", "--expect-p99-ms", "0.0001")
    assert code == 1
    assert "the 99th percentile is" in text
    code, _ = bench(FakeDynamo(), "get", "--count", "50", "--max-error-rate", "0", "--expect-p99-ms", "60000")
    assert code == 0


def test_a_run_without_any_success_ends_with_code_1() -> None:
    broken = FakeDynamo(refuse=1)
    code, text = bench(broken, "get", "--no-preload", "--count", "20")
    assert code == 1
    assert "no request succeeded: 20 × ThrottlingException" in text


def test_options_become_settings() -> None:
    code, text = bench(
        FakeDynamo(),
        "--mix",
        "get=1,put=1",
        "--hot-keys",
        "2",
        "--hot-share",
        "0.9",
        "--count",
        "100",
        "--json",
    )
    assert code == 0, text
    settings = json.loads(text)["settings"]
    assert (settings["keys"], settings["hot_keys"], settings["hot_share"]) == ("hotspot", 2, 0.9)
    assert settings["acts"] == {"get": 0.5, "put": 0.5}
    code, text = bench(FakeDynamo(), "get", "--hot-keys", "2", "--distribution", "zipfian")
    assert code == 1
    assert "belong to --distribution hotspot" in text


def test_a_schedule_is_told_with_what_came_of_it() -> None:
    code, text = bench(FakeDynamo(), "get", "--rate", "200", "--arrivals", "poisson", "--duration", "0.5")
    assert code == 0, text
    assert "asked for 200/s with poisson gaps, done" in text


def test_metrics_of_the_server_come_into_the_document() -> None:
    with running(FakeDynamo()) as url:
        words = ["bench", "get", *QUICK, "--endpoint", url, "--duration", "0.5", "--metrics", url, "--json"]
        result = runner.invoke(app, words)
    assert result.exit_code == 0, result.output
    (process,) = json.loads(result.output)["server_processes"]
    assert process["url"] == f"{url}/metrics"
    assert process["totals"]["cpu_s"] == 0.0
    assert len(process["series"]) >= 2


def test_boto3_can_put_the_load_on() -> None:
    fake = FakeDynamo()
    code, text = bench(fake, "mix", "--client", "boto3", "--count", "60", "--json")
    assert code == 0, text
    document = json.loads(text)
    assert document["requests"] == 60
    assert set(document["operations"]) <= {"GetItem", "PutItem", "Query", "UpdateItem", "all"}
    code, text = bench(
        FakeDynamo(refuse=2), "get", "--no-preload", "--client", "boto3", "--count", "40", "--json"
    )
    assert json.loads(text)["errors"] == {"ThrottlingException": 20}
    code, text = bench(
        FakeDynamo(), "get", "--client", "boto3", "--rate", "100", "--duration", "0.4", "--json"
    )
    assert json.loads(text)["requests"] == pytest.approx(40, abs=8)


def test_a_cluster_that_is_named_must_be_there(tmp_path: Path) -> None:
    result = runner.invoke(app, ["bench", "get", "--data-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert str(tmp_path) in result.output.replace("\n", "")


def test_no_cluster_is_guessed_for_another_endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert targets.cluster_of(None, "http://127.0.0.1:8000") is None
    (tmp_path / "hashrange-cluster").mkdir()
    (tmp_path / "hashrange-cluster" / "cluster.json").write_text("damaged")
    assert targets.cluster_of(None, "http://127.0.0.1:8000") is None


def test_hits_are_of_all_caches() -> None:
    assert show.hit_share({"item_hits": 8, "item_misses": 1, "query_misses": 1}) == 0.8
    assert show.hit_share({}) is None


def test_the_locust_example_has_users_whose_calls_are_reported() -> None:
    tree = ast.parse((EXAMPLES / "locustfile.py").read_text())
    classes: dict[str, Any] = {each.name: each for each in tree.body if isinstance(each, ast.ClassDef)}
    users = [
        name for name, each in classes.items() if [ast.unparse(base) for base in each.bases] == ["DynamoUser"]
    ]
    assert users
    tasks = [
        function.name
        for function in classes[users[0]].body
        if isinstance(function, ast.FunctionDef)
        and any(ast.unparse(each).startswith("task(") for each in function.decorator_list)
    ]
    assert len(tasks) >= 3
    imported = [each.module for each in ast.walk(tree) if isinstance(each, ast.ImportFrom)]
    assert "locust" in imported
    lines = (EXAMPLES / "locustfile.py").read_text().splitlines()
    # Locust replaces the standard library's sockets, and must do so before boto3 has taken them.
    assert next(n for n, line in enumerate(lines) if "from locust import" in line) < lines.index(
        "import boto3"
    )
