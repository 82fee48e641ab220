"""The wheel and the editable install: both give the command, the packages and the data files they need.

Each is installed into a fresh environment without its dependencies; those are lent by this environment
through a .pth file. Building uses this environment's hatchling when it is there, else pip fetches it as for
any install from source.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.tidy.support import PACKAGES, ROOT, tracked

NAMES = tuple(Path(package).name for package in PACKAGES)
HAS_BACKEND = importlib.util.find_spec("hatchling") is not None


def run(*command: str | Path, cwd: Path) -> str:
    """The output of a command that must succeed, without this environment's search path."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HASHRANGE_"))
    }
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**environment, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Environment:
    """A fresh virtual environment that borrows third-party packages, but not ours."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder, with_pip=False)
        self.bin = folder / "bin"

    def lend_dependencies(self) -> None:
        """Append this environment's packages to the search path, behind what is installed here.

        The line is a plain path: .pth files in that folder (such as our own editable install) are not read.
        """
        (site,) = self.folder.glob("lib/python*/site-packages")
        (site / "zz_dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def install(self, *what: str | Path) -> None:
        """pip install, without dependencies, with the pip of this environment."""
        self.lend_dependencies()
        pip = [sys.executable, "-m", "pip", "--python", self.bin / "python"]
        isolation = ["--no-build-isolation"] if HAS_BACKEND else []
        run(*pip, "install", "--no-deps", *isolation, "--no-compile", *what, cwd=self.folder)

    def where(self, package: str) -> Path:
        """The folder a package is imported from."""
        code = f"import {package}; print({package}.__file__)"
        return Path(run(self.bin / "python", "-c", code, cwd=self.folder).strip()).parent


def version() -> str:
    """The version the sources say."""
    for line in (ROOT / "hashrange" / "__init__.py").read_text().splitlines():
        if line.startswith("__version__"):
            return line.split('"')[1]
    raise AssertionError("hashrange/__init__.py names no __version__")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel."""
    out = tmp_path_factory.mktemp("wheel")
    isolation = ["--no-isolation"] if HAS_BACKEND else []
    run(sys.executable, "-m", "build", "--wheel", *isolation, "--outdir", out, ROOT, cwd=out)
    (made,) = out.glob("*.whl")
    return made


def test_the_wheel_holds_everything_and_nothing_else(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = {
        name.removeprefix(package.removesuffix(package.split("/")[-1]))
        for package in PACKAGES
        for name in tracked()
        if name.startswith(package + "/")
    }
    assert held == expected
    for name in NAMES:
        assert f"{name}/py.typed" in held
    assert "hashrange_router/api/service_model.json" in held


def check(environment: Environment, *, origin: Path | None) -> None:
    """The command answers and every package comes from where it should."""
    told = run(environment.bin / "hashrange", "version", cwd=environment.folder)
    assert version() in told
    for package, name in zip(PACKAGES, NAMES, strict=True):
        found = environment.where(name)
        assert found == ((origin / package) if origin else found)
        assert origin is not None or found.is_relative_to(environment.folder)
        assert (found / "py.typed").is_file()
    assert "PutItem" in run(environment.bin / "hashrange", "api", cwd=environment.folder)


def test_the_wheel_installs(wheel: Path, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "environment")
    environment.install(wheel)
    check(environment, origin=None)


def test_the_editable_install(tmp_path: Path) -> None:
    environment = Environment(tmp_path / "environment")
    environment.install("--editable", ROOT)
    check(environment, origin=ROOT)


def test_a_missing_data_file_is_seen(wheel: Path, tmp_path: Path) -> None:
    """The negative control: a wheel without the service model cannot say what it supports."""
    broken = tmp_path / wheel.name
    with zipfile.ZipFile(wheel) as whole, zipfile.ZipFile(broken, "w") as partial:
        for name in whole.namelist():
            if not name.endswith("service_model.json"):
                partial.writestr(name, whole.read(name))
    environment = Environment(tmp_path / "environment")
    environment.install(broken)
    with pytest.raises(AssertionError):
        check(environment, origin=None)
