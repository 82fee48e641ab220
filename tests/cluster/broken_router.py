"""`hashrange` with routers that die in the middle of transactions, at a step that is drawn for each transaction.

    python tests/cluster/broken_router.py 0.02 router-2 cluster up --routers 2 --data-dir DIR

Of the routers named (separated by commas), that share of transactions ends with the router's process: it exits at
once, without a word, and with everything that it had under way. The other routers are left alone. The rest of the
line is an ordinary command line; processes that a supervisor started like this starts are broken the same way.

| step | the router exits |
|---|---|
| claim | when the row of the client's token is written |
| prepare | when the first partition is prepared |
| prepared | when all partitions are prepared |
| decide | when the decision is in the ledger |
| finish | when the first partition is finished |
| local | when a transaction of one partition is committed |

Its exit code is `EXIT_CODE`, by which it can be told from a crash.

With the word `blind` in the place of the share and `all` in that of the names nobody dies, but the ledger takes any
decision, whatever was decided before: the negative control.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

EXIT_CODE = 86
STEPS = ("claim", "prepare", "prepared", "decide", "finish", "local")
REMEMBERED = 10_000

Die = Callable[[str], None]


def exit_hard(step: str) -> None:
    """End this process as a power cut would."""
    sys.stderr.write(f"router: dying at step {step}\n")
    sys.stderr.flush()
    os._exit(EXIT_CODE)


class Deaths:
    """Looks at every message of the operations and its answer; `die` is called at the steps that are drawn."""

    def __init__(self, share: float, rng: random.Random, die: Die = exit_hard) -> None:
        self._share = share
        self._rng = rng
        self._die = die
        self._drawn: dict[bytes, str] = {}
        self._open: dict[bytes, int] = {}

    def sending(self, message: Any) -> None:
        """A message is about to be sent."""
        txid, step = self._place(message)
        if step == "prepare":
            self._open[txid] = self._open.get(txid, 0) + 1

    def answered(self, message: Any) -> None:
        """The answer to a message has come; the coordinator has not seen it yet."""
        txid, step = self._place(message)
        if not step:
            return
        drawn = self._draw(txid)
        if step == "prepare":
            self._open[txid] -= 1
            if not self._open[txid]:
                del self._open[txid]
                if drawn == "prepared":
                    self._die(drawn)
        if step == drawn:
            self._die(drawn)

    def _draw(self, txid: bytes) -> str:
        """The step at which a transaction ends this process, "" for most."""
        drawn = self._drawn.get(txid)
        if drawn is None:
            drawn = self._rng.choice(STEPS) if self._rng.random() < self._share else ""
            if len(self._drawn) > REMEMBERED:
                self._drawn.clear()
            self._drawn[txid] = drawn
        return drawn

    def _place(self, message: Any) -> tuple[bytes, str]:
        """The transaction that a message belongs to (the token stands for it in a claim), and its step."""
        from tests.sim.transactions import steps

        step = steps.step_of(message)
        if step in (steps.PREPARE, steps.FINISH):
            return message.txid, step
        if step == steps.WRITE:
            return message.txid, "local"
        if step == steps.CLAIM:
            return bytes(message.key), "claim"
        if step == steps.DECIDE:
            return steps.txid_of(message), "decide"
        return b"", ""


def watch(deaths: Deaths) -> None:
    """Let every router of this process be watched."""
    from hashrange.routing.settling import SettlingTransport

    send = SettlingTransport.send

    def watched(self: SettlingTransport, message: Any, done: Callable[[Any], None]) -> None:
        deaths.sending(message)

        def answered(answer: Any) -> None:
            deaths.answered(message)
            done(answer)

        send(self, message, answered)

    SettlingTransport.send = watched  # type: ignore[method-assign]


def decide_blindly() -> None:
    """A decision is written over the one that stands."""
    from hashrange_node.replica import evaluate

    from tests.sim.transactions import steps

    match = evaluate._match

    def blind(write: Any, old: Any, current: bytes | None) -> None:
        if steps.step_of(write) != steps.DECIDE:
            match(write, old, current)

    evaluate._match = blind


def name_of(arguments: list[str]) -> str:
    """The name of the process that a command line of the supervisor starts: that of its directory."""
    if "--config" not in arguments[:-1]:
        return ""
    return Path(arguments[arguments.index("--config") + 1]).parent.name


def main(arguments: list[str]) -> None:
    """Break something, then be `hashrange`."""
    share, names, *rest = arguments
    if share == "blind":
        decide_blindly()
    elif rest[:1] == ["router"] and name_of(rest) in names.split(","):
        watch(Deaths(float(share), random.Random()))
    # A supervisor starts its children with the command that it was itself started with, up to these arguments.
    sys.argv[1:] = rest
    from hashrange.cli.main import main as run

    run()


if __name__ == "__main__":
    main(sys.argv[1:])
