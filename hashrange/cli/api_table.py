"""`hashrange api`: the operations of the APIs, which this version supports, and which it refuses with a reason."""

from __future__ import annotations

import json

import typer
from hashrange_router.api.model import table_of_operations
from hashrange_router.api.operations import SUPPORTED
from hashrange_router.api.tables_misc import REFUSED as REFUSED_TABLES
from hashrange_router.dax.model import dax_model
from hashrange_router.dax.service import SUPPORTED as DAX
from hashrange_router.functions.model import lambda_model
from hashrange_router.functions.service import SUPPORTED as FUNCTIONS
from hashrange_router.functions.service import refused
from hashrange_router.scaling.model import scaling_model
from hashrange_router.scaling.service import SUPPORTED as SCALING

REFUSED = REFUSED_TABLES | {name: refused(name) for name in lambda_model().routes if name not in FUNCTIONS}
"""Operations that are refused, and why."""


def rows() -> list[tuple[str, str, bool]]:
    """Service, operation and whether it is supported: services in the model's order, operations by name."""
    services: dict[str, list[str]] = {}
    for service, operation in table_of_operations():
        services.setdefault(service, []).append(operation)
    found = [
        (service, operation, bool(SUPPORTED.get(operation)))
        for service, operations in services.items()
        for operation in sorted(operations)
    ]
    others = scaling_model().operations.values()
    found += [(each.service, each.name, each.name in SCALING) for each in others]
    found += [(each.service, each.name, each.name in DAX) for each in dax_model().operations.values()]
    return found + [("lambda", name, name in FUNCTIONS) for name in sorted(lambda_model().routes)]


def show(as_json: bool) -> None:
    """Print the table, or JSON for scripts."""
    table = rows()
    if as_json:
        listed = [
            {"service": service, "operation": name, "supported": yes}
            | ({"refused": REFUSED[name]} if name in REFUSED else {})
            for service, name, yes in table
        ]
        typer.echo(json.dumps(listed, indent=2))
        return
    typer.echo(as_text(table), nl=False)


def as_text(table: list[tuple[str, str, bool]]) -> str:
    """One line an operation under a heading for each service, and the sums."""
    width = max(len(name) for _, name, _ in table)
    lines: list[str] = []
    for service in dict.fromkeys(service for service, _, _ in table):
        mine = [(name, yes) for owner, name, yes in table if owner == service]
        lines.append(f"{service}: {sum(yes for _, yes in mine)} of {len(mine)} operations")
        lines.extend(f"  {name:<{width}}  {_answer(name, yes)}" for name, yes in mine)
        lines.append("")
    return "\n".join(lines)


def _answer(name: str, supported: bool) -> str:
    if name in REFUSED:
        return f"refused: {REFUSED[name]}"
    return "yes" if supported else "not yet"
