"""What nodes and all processes tell of their state on /metrics: readiness, clock, memory, replicas, disk."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hashrange_node.groups import AWAY_S
from hashrange_node.raft.leader import Leader
from hashrange_node.raft.progress import REPLICATE, SNAPSHOT
from prometheus_client.parser import text_string_to_metric_families

from hashrange.cli.process_metrics import register_process_metrics
from hashrange.cli.replica_metrics import register_disk_metrics, register_replica_metrics
from hashrange.runtime import system
from hashrange.runtime.clock import ManualClock, StampClock
from hashrange.runtime.telemetry import Telemetry


def read(telemetry: Telemetry) -> dict[str, float]:
    """Name to value, of metrics without labels."""
    families = text_string_to_metric_families(telemetry.render().decode())
    return {sample.name: sample.value for family in families for sample in family.samples}


def leading(matches: dict[int, int], states: dict[int, str] | None = None) -> Any:
    """A group led here with its newest entry at 100; the followers 2 and 3 are on the nodes 2 and 3."""
    leader = Leader.__new__(Leader)
    leader.tracker = cast(
        Any,
        SimpleNamespace(
            followers=[
                SimpleNamespace(id=member, match=match, state=(states or {}).get(member, REPLICATE))
                for member, match in matches.items()
            ]
        ),
    )
    core = SimpleNamespace(
        role=leader,
        log=SimpleNamespace(last_index=100),
        configuration=SimpleNamespace(voters={1, 2, 3}),
    )
    return SimpleNamespace(serving=True, core=core, nodes={1: 1, 2: 2, 3: 3}, leader_node=1, damaged="")


def node_with(groups: list[Any], silent: dict[int, float], clock: ManualClock) -> Any:
    return SimpleNamespace(
        driver=SimpleNamespace(groups=dict(enumerate(groups))),
        groups=SimpleNamespace(control=SimpleNamespace(serving=True)),
        peers=SimpleNamespace(silent_s=lambda node: silent.get(node, 0.0)),
        catalogue=SimpleNamespace(index=7),
        stamps=StampClock(clock),
    )


def replica_figures(groups: list[Any], silent: dict[int, float] | None = None) -> dict[str, float]:
    telemetry = Telemetry(process=False)
    register_replica_metrics(telemetry, node_with(groups, silent or {}, ManualClock()))
    return read(telemetry)


def test_a_whole_partition_lags_by_what_its_slowest_replica_lacks() -> None:
    found = replica_figures([leading({2: 100, 3: 97}), leading({2: 95, 3: 100})])
    assert found["hashrange_replication_lag_entries"] == 5
    assert found["hashrange_partitions_under_replicated"] == 0
    assert found["hashrange_partitions_leaderless"] == 0
    assert found["hashrange_control_leading"] == 1
    assert found["hashrange_catalogue_index"] == 7


@pytest.mark.parametrize(
    ("states", "silent"),
    [({3: SNAPSHOT}, {}), ({}, {2: AWAY_S + 1})],
    ids=["needs a snapshot", "its node is silent"],
)
def test_a_missing_replica_counts_and_does_not_lag(states: dict[int, Any], silent: dict[int, float]) -> None:
    found = replica_figures([leading({2: 100, 3: 97}, states)], silent)
    assert found["hashrange_partitions_under_replicated"] == 1
    assert found["hashrange_replication_lag_entries"] == 0


def test_learners_do_not_count_as_replicas_that_lack() -> None:
    found = replica_figures([leading({2: 100, 3: 100, 9: 0})])
    assert found["hashrange_partitions_under_replicated"] == 0
    assert found["hashrange_replication_lag_entries"] == 0


def test_partitions_without_a_leader_and_damaged_ones() -> None:
    lost, damaged = leading({}), leading({})
    lost.leader_node, lost.serving = None, False
    damaged.leader_node, damaged.serving, damaged.damaged = None, False, "a checksum differs"
    found = replica_figures([lost, damaged])
    assert found["hashrange_partitions_leaderless"] == 1
    assert found["hashrange_partitions_damaged"] == 1


def test_stamps_of_a_fast_clock_elsewhere_are_seen() -> None:
    clock = ManualClock()
    node = node_with([], {}, clock)
    telemetry = Telemetry(process=False)
    register_replica_metrics(telemetry, node)
    node.stamps.next()
    assert read(telemetry)["hashrange_stamp_ahead_seconds"] == 0
    node.stamps.observe((clock.wall_ms() + 4_000) << 16)
    assert read(telemetry)["hashrange_stamp_ahead_seconds"] == 4
    clock.advance(10)
    assert read(telemetry)["hashrange_stamp_ahead_seconds"] == 0


def test_readiness_clock_and_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "limit").write_text("4096000\n")
    monkeypatch.setattr(system, "_MEMORY_LIMITS", (str(tmp_path / "none"), str(tmp_path / "limit")))
    telemetry, clock, reasons = Telemetry(process=False), ManualClock(5_000), [""]
    register_process_metrics(telemetry, lambda: reasons[0], clock)
    found = read(telemetry)
    assert found["hashrange_ready"] == 1
    assert found["hashrange_clock_seconds"] == 5
    assert found["hashrange_memory_limit_bytes"] == 4_096_000
    reasons[0] = "stopping"
    assert read(telemetry)["hashrange_ready"] == 0


def test_without_a_limit_the_machine_is_the_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "limit").write_text("max\n")
    monkeypatch.setattr(system, "_MEMORY_LIMITS", (str(tmp_path / "limit"),))
    unlimited = system.memory_limit_bytes()
    (tmp_path / "limit").write_text(str(1 << 62))
    assert system.memory_limit_bytes() == unlimited > 0


def test_the_disk_of_a_directory(tmp_path: Path) -> None:
    telemetry = Telemetry(process=False)
    register_disk_metrics(telemetry, tmp_path)
    found = read(telemetry)
    assert 0 < found["hashrange_disk_free_bytes"] <= found["hashrange_disk_size_bytes"]
