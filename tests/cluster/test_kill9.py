"""The short form of the kill -9 campaign: two rounds, real processes, real files."""

from __future__ import annotations

import random
from pathlib import Path

from tests.cluster.kill9 import run_round


def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    rng = random.Random(7)
    for number in range(2):
        outcome = run_round(tmp_path / "data", number, 400, rng)
        assert len(outcome.acknowledged) >= 400
        assert outcome.missing == []
        assert outcome.torn == []
