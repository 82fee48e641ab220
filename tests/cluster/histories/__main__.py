"""Check a file of JSON lines: `python -m tests.cluster.histories FILE`. Exit code 1 when it is not linearizable."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.cluster.histories.history import read_history
from tests.cluster.histories.linear import check_history


def main(arguments: list[str]) -> int:
    """Check one file and print what is wrong with it."""
    if len(arguments) != 1:
        print(__doc__)
        return 2
    operations = read_history(Path(arguments[0]))
    started = time.monotonic()
    violations = check_history(operations)
    seconds = time.monotonic() - started
    for violation in violations:
        print(violation.text())
    verdict = f"{len(violations)} keys are not linearizable" if violations else "linearizable"
    print(f"{len(operations)} operations, checked in {seconds:.1f} s: {verdict}")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
