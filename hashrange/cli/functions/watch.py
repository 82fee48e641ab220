"""`hashrange functions deploy --watch`: deploys again whenever the files change, and shows the log meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import typer

from hashrange.cli.functions import logs
from hashrange.cli.functions.client import Api, FunctionsError
from hashrange.cli.functions.deploy import Deployment, deploy
from hashrange.cli.functions.package import LEFT_OUT_FILES, LEFT_OUT_FOLDERS, name_of

DEBOUNCE_MS = 200


def watch(api: Api, wanted: Deployment, say: Callable[[str], None]) -> None:
    """Until interrupted. A mistake in a file is said, and the function stays as it was."""
    try:
        from watchfiles import watch as changes
    except ImportError:
        raise FunctionsError("--watch needs more packages: pip install 'hashrange[triggers]'") from None
    name = wanted.name or name_of(wanted.path)
    deploy(api, wanted, say)
    after = logs.position(api, name)
    over = threading.Event()
    reader = threading.Thread(
        target=logs.tail, args=(api, name, after, logs.printer(False), over), name="logs", daemon=True
    )
    reader.start()
    # Code and settings of the function alone: the trigger may have been changed meanwhile, by hand.
    again = replace(wanted, tables=(), mapping={})
    folder = wanted.path if wanted.path.is_dir() else wanted.path.parent
    only = None if wanted.path.is_dir() else wanted.path.resolve()
    say(f"watching {wanted.path}: save it and it is deployed; stop with Ctrl-C")
    try:
        for found in changes(
            folder,
            watch_filter=lambda change, path: concerns(Path(path), only),
            debounce=DEBOUNCE_MS,
            raise_interrupt=False,
        ):
            _again(api, again, len(found), say)
    finally:
        over.set()


def _again(api: Api, wanted: Deployment, changed: int, say: Callable[[str], None]) -> None:
    begun = time.monotonic()
    try:
        outcome = deploy(api, wanted, lambda sentence: None)
    except FunctionsError as error:
        typer.echo(f"hashrange: {error}", err=True)
        return
    if outcome["changed"]:
        milliseconds = (time.monotonic() - begun) * 1_000
        say(
            f"-- deployed again after {changed} change{'' if changed == 1 else 's'}, in {milliseconds:.0f} ms"
        )


def concerns(path: Path, only: Path | None) -> bool:
    """Whether a changed file belongs to what is deployed."""
    if only is not None:
        return path.resolve() == only
    return (
        not LEFT_OUT_FOLDERS.intersection(path.parts)
        and path.name not in LEFT_OUT_FILES
        and path.suffix != ".pyc"
        and not path.name.endswith(("~", ".swp"))
    )
