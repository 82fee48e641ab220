"""The files the rules look at, and running a tool of the development environment."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = (
    "hashrange",
    "node/hashrange_node",
    "router/hashrange_router",
    "dax/hashrange_dax",
    "clients/hashrange_client",
)
GENERATED = "hashrange/wire/pb/"


@cache
def tracked() -> tuple[str, ...]:
    """Every file of the repository that git knows or would add, relative to the root, in order.

    Outside a git checkout (a source archive) all files count, but for hidden folders and environments.
    """
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        names = listed.stdout.splitlines()
    else:
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if _is_ours(path)]
    return tuple(sorted(name for name in names if (ROOT / name).is_file()))


def _is_ours(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    skipped = {"venv", "node_modules", "__pycache__", "dist", "build"}
    return not any(part in skipped or (part.startswith(".") and part != ".ci") for part in parts)


def python_files(*folders: str) -> list[Path]:
    """Our Python files, of all folders or of the given ones, without generated code."""
    return [
        ROOT / name
        for name in tracked()
        if name.endswith(".py")
        and not name.startswith(GENERATED)
        and (not folders or any(name.startswith(folder.rstrip("/") + "/") for folder in folders))
    ]


def relative(path: Path) -> str:
    """The path as it is named in messages: relative to the root, or as it is for a sample elsewhere."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def run_tool(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """A tool of this Python environment, run as a module: `run_tool("ruff", "check")`."""
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
