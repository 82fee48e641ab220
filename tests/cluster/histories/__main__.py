"""Check a file of JSON lines: `python -m tests.cluster.histories FILE`. Exit code 1 when it cannot be explained.

The file holds operations on registers, or transactions on lists; its first line tells which.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.cluster.histories.history import read_history
from tests.cluster.histories.linear import check_history
from tests.cluster.histories.list_check import check_lists
from tests.cluster.histories.lists import holds_lists, read_transactions


def main(arguments: list[str]) -> int:
    """Check one file and print what is wrong with it."""
    if len(arguments) != 1:
        print(__doc__)
        return 2
    path = Path(arguments[0])
    return check_list_file(path) if holds_lists(path) else check_register_file(path)


def check_register_file(path: Path) -> int:
    """Check a history of registers."""
    operations = read_history(path)
    started = time.monotonic()
    violations = check_history(operations)
    seconds = time.monotonic() - started
    for violation in violations:
        print(violation.text())
    verdict = f"{len(violations)} keys are not linearizable" if violations else "linearizable"
    print(f"{len(operations)} operations, checked in {seconds:.1f} s: {verdict}")
    return 1 if violations else 0


def check_list_file(path: Path) -> int:
    """Check a history of transactions on lists."""
    transactions = read_transactions(path)
    started = time.monotonic()
    findings = check_lists(transactions)
    seconds = time.monotonic() - started
    for finding in findings:
        print(finding.text())
    verdict = f"{len(findings)} findings" if findings else "strictly serializable"
    print(f"{len(transactions)} transactions, checked in {seconds:.1f} s: {verdict}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
