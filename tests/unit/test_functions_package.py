"""What `hashrange functions deploy` makes of files, folders and zips: the package, its name, runtime and handler."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

import pytest

from hashrange.cli.functions.client import FunctionsError
from hashrange.cli.functions.package import NODE, PYTHON, make_package, name_of

HANDLER = "def handler(event, context):\n    return event\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def names_in(package: bytes) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(package)).namelist()


@pytest.mark.parametrize(
    ("file", "text", "runtime", "handler"),
    [
        ("totals.py", HANDLER, PYTHON, "totals.handler"),
        ("app.py", "def lambda_handler(event, context): ...\n", PYTHON, "app.lambda_handler"),
        ("f.py", "def helper(x): ...\ndef on_change(event, context): ...\n", PYTHON, "f.on_change"),
        ("f.py", "from x import wrap\nhandler = wrap(print)\n", PYTHON, "f.handler"),
        ("index.mjs", "export const handler = async (event) => event\n", NODE, "index.handler"),
        ("f.js", "exports.handler = async (event) => {}\n", NODE, "f.handler"),
        ("f.js", "module.exports.main = () => {}\nexports.other = 1\n", NODE, "f.main"),
        ("f.mjs", "export async function handler(event) {}\n", NODE, "f.handler"),
    ],
)
def test_a_file_tells_its_handler(tmp_path: Path, file: str, text: str, runtime: str, handler: str) -> None:
    package = make_package(write(tmp_path / file, text))
    assert (package.runtime, package.handler) == (runtime, handler)
    assert package.name == file.partition(".")[0]
    assert names_in(package.data) == [file]


def test_a_folder_is_packed_without_what_does_not_belong_there(tmp_path: Path) -> None:
    folder = tmp_path / "orders totals"
    write(folder / "app.py", HANDLER)
    write(folder / "lib" / "sums.py", "x = 1\n")
    write(folder / "__pycache__" / "app.cpython-311.pyc", "")
    write(folder / ".git" / "config", "")
    write(folder / "node_modules" / "m" / "index.js", "")
    package = make_package(folder)
    assert names_in(package.data) == ["app.py", "lib/sums.py", "node_modules/m/index.js"]
    assert (package.name, package.handler) == ("orders-totals", "app.handler")


def test_equal_contents_are_equal_packages(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name / "app.py", HANDLER)
        write(tmp_path / name / "z.txt", "z")
    assert make_package(tmp_path / "a").data == make_package(tmp_path / "b").data


def test_an_executable_is_a_bootstrap(tmp_path: Path) -> None:
    script = write(tmp_path / "run", "#!/bin/sh\n")
    script.chmod(0o755)
    package = make_package(script)
    assert (package.runtime, package.handler) == ("provided.al2023", "bootstrap")
    entry = zipfile.ZipFile(io.BytesIO(package.data)).getinfo("bootstrap")
    assert entry.external_attr >> 16 & stat.S_IXUSR


def test_a_zip_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "made.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("lambda_function.py", "def lambda_handler(event, context): ...\n")
    package = make_package(path)
    assert package.data == path.read_bytes()
    assert package.handler == "lambda_function.lambda_handler"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"x.py": "import os\n"}, "has no handler: write a function `def handler"),
        ({"x.py": "def handler(:\n"}, "x.py, line 1: invalid syntax"),
        ({"a.py": HANDLER, "b.py": HANDLER}, r"several handlers \(a.handler, b.handler\); name one with"),
        ({"readme.txt": "x"}, "has no handler"),
    ],
)
def test_what_cannot_be_guessed_is_asked_for(tmp_path: Path, files: dict[str, str], words: str) -> None:
    for name, text in files.items():
        write(tmp_path / "f" / name, text)
    with pytest.raises(FunctionsError, match=words):
        make_package(tmp_path / "f")


def test_what_is_there_already_is_kept_while_it_fits(tmp_path: Path) -> None:
    write(tmp_path / "a.py", HANDLER)
    write(tmp_path / "b.py", HANDLER)
    kept = make_package(tmp_path, before=("python3.12", "b.handler"))
    assert (kept.runtime, kept.handler) == ("python3.12", "b.handler")
    with pytest.raises(FunctionsError, match="several handlers"):
        make_package(tmp_path, before=("python3.12", "gone.handler"))
    assert (
        make_package(tmp_path, handler="a.handler", before=("python3.12", "b.handler")).handler == "a.handler"
    )


def test_missing_and_empty_paths_are_told(tmp_path: Path) -> None:
    with pytest.raises(FunctionsError, match=r"there is no .*nothing.py; name a .py or .js file"):
        make_package(tmp_path / "nothing.py")
    with pytest.raises(FunctionsError, match="holds no files"):
        make_package(tmp_path)
    with pytest.raises(FunctionsError, match="is no handler: name a"):
        make_package(write(tmp_path / "x.txt", "x"))


def test_names_have_only_what_a_function_may_be_called(tmp_path: Path) -> None:
    assert name_of(tmp_path / "my handler (2).py") == "my-handler-2"
    with pytest.raises(FunctionsError, match="give one with --name"):
        name_of(tmp_path / "???")
