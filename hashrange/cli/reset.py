"""`hashrange reset`: empties a data directory."""

from __future__ import annotations

import typer

from hashrange.cli.data_directory import confirm, megabytes, opened, size_bytes


def run(data_dir: str, yes: bool) -> None:
    """Delete all data in `data_dir`, after asking unless `yes`; no server may be running on it."""
    with opened(data_dir) as directory:
        size = megabytes(size_bytes(directory.path))
        confirm(f"Delete all tables and items in {directory.path} ({size})? This cannot be undone.", yes)
        directory.reset()
        typer.echo(f"{directory.path} is empty.")
