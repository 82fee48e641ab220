"""Formatting, lint, types and layers: the tools of the development environment find nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tidy.support import ROOT, run_tool


def test_ruff_check() -> None:
    done = run_tool("ruff", "check", "--no-cache", "--output-format", "concise")
    assert done.returncode == 0, done.stdout


def test_ruff_check_can_fail(tmp_path: Path) -> None:
    sample = tmp_path / "sample.py"
    sample.write_text("import os\n")
    assert (
        run_tool(
            "ruff", "check", "--no-cache", "--config", str(ROOT / "pyproject.toml"), str(sample)
        ).returncode
        == 1
    )


def test_ruff_format() -> None:
    done = run_tool("ruff", "format", "--no-cache", "--check", "--output-format", "concise")
    assert done.returncode == 0, done.stdout


def test_ruff_format_can_fail(tmp_path: Path) -> None:
    sample = tmp_path / "sample.py"
    sample.write_text("x=  1\n")
    done = run_tool(
        "ruff", "format", "--no-cache", "--check", "--config", str(ROOT / "pyproject.toml"), str(sample)
    )
    assert done.returncode == 1


def test_types() -> None:
    done = run_tool("mypy")
    assert done.returncode == 0, done.stdout


def test_types_can_fail(tmp_path: Path) -> None:
    sample = tmp_path / "sample.py"
    sample.write_text("def f(x):\n    return x\n")
    done = run_tool(
        "mypy", "--strict", "--config-file", "", "--cache-dir", str(tmp_path / "cache"), str(sample)
    )
    assert done.returncode == 1
    assert "no-untyped-def" in done.stdout


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """import-linter on the pyproject.toml of a folder."""
    code = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )


def test_layers() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [("low", "import sample.high"), ("low", "import time"), ("left", "import sample.right")],
)
def test_layers_can_fail(tmp_path: Path, module: str, line: str) -> None:
    package = tmp_path / "sample"
    package.mkdir()
    for name in ("__init__", "high", "left", "right", "low"):
        (package / f"{name}.py").write_text(line + "\n" if name == module else "")
    (tmp_path / "pyproject.toml").write_text(
        "[tool.importlinter]\nroot_package = 'sample'\ninclude_external_packages = true\n"
        "[[tool.importlinter.contracts]]\nname = 'layers'\ntype = 'layers'\n"
        "layers = ['sample.high', 'sample.left | sample.right', 'sample.low']\n"
        "[[tool.importlinter.contracts]]\nname = 'pure'\ntype = 'forbidden'\n"
        "source_modules = ['sample.low']\nforbidden_modules = ['time']\n"
    )
    done = lint_imports(tmp_path)
    assert done.returncode == 1
    assert "BROKEN" in done.stdout
