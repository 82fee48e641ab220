"""The command that makes the YCSB figures: what it refuses, what it counts, and that it draws (servers are
its own matter).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.ycsb import __main__ as ycsb
from tests.bench.ycsb.picture import operations_per_s
from tests.bench.ycsb.places import Place
from tests.unit.load_fakes import FakeDynamo
from tests.unit.test_bench_command import running


def test_a_read_modify_write_is_one_operation() -> None:
    run = {"requests": 300, "seconds": 2.0, "operations": {"ReadModifyWrite": {"requests": 100}}}
    assert operations_per_s(run) == 100.0
    assert operations_per_s(run | {"operations": {}}) == 150.0


def test_targets_and_workloads_that_do_not_exist_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert ycsb.main(["--targets", "mars"]) == 2
    assert ycsb.main(["--workloads", "a,z"]) == 2
    assert "there is no 'z'" in capsys.readouterr().err


def test_workloads_are_run_in_order_and_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeDynamo()
    fake.keys = ["pk"]

    @contextlib.contextmanager
    def nowhere(_scratch: Path) -> Iterator[Place]:
        with running(fake) as url:
            yield Place(url, {"server": f"{url}/metrics"})

    monkeypatch.setitem(ycsb.PLACES, "embedded", nowhere)
    words = [
        "--targets",
        "embedded",
        "--workloads",
        "c",
        "--seconds",
        "0.3",
        "--warm-up",
        "0",
        "--items",
        "50",
    ]
    files = ["--json", str(tmp_path / "a.json"), "--html", str(tmp_path / "a.html")]
    assert ycsb.main([*words, *files, "--connections", "2", "--picture", str(tmp_path / "a.png")]) == 0
    (run,) = json.loads((tmp_path / "a.json").read_text())["runs"]
    assert (run["name"], run["workload"], run["errors"]) == ("embedded C", "ycsb-c", {})
    assert run["requests"] > 0
    assert "YCSB on hashrange" in (tmp_path / "a.html").read_text()
