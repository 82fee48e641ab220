"""Makes service_model.json of this package, the model of the DAX API, as api.generate does.

Run `python -m hashrange_router.dax.generate` after upgrading botocore; `--check` only compares.
"""

from __future__ import annotations

import sys
from pathlib import Path

from hashrange_router.api.generate import run

MODEL_PATH = Path(__file__).with_name("service_model.json")
SERVICES = ("dax",)


def main(arguments: list[str] | None = None) -> int:
    """Write the file, or with `--check` tell whether it is current."""
    return run(arguments, MODEL_PATH, SERVICES, "hashrange_router.dax.generate")


if __name__ == "__main__":
    sys.exit(main())
