"""What `reset` and `repair` share: opening the data directory of a stopped server, asking before doing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import typer
from hashrange_node.storage.datadir import VERSION_NAME, DataDirectory, DataDirError


@contextmanager
def opened(path_text: str) -> Iterator[DataDirectory]:
    """The data directory, locked; ends the program with code 1 when it cannot be used.

    Unlike a server, which makes a directory that is missing, this refuses one that holds no data.
    """
    path = Path(path_text).expanduser().absolute()
    if not (path / VERSION_NAME).exists():
        fail(f"there is no hashrange data in {path}; name the data directory with --data-dir")
    try:
        directory = DataDirectory.open(path)
    except DataDirError as error:
        fail(str(error))
    try:
        yield directory
    except DataDirError as error:
        fail(str(error))
    finally:
        directory.close()


def fail(sentence: str) -> NoReturn:
    """Say why nothing was done and end with code 1."""
    typer.echo(f"hashrange: {sentence}", err=True)
    raise typer.Exit(1)


def confirm(question: str, yes: bool) -> None:
    """Ask, unless the answer was given on the command line; ends the program with code 1 for a no."""
    if yes:
        return
    try:
        agreed = typer.confirm(question)
    except typer.Abort:
        agreed = False
    if not agreed:
        fail("nothing was changed; answer y, or give --yes, to go on")


def size_bytes(path: Path) -> int:
    """The size of all files in a directory."""
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file() and not each.is_symlink())


def megabytes(size: int) -> str:
    """A size for people."""
    return f"{size / 1e6:,.1f} MB"
