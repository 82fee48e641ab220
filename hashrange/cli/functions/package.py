"""Makes a deployment package of a file, a folder or a zip, and guesses what the function is called and how it starts.

    package = make_package(Path("totals.py"))
    package.name, package.runtime, package.handler      # "totals", "python3.11", "totals.handler"

Equal contents give equal bytes (sorted names, one date), so that a package that was deployed before is known by its
hash. Python is read, not run: a handler is a function of two arguments at the top level of its module.
"""

from __future__ import annotations

import ast
import io
import os
import re
import stat
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hashrange.cli.functions.client import FunctionsError

PYTHON = f"python3.{sys.version_info.minor}"
NODE = "nodejs20.x"
OWN_RUNTIME = "provided.al2023"
BOOTSTRAP = "bootstrap"
PYTHON_FILES = (".py",)
NODE_FILES = (".mjs", ".cjs", ".js")
MAIN_MODULES = ("handler", "app", "lambda_function", "index", "main")
"""Modules that hold the handler by custom, the first found is taken."""
HANDLERS = ("handler", "lambda_handler", "main")
LEFT_OUT_FOLDERS = frozenset(
    ("__pycache__", ".git", ".venv", "venv", ".mypy_cache", ".pytest_cache", ".ruff_cache")
)
LEFT_OUT_FILES = frozenset((".DS_Store",))
UNZIPPED_MAX = 250 * 1024 * 1024
NAME_MAX = 64
_DATE = (1980, 1, 1, 0, 0, 0)
_NODE_EXPORT = re.compile(
    r"(?:^|[\s;])(?:module\.)?exports\.(\w+)\s*=|^\s*export\s+(?:async\s+)?(?:function\s*\*?|const|let|var)\s+(\w+)",
    re.M,
)


@dataclass(frozen=True, slots=True)
class Package:
    """A zip file, and what was guessed from its contents. Sizes in bytes; `files` are counted."""

    name: str
    runtime: str
    handler: str
    data: bytes
    files: int


def make_package(
    path: Path,
    runtime: str | None = None,
    handler: str | None = None,
    before: tuple[str, str] | None = None,
) -> Package:
    """The package of a file, folder or zip; what is given is not guessed. FunctionsError says what is missing.

    `before` are runtime and handler that the function has: they are kept while the package still has that module.
    """
    if not path.exists():
        raise FunctionsError(f"there is no {path}; name a .py or .js file, a folder or a .zip")
    if path.is_dir():
        files = _files_of(path)
    elif path.suffix == ".zip":
        files = _files_in_zip(path)
    elif path.suffix in PYTHON_FILES + NODE_FILES:
        files = {path.name: (path.read_bytes(), 0o644)}
    elif os.access(path, os.X_OK):
        files = {BOOTSTRAP: (path.read_bytes(), 0o755)}
    else:
        raise FunctionsError(
            f"{path} is no handler: name a .py or .js file, an executable, a folder or a .zip"
        )
    if not files:
        raise FunctionsError(f"{path} holds no files")
    if before is not None and _fits(before, files):
        runtime, handler = runtime or before[0], handler or before[1]
    if runtime is None or handler is None:
        guessed_runtime, guessed_handler = _guess(path, {name: data for name, (data, _) in files.items()})
        runtime, handler = runtime or guessed_runtime, handler or guessed_handler
    _check_syntax(path, handler, files)
    data = path.read_bytes() if path.suffix == ".zip" and path.is_file() else _zip(files)
    return Package(name_of(path), runtime, handler, data, len(files))


def name_of(path: Path) -> str:
    """A function's name from a path: of a file without its ending, or of a folder."""
    resolved = path.resolve()
    stem = resolved.name if resolved.is_dir() else resolved.stem
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-")[:NAME_MAX]
    if not name:
        raise FunctionsError(f"no name for a function can be made of {path}; give one with --name")
    return name


def _files_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Name in the package to contents and mode of every file in a folder that belongs into it."""
    found: dict[str, tuple[bytes, int]] = {}
    total = 0
    for path in _walk(folder):
        mode = path.stat().st_mode
        data = path.read_bytes()
        total += len(data)
        if total > UNZIPPED_MAX:
            raise FunctionsError(f"{folder} holds more than 250 MB, the most that a package may have")
        found[path.relative_to(folder).as_posix()] = (data, 0o755 if mode & stat.S_IXUSR else 0o644)
    return found


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT_FOLDERS)
        for name in sorted(names):
            path = Path(root) / name
            if name not in LEFT_OUT_FILES and path.suffix != ".pyc" and path.is_file():
                yield path


def _files_in_zip(path: Path) -> dict[str, tuple[bytes, int]]:
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                entry.filename: (archive.read(entry) if _may_hold_handler(entry.filename) else b"", 0)
                for entry in archive.infolist()
                if not entry.is_dir()
            }
    except (zipfile.BadZipFile, OSError) as error:
        raise FunctionsError(f"{path} is no zip file that can be read ({error})") from None


def _module_file(handler: str, files: dict[str, tuple[bytes, int]]) -> str | None:
    """The file of a package that a handler `folder/module.function` is in."""
    module = handler.rpartition(".")[0]
    spellings = (module, module.replace(".", "/"))
    for name in (stem + ending for stem in spellings for ending in PYTHON_FILES + NODE_FILES):
        if name in files:
            return name
    return None


def _fits(before: tuple[str, str], files: dict[str, tuple[bytes, int]]) -> bool:
    """Whether runtime and handler can be those of these files."""
    runtime, handler = before
    if runtime.startswith("provided"):
        return BOOTSTRAP in files
    name = _module_file(handler, files)
    return name is not None and name.endswith(PYTHON_FILES if runtime.startswith("python") else NODE_FILES)


def _check_syntax(path: Path, handler: str, files: dict[str, tuple[bytes, int]]) -> None:
    """A Python handler that cannot be parsed is better refused here than at its first event."""
    name = _module_file(handler, files)
    if name is not None and name.endswith(PYTHON_FILES):
        _parse(path, name, files[name][0])


def _may_hold_handler(name: str) -> bool:
    return "/" not in name and name.endswith(PYTHON_FILES + NODE_FILES)


def _zip(files: dict[str, tuple[bytes, int]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            data, mode = files[name]
            entry = zipfile.ZipInfo(name, _DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (stat.S_IFREG | mode) << 16
            archive.writestr(entry, data)
    return buffer.getvalue()


def _guess(path: Path, files: dict[str, bytes]) -> tuple[str, str]:
    """Runtime and handler from the names and the text of the files at the top of a package."""
    if BOOTSTRAP in files:
        return OWN_RUNTIME, BOOTSTRAP
    top = {name: data for name, data in files.items() if _may_hold_handler(name)}
    order = [stem + ending for ending in PYTHON_FILES + NODE_FILES for stem in MAIN_MODULES]
    candidates = [name for name in order if name in top] + sorted(name for name in top if name not in order)
    found: list[tuple[str, str]] = []
    for name in candidates:
        module, _, ending = name.rpartition(".")
        is_python = "." + ending in PYTHON_FILES
        function = _python_handler(path, name, top[name]) if is_python else _node_handler(top[name])
        if function is None:
            continue
        guess = (PYTHON if is_python else NODE, f"{module}.{function}")
        if module in MAIN_MODULES or len(candidates) == 1:
            return guess
        found.append(guess)
    if len(found) == 1:
        return found[0]
    if found:
        raise FunctionsError(
            f"{path} has several handlers ({', '.join(handler for _, handler in found)}); "
            "name one with --handler"
        )
    raise FunctionsError(
        f"{path} has no handler: write a function `def handler(event, context)` "
        "(or `exports.handler = async (event) => ...`), or name it with --handler MODULE.FUNCTION"
    )


def _parse(path: Path, name: str, source: bytes) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        where = f"{path if path.name == name else path / name}{f', line {line}' if line else ''}"
        raise FunctionsError(f"{where}: {getattr(error, 'msg', error)}") from None


def _python_handler(path: Path, name: str, source: bytes) -> str | None:
    """The function of a module that takes an event and a context."""
    tree = _parse(path, name, source)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    names = {node.name for node in functions}
    for node in tree.body:  # handler = decorate(function), handler = SomeClass()
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    for usual in HANDLERS:
        if usual in names:
            return usual
    fitting = [node.name for node in functions if len(node.args.args) == 2 and not node.name.startswith("_")]
    return fitting[0] if len(fitting) == 1 else None


def _node_handler(source: bytes) -> str | None:
    """The export of a module that is its handler."""
    exports = [a or b for a, b in _NODE_EXPORT.findall(source.decode("utf-8", "replace"))]
    for usual in HANDLERS:
        if usual in exports:
            return usual
    return exports[0] if len(exports) == 1 else None
