"""A copy of a table kept by a function, under faults: `python -m tests.cluster.triggers`. Exit code 1 if it differs."""

from __future__ import annotations

import argparse
import sys

from tests.cluster.triggers.run import Options, run


def main(arguments: list[str]) -> int:
    """Run it and print what came out."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.triggers", description=__doc__)
    parser.add_argument("--changes", type=int, default=20_000)
    parser.add_argument("--rate", type=float, default=500.0, help="changes a second at most")
    parser.add_argument(
        "--embedded", action="store_true", help="one server with its pool instead of a cluster"
    )
    parser.add_argument("--pools", type=int, default=2)
    parser.add_argument("--pool-kills", type=int, default=2)
    parser.add_argument("--parallelization", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)

    def say(sentence: str) -> None:
        print(sentence, flush=True)

    verdict = run(
        Options(
            changes=given.changes,
            rate=given.rate,
            cluster=not given.embedded,
            pools=given.pools,
            pool_kills=given.pool_kills,
            parallelization=given.parallelization,
            batch_size=given.batch_size,
            seed=given.seed,
            say=say,
        )
    )
    say(verdict.text())
    return 1 if verdict.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
