"""Commands to the control plane: split, move, drain, undrain, balance, decommission."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hashrange.cli.cluster.ask import AskError, ask_json
from hashrange.cli.cluster.control import command as ask_supervisor
from hashrange.cli.cluster.layout import NODE, Layout, LayoutError
from hashrange.cli.cluster.screen import replica_node
from hashrange.cli.cluster.status import CONTROL_TIMEOUT_S, first_answer, gather

POLL_S = 1.0
COMMAND_TIMEOUT_S = 30.0

Say = Callable[[str], None]


async def command(place: Layout | str, verb: str, arguments: dict[str, Any], say: Say) -> None:
    """Give a command and say what the control plane answers; raises LayoutError or AskError."""
    arguments = {name: value for name, value in arguments.items() if value is not None}
    if "partition" in arguments:
        arguments["partition"] = await _partition(place, str(arguments["partition"]))
    answer = await give(place, verb, arguments)
    for sentence in sentences(answer):
        say(sentence)


async def give(place: Layout | str, verb: str, arguments: dict[str, Any]) -> Any:
    """Give a command; its answer as the control plane words it."""
    path = f"/cluster/{verb}"
    if isinstance(place, str):
        return await ask_json(place, path, arguments, COMMAND_TIMEOUT_S)
    answer, note = await first_answer(place, path, arguments, None)
    if note:
        raise LayoutError(f"the control plane has no answer: {note}")
    return answer


def sentences(answer: Any) -> list[str]:
    """The answer to a command in words: its `message`, else its members."""
    if isinstance(answer, dict):
        if "message" in answer:
            return [str(answer["message"])]
        return [f"{name}: {value}" for name, value in answer.items()] or ["done"]
    return [str(answer)]


async def _partition(place: Layout | str, what: str) -> int:
    """A partition by its id, or the largest one of a table by the table's name."""
    if what.isascii() and what.isdigit():
        return int(what)
    found = await gather(place)
    mine = [entry for entry in found["partitions"] if entry["table"] == what and entry["index"] is None]
    if not mine:
        raise LayoutError(f"there is no table {what} in this cluster" + _because(found))
    largest = max(
        mine, key=lambda entry: (entry["size_bytes"] or 0, entry["hash_range"][1] - entry["hash_range"][0])
    )
    return int(largest["id"])


def _because(found: dict[str, Any]) -> str:
    return f" (the control plane has no answer: {found['note']})" if found.get("note") else ""


async def decommission(place: Layout | str, node: int, wait: bool, say: Say) -> None:
    """Empty a node, take it out of the cluster and stop its process."""
    for sentence in sentences(await give(place, "decommission", {"node": node})):
        say(sentence)
    if not wait:
        return
    left = -1
    while True:
        nodes, replicas = await _replicas_on(place, node)
        if node not in nodes or nodes[node] == "removed":
            break
        if replicas != left:
            left = replicas
            say(f"node-{node} still has {replicas} replica{'' if replicas == 1 else 's'}")
        await asyncio.sleep(POLL_S)
    say(f"node-{node} has left the cluster")
    if isinstance(place, Layout):
        await ask_supervisor(place.directory, {"verb": "forget", "names": [f"{NODE}-{node}"]}, say)


async def _replicas_on(place: Layout | str, node: int) -> tuple[dict[int, str], int]:
    """The state of every node, and how many replicas are on one of them."""
    if isinstance(place, str):
        view, note = await ask_json(place, "/cluster", timeout_s=CONTROL_TIMEOUT_S), ""
    else:
        view, note = await first_answer(place, "/cluster", None, None)
    if note:
        raise AskError(f"the control plane has no answer: {note}")
    states = {each["id"]: str(each.get("state")) for each in view["nodes"]}
    count = sum(
        replica_node(replica) == node for entry in view["partitions"] for replica in entry["replicas"] or ()
    )
    return states, count
