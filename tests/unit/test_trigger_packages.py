"""Without the packages of the extra, functions are refused with what to install."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from hashrange.cli import role, server, trigger_packages
from hashrange.cli.cluster.up import UpOptions, run

WORDS = "running functions needs awslambdaric: pip install 'hashrange[triggers]'"


@pytest.fixture
def without_awslambdaric(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str, package: str | None = None) -> Any:
        return None if name == "awslambdaric" else importlib.util.find_spec(name, package)

    monkeypatch.setattr(trigger_packages, "find_spec", find)


def test_nothing_is_missing_here() -> None:
    assert trigger_packages.missing() == ""


@pytest.mark.usefixtures("without_awslambdaric")
def test_a_server_a_pool_and_a_cluster_say_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert server.run({"triggers": True, "in_memory": True}, None, False) == 1
    assert capsys.readouterr().err == f"hashrange: --triggers: {WORDS}\n"
    assert role.run_triggers(None, False, {"seeds": "1/127.0.0.1:1"}) == 1
    assert capsys.readouterr().err == f"hashrange: {WORDS}\n"
    assert run(UpOptions(directory=tmp_path / "c", triggers=1)) == 1
    assert capsys.readouterr().err == f"hashrange: {WORDS}\n"
    assert not (tmp_path / "c").exists()
