"""Transactions under faults, and the verdict: `python -m tests.cluster.transactions`. Exit code 1 if anything is wrong.

It ends after the time given, or sooner with the number of transactions given.
"""

from __future__ import annotations

import argparse
import sys

from tests.cluster.transactions.faults import FAULTS
from tests.cluster.transactions.run import Options, run


def main(arguments: list[str]) -> int:
    """Run it and print what came out."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.transactions", description=__doc__)
    parser.add_argument(
        "--seconds", type=float, help="how long the load goes on (60, or 600 with --transactions)"
    )
    parser.add_argument(
        "--transactions", type=int, default=0, help="transactions on lists after which it ends"
    )
    parser.add_argument("--faults", choices=sorted(FAULTS), default="all")
    parser.add_argument("--pause", type=float, default=3.0, help="seconds between two faults")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=16, help="that append and read lists")
    parser.add_argument("--bankers", type=int, default=4, help="clients that move money")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--routers", type=int, default=2)
    parser.add_argument("--partitions", type=int, default=1, help="of each of the three tables at the start")
    parser.add_argument("--torn", action="store_true", help="read item by item: must be found out")
    given = parser.parse_args(arguments)

    def say(sentence: str) -> None:
        print(sentence, flush=True)

    verdict = run(
        Options(
            seconds=given.seconds or (600.0 if given.transactions else 60.0),
            transactions=given.transactions,
            faults=FAULTS[given.faults],
            pause_s=given.pause,
            seed=given.seed,
            clients=given.clients,
            bankers=given.bankers,
            nodes=given.nodes,
            routers=given.routers,
            partitions=given.partitions,
            torn=given.torn,
            say=say,
        )
    )
    say(verdict.text())
    return 1 if verdict.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
