"""The rules that need no outside tool, as functions from one file to a list of complaints.

Each takes a path and gives texts like `hashrange/model/x.py:12: what is wrong`; an empty list is what the
tests want. Exceptions are named here, each with its reason, and nowhere else.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.tidy.support import relative

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70

# Files that may be longer, with the reason. Empty: nothing has earned it yet.
LONG_FILES: dict[str, str] = {}

# Functions that may be longer, as "file::function", with the reason.
LONG_FUNCTIONS: dict[str, str] = {}

# The words are put together here so that this file does not complain about itself.
MARKERS = re.compile(
    r"\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")) + r")\b|\bst" + "ubbed\\b"
)

# Folders of one machine or one person; /tmp and system paths are general and fine.
MACHINE_PATHS = re.compile(
    r"/(?:ho" + r"me|Us" + r"ers)/[a-z][\w.-]*/|/ro" + r"ot/|/wo" + r"rk/|[A-Z]:\\Us" + r"ers\\"
)

CLOCKS = {
    ("time", "time"),
    ("time", "time_ns"),
    ("time", "monotonic"),
    ("time", "monotonic_ns"),
    ("time", "perf_counter"),
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("uuid", "uuid1"),
    ("uuid", "uuid4"),
    ("os", "urandom"),
}
RANDOM_MODULES = {"random", "secrets"}


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def missing_docstring(path: Path) -> list[str]:
    """Every module says what it is for."""
    text = ast.get_docstring(_parse(path))
    return (
        []
        if text and len(text) >= 20
        else [f"{relative(path)}:1: no module docstring that says what it is for"]
    )


def too_long_file(path: Path) -> list[str]:
    """A file has at most 600 lines."""
    lines = path.read_text(encoding="utf-8").count("\n")
    if lines <= FILE_LINES_MAX or relative(path) in LONG_FILES:
        return []
    return [f"{relative(path)}:{lines}: more than {FILE_LINES_MAX} lines"]


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def too_long_functions(path: Path) -> list[str]:
    """A function has at most 70 lines, without its decorators."""
    found = []
    for function in _functions(_parse(path)):
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        name = f"{relative(path)}::{function.name}"
        if lines > FUNCTION_LINES_MAX and name not in LONG_FUNCTIONS:
            found.append(f"{relative(path)}:{function.lineno}: {function.name} has {lines} lines")
    return found


def unfinished(path: Path) -> list[str]:
    """No marker of unfinished work; only a documented hook for a subclass may say it is not implemented."""
    found = [
        f"{relative(path)}:{number}: marker of unfinished work"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if MARKERS.search(line)
    ]
    if path.suffix == ".py":
        for function in _functions(_parse(path)):
            raises = any(
                isinstance(node, ast.Raise) and "NotImplemented" in ast.dump(node) for node in function.body
            )
            if raises and not ast.get_docstring(function):
                found.append(f"{relative(path)}:{function.lineno}: {function.name} is not implemented")
    return found


def machine_paths(path: Path) -> list[str]:
    """No folder of one machine or one person."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return []
    return [
        f"{relative(path)}:{number}: a path of one machine"
        for number, line in enumerate(text.splitlines(), 1)
        if MACHINE_PATHS.search(line)
    ]


def prints(path: Path) -> list[str]:
    """Programs log; only the command line and the clients print."""
    return [
        f"{relative(path)}:{node.lineno}: print"
        for node in ast.walk(_parse(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]


def clocks_and_chance(path: Path) -> list[str]:
    """A core takes time and randomness as arguments: it calls no clock and no generator of chance."""
    found = []
    for node in ast.walk(_parse(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            pair = (node.value.id, node.attr)
            if pair in CLOCKS or node.value.id in RANDOM_MODULES:
                found.append(f"{relative(path)}:{node.lineno}: {'.'.join(pair)}")
        elif (
            isinstance(node, ast.Attribute)
            and node.attr in ("utcnow", "now")
            and "datetime" in ast.dump(node.value)
        ):
            found.append(f"{relative(path)}:{node.lineno}: datetime.{node.attr}")
        elif isinstance(node, ast.ImportFrom) and node.module in ("time", "random", "secrets"):
            found.append(f"{relative(path)}:{node.lineno}: from {node.module}")
    return found


def sleeping_tests(path: Path) -> list[str]:
    """Tests wait for a condition until a deadline; a fixed sleep of half a second or more is a guess."""
    found = []
    for node in ast.walk(_parse(path)):
        if not (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "sleep"
        ):
            continue
        if (
            node.args
            and isinstance(node.args[0], ast.Constant)
            and isinstance(node.args[0].value, int | float)
        ):
            if node.args[0].value >= 0.5:
                found.append(f"{relative(path)}:{node.lineno}: sleep of {node.args[0].value} s")
    return found
