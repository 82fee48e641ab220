"""Rules on the repository as a whole: pages, generated code, packages, the CI script."""

from __future__ import annotations

import importlib.resources
import os
import re
import shlex
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from tests.tidy.support import PACKAGES, ROOT, run_tool, tracked

# Folders that hold no program of ours and need no page.
WITHOUT_PAGE = {".ci"}

FENCE = re.compile(r"^```(?:sh|bash|console|shell)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def folders_without_page(root: Path, names: tuple[str, ...]) -> list[str]:
    """Top-level folders without a README.md."""
    folders = sorted({name.split("/", 1)[0] for name in names if "/" in name} - WITHOUT_PAGE)
    return [folder for folder in folders if not (root / folder / "README.md").is_file()]


def test_every_top_level_folder_has_a_page() -> None:
    assert folders_without_page(ROOT, tracked()) == []


def test_a_missing_page_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "README.md").write_text("# a\n")
    assert folders_without_page(tmp_path, ("a/x.py", "b/y.py", "z.md")) == ["b"]


def dead_links(page: Path) -> list[str]:
    """Relative links of a page that lead nowhere."""
    found = []
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("mailto:") and not (page.parent / target).exists():
            found.append(f"{page.name}: {target}")
    return found


def test_links_between_pages() -> None:
    pages = [ROOT / name for name in tracked() if name.endswith(".md")]
    assert pages
    assert [link for page in pages for link in dead_links(page)] == []


def test_a_dead_link_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("[here](page.md) [there](nowhere.md) [web](https://example.com/x)\n")
    assert dead_links(page) == ["page.md: nowhere.md"]


def commands(text: str) -> list[str]:
    """The command lines of a page's shell blocks: a `$ ` prompt is dropped, continuations are joined."""
    lines = []
    for block in FENCE.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            line = line.strip().removeprefix("$ ")
            if line and not line.startswith("#"):
                lines.append(line)
    return lines


def subcommands() -> set[str]:
    """The commands of `hashrange`, as its help lists them."""
    done = run_tool("hashrange.cli.main", "--help")
    assert done.returncode == 0, done.stderr
    return set(re.findall(r"^[\s│]*([a-z][a-z-]+)\s{2,}", done.stdout, re.MULTILINE))


def unknown_commands(text: str, known: set[str]) -> list[str]:
    """Programs and `hashrange` subcommands a page names that do not exist here."""
    found = []
    for line in commands(text):
        for part in re.split(r"&&|\|\||;|\|", line):
            try:
                words = [
                    word for word in shlex.split(part, comments=True) if not re.match(r"^[A-Z_]+=", word)
                ]
            except ValueError:
                continue
            if not words:
                continue
            program = Path(words[0]).name
            if program == "hashrange":
                if len(words) > 1 and not words[1].startswith("-") and words[1] not in known:
                    found.append(part.strip())
            elif re.fullmatch(r"[a-z][\w.-]*", program) and not is_program(program):
                found.append(part.strip())
    return found


# Programs a user has by other means than this machine's PATH: optional clients and shell built-ins.
ELSEWHERE = {
    "cd",
    "for",
    "do",
    "done",
    "export",
    "aws",
    "npm",
    "node",
    "docker",
    "podman",
    "kill",
    "source",
    "curl",
    "git",
    "wrk",
    "set",
}


def is_program(name: str) -> bool:
    """Whether a program is on the PATH, beside this Python, or a known optional one."""
    beside = Path(sys.executable).parent / name
    return name in ELSEWHERE or shutil.which(name) is not None or beside.exists()


def test_commands_of_the_pages_exist() -> None:
    known = subcommands()
    assert {"serve", "version"} <= known
    found = {
        name: unknown_commands((ROOT / name).read_text(encoding="utf-8"), known)
        for name in tracked()
        if name.endswith("README.md")
    }
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_an_unknown_command_is_seen() -> None:
    lines = [
        "hashrange serve --port 1",
        "hashrange fly",
        "no-such-program-here x",
        "python3 -m venv x && cd x",
    ]
    page = "\n".join(["```sh", *lines, "```", ""])
    assert unknown_commands(page, {"serve"}) == ["hashrange fly", "no-such-program-here x"]


def test_the_readme_names_the_test_command() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    make = "python3 -m venv .venv && .venv/bin/pip install -q -e '.[dev]'"
    assert f"{make} && .venv/bin/pytest -n 3 --dist worksteal" in text


def generate(folder: Path, out: Path) -> dict[str, bytes]:
    """The modules protoc makes of the .proto files of a folder."""
    sources = sorted(str(path) for path in folder.glob("*.proto"))
    assert sources, f"no .proto in {folder}"
    out.mkdir()
    done = run_tool(
        "grpc_tools.protoc", f"-I{folder}", f"--python_out={out}", f"--pyi_out={out}", *sources, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return {path.name: normalised(path.read_bytes()) for path in out.iterdir()}


def normalised(code: bytes) -> bytes:
    """Generated code without what differs between releases of the generator and in sibling imports."""
    lines = [line for line in code.splitlines() if b"rotobuf Python Version" not in line]
    text = b"\n".join(lines)
    text = re.sub(rb"ValidateProtobufRuntimeVersion\([^)]*\)", b"", text)
    return re.sub(rb"(?:from hashrange\.wire\.pb |from \. )?import (\w+_pb2)", rb"import \1", text)


def test_generated_code_is_current(tmp_path: Path) -> None:
    fresh = generate(ROOT / "proto", tmp_path / "out")
    committed = {
        path.name: normalised(path.read_bytes())
        for path in (ROOT / "hashrange" / "wire" / "pb").iterdir()
        if "_pb2" in path.name and path.suffix in (".py", ".pyi")
    }
    assert sorted(committed) == sorted(fresh)
    assert committed == fresh, "run the command of proto/README.md and commit the result"


def test_stale_generated_code_is_seen(tmp_path: Path) -> None:
    folder = tmp_path / "proto"
    folder.mkdir()
    (folder / "a.proto").write_text('syntax = "proto3"; message A { int32 x = 1; }')
    before = generate(folder, tmp_path / "before")
    (folder / "a.proto").write_text('syntax = "proto3"; message A { int64 x = 1; }')
    assert generate(folder, tmp_path / "after") != before


def test_packages_are_typed() -> None:
    for package in PACKAGES:
        assert (ROOT / package / "py.typed").is_file(), package


def test_the_wheel_holds_every_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert sorted(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == sorted(PACKAGES)
    roots = project["tool"]["importlinter"]["root_packages"]
    assert sorted(roots) == sorted(Path(package).name for package in PACKAGES)
    for name in roots:
        assert importlib.resources.files(name).is_dir()


def test_the_ci_script_can_be_run() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")


def large_files(root: Path, names: tuple[str, ...], limit_bytes: int = 1_000_000) -> list[str]:
    """Files too big for a repository of source code."""
    return [name for name in names if (root / name).stat().st_size > limit_bytes]


def test_no_large_files() -> None:
    assert large_files(ROOT, tracked()) == []


def test_a_large_file_is_seen(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 11)
    assert large_files(tmp_path, ("big",), 10) == ["big"]


@pytest.mark.parametrize("name", ["hashrange-data", "node_modules", ".venv"])
def test_working_files_are_ignored(name: str) -> None:
    assert name + "/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
