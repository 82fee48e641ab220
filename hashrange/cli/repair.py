"""`hashrange repair`: explains the damage of a log and, after asking, goes on from what is intact.

The work is the node's (log/salvage.py): the damaged files are moved aside, never deleted, and the records
before the damage become a new log. What the storage engine has flushed stays, also when its records are lost.
A repair that was interrupted is finished by the next one.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path

import typer
from hashrange_node.log.errors import LogDamaged, LogFull
from hashrange_node.log.mark import MARK_NAME
from hashrange_node.log.salvage import DRAFT_NAME, Salvage, rebuild

from hashrange.cli.data_directory import confirm, fail, opened


def run(data_dir: str, yes: bool) -> None:
    """Repair the log in `data_dir`; no server may be running on it."""
    with opened(data_dir) as directory:
        if is_unfinished(directory.log_path):
            typer.echo("An earlier repair was interrupted; it will be finished.")
        else:
            salvage = Salvage(directory.log_path)
            deque(salvage.records(), maxlen=0)
            if salvage.damage is None:
                typer.echo(f"The log in {directory.log_path} is intact; there is nothing to repair.")
                return
            typer.echo(explanation(salvage.damage, salvage))
        confirm("Move the damaged log aside and go on from what is intact?", yes)
        try:
            aside, kept = rebuild(directory.log_path, directory.id)
        except (LogFull, OSError) as error:
            fail(f"the repair was not finished ({error}); nothing is lost: free some space and repeat it")
        typer.echo(
            f"Done: the new log ends at position {kept.position:,}; the damaged one is in {aside}. Start the "
            "server, check your data, and delete that folder when you no longer need it."
        )


def is_unfinished(log_path: Path) -> bool:
    """Whether a repair was interrupted: its draft is still there, or the log has been moved aside already."""
    if (log_path / DRAFT_NAME).exists():
        return True
    return not (log_path / MARK_NAME).exists() and any(log_path.glob("damaged-*"))


def explanation(damage: LogDamaged, salvage: Salvage) -> str:
    """What is damaged, what is lost for certain, and what will be kept, for the operator to decide."""
    lines = [
        f"The log is damaged in {damage.path}, at byte {damage.offset:,}: {damage.reason}.",
        f"Everything before log position {salvage.position:,} is intact and will be kept.",
    ]
    if salvage.acknowledged_bytes_lost:
        lines.append(
            f"At least {salvage.acknowledged_bytes_lost:,} bytes of acknowledged writes cannot be read from "
            "the log any more. What had reached the storage engine is still there; the rest is lost."
        )
    if salvage.beyond:
        count = sum(count for _, _, count in salvage.beyond.values())
        lines.append(
            f"{count:,} writes behind the damage (in {len(salvage.beyond)} partitions) can be read, but not "
            "applied without those that are missing before them. They stay with the damaged log."
        )
    lines.append(
        "If you have a copy of the data directory from after these writes, restore that instead. This is "
        "for a single server: a node of a cluster should be removed and join again."
    )
    return "\n".join(lines)
