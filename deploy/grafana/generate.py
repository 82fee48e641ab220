"""Writes dashboards/*.json from the definitions beside this file; a test keeps them the same.

python deploy/grafana/generate.py           # write
python deploy/grafana/generate.py --check   # say what differs, exit with 1 if anything does
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from boards import ALL
from boards_roles import ROLES

FOLDER = Path(__file__).resolve().parent / "dashboards"


def main() -> int:
    """Write the dashboards, or compare them."""
    wanted = {
        f"{board['uid'].removeprefix('hashrange-')}.json": json.dumps(board, indent=1) + "\n"
        for board in [*ALL, *ROLES]
    }
    there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    if "--check" in sys.argv[1:]:
        stale = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
        for name in stale:
            sys.stderr.write(f"{name} is not what generate.py makes: run it\n")
        return 1 if stale else 0
    FOLDER.mkdir(exist_ok=True)
    for name in there.keys() - wanted.keys():
        (FOLDER / name).unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
