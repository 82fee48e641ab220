"""How a local cluster is laid out, kept in its file, named by people, and cut in two."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hashrange.cli.cluster import faults, layout, targets
from hashrange.cli.cluster.layout import Layout, LayoutError
from hashrange.runtime.cluster_config import DaxConfig, NodeConfig, RouterConfig, TriggersConfig


def cluster(directory: Path, **changes: int) -> Layout:
    sizes = {"azs": 3, "nodes": 3, "routers": 1, "base_port": 8000, **changes}
    return layout.plan(directory, region="us-east-1", **sizes)


def test_nodes_go_round_the_zones(tmp_path: Path) -> None:
    planned = cluster(tmp_path, nodes=5, routers=2)
    assert [(p.name, p.az) for p in planned.processes] == [
        ("node-1", "az1"),
        ("node-2", "az2"),
        ("node-3", "az3"),
        ("node-4", "az1"),
        ("node-5", "az2"),
        ("router-1", "az1"),
        ("router-2", "az2"),
    ]
    assert planned.initial == [1, 2, 3]


def test_ports_are_distinct_and_within_the_block(tmp_path: Path) -> None:
    planned = cluster(tmp_path, nodes=99, routers=99, triggers=99)
    nodes = [int(planned.address(p).split(":")[1]) for p in planned.of("node")]
    nodes += [int(planned.address(p).split(":")[1]) for p in planned.of("triggers")]
    ports = [*nodes, *(planned.admin_port(p) for p in planned.processes)]
    assert len(set(ports)) == len(ports)
    assert 8000 < min(ports) <= max(ports) < 8000 + layout.PORTS
    assert {planned.address(p) for p in planned.of("router")} == {"127.0.0.1:8000"}


def test_configurations_are_valid(tmp_path: Path) -> None:
    planned = cluster(tmp_path, nodes=4, triggers=1)
    joining = planned.add_node(None)
    configs = {p.name: planned.config_of(p) for p in planned.processes}
    first = NodeConfig.model_validate(configs["node-1"])
    assert [str(member) for member in first.members] == [
        "1/az1/127.0.0.1:8101",
        "2/az2/127.0.0.1:8102",
        "3/az3/127.0.0.1:8103",
    ]
    assert first.address == planned.address(planned.find("node", 1))
    later = NodeConfig.model_validate(configs["node-4"])
    assert later.members == ()
    assert [seed.id for seed in later.seeds] == [1, 2, 3, 5]
    assert joining.az in ("az2", "az3")
    router = RouterConfig.model_validate(configs["router-1"])
    assert router.reuse_port
    assert len(router.seeds) == 5
    pool = TriggersConfig.model_validate(configs["triggers-1"])
    assert (len(pool.seeds), pool.port, pool.function_endpoint) == (5, 8401, "http://127.0.0.1:8000")
    assert pool.work_dir == tmp_path / "triggers-1" / "work"
    assert pool.hide == (tmp_path,)


def test_a_cluster_may_have_more_or_fewer_pools_later(tmp_path: Path) -> None:
    planned = cluster(tmp_path)
    assert planned.of("triggers") == []
    planned.set_pools(3)
    assert [(p.name, p.az) for p in planned.of("triggers")] == [
        ("triggers-1", "az1"),
        ("triggers-2", "az2"),
        ("triggers-3", "az3"),
    ]
    planned.set_pools(1)
    planned.save()
    assert [p.name for p in layout.load(tmp_path).of("triggers")] == ["triggers-1"]
    assert [p.name for p in targets.resolve(planned, ["triggers-1"])] == ["triggers-1"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"azs": 2}, "two zones cannot outvote one another"),
        ({"nodes": 2}, "3 zones need at least 3 nodes"),
        ({"nodes": 100}, "1 to 99 nodes"),
        ({"routers": 0}, "1 to 99 nodes and routers"),
        ({"base_port": 65_400}, "--port is from 1 to 64535"),
    ],
)
def test_plans_that_make_no_sense(tmp_path: Path, changes: dict[str, int], words: str) -> None:
    with pytest.raises(LayoutError, match=words):
        cluster(tmp_path, **changes)


def test_the_file_holds_everything(tmp_path: Path) -> None:
    planned = cluster(tmp_path)
    planned.processes[0].pid = 17
    planned.settings = {"segment_mb": "16"}
    planned.boot = "b"
    planned.save()
    assert layout.load(tmp_path) == planned
    document = json.loads((tmp_path / "cluster.json").read_text())
    assert document["endpoint"] == "http://127.0.0.1:8000"
    assert document["processes"][0]["address"] == "127.0.0.1:8101"
    assert document["processes"][0]["metrics_url"] == "http://127.0.0.1:8201/metrics"
    assert [path.name for path in tmp_path.iterdir()] == ["cluster.json"]


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="there is no cluster in"):
        layout.load(tmp_path)
    (tmp_path / "cluster.json").write_text("{}")
    with pytest.raises(LayoutError, match="is damaged"):
        layout.load(tmp_path)
    (tmp_path / "cluster.json").write_text('{"format": 99}')
    with pytest.raises(LayoutError, match="another version"):
        layout.load(tmp_path)


def test_a_directory_of_something_else_is_refused(tmp_path: Path) -> None:
    layout.make_directory(tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(LayoutError, match="holds something else"):
        layout.make_directory(tmp_path)
    with pytest.raises(LayoutError, match="is not a directory"):
        layout.make_directory(tmp_path / "thesis.txt")


def test_added_nodes_fill_the_emptiest_zone_and_never_reuse_ids(tmp_path: Path) -> None:
    planned = cluster(tmp_path)
    assert [planned.add_node(None).az for _ in range(3)] == ["az1", "az2", "az3"]
    planned.processes.remove(planned.find("node", 6))
    assert planned.add_node("az3").id == 7
    with pytest.raises(LayoutError, match="there is no zone az9"):
        planned.add_node("az9")


def test_targets(tmp_path: Path) -> None:
    planned = cluster(tmp_path, nodes=4)

    def names(*given: str) -> list[str]:
        return [process.name for process in targets.resolve(planned, list(given))]

    assert names("az1") == ["node-1", "node-4"]
    assert names("2", "node-2", "router-1") == ["node-2", "router-1"]
    for wrong in ("az7", "node-9", "x", "dax-1", "²"):
        with pytest.raises(LayoutError, match="there is no"):
            names(wrong)


def test_both_sides_of_a_cut_block_one_another(tmp_path: Path) -> None:
    planned = cluster(tmp_path, nodes=4)
    zone = targets.resolve(planned, ["az1"])
    others = faults.others_of(planned, zone, None)
    assert faults.blocks_of_cut(planned, zone, others) == {
        "node-1": {2, 3},
        "node-4": {2, 3},
        "node-2": {1, 4},
        "node-3": {1, 4},
        "router-1": {1, 4},
    }
    router = targets.resolve(planned, ["router-1"])
    assert faults.blocks_of_cut(planned, router, faults.others_of(planned, router, None)) == {
        "router-1": {1, 2, 3, 4}
    }
    pair = faults.blocks_of_cut(planned, [planned.find("node", 1)], [planned.find("node", 2)])
    assert pair == {"node-1": {2}, "node-2": {1}}
    with pytest.raises(LayoutError, match="nothing on the other side"):
        faults.others_of(planned, zone, zone)


def test_cache_nodes_have_the_ports_of_their_slots_and_what_routers_enforce(tmp_path: Path) -> None:
    planned = cluster(tmp_path)
    planned.router_settings, planned.dax_settings = {"throttling": "on"}, {"memory_mb": "64"}
    node = layout.Process(
        layout.DAX, 2, "az2", dax={"id": 1, "cluster": "two", "node": "two-1", "process": "ab"}
    )
    planned.processes.append(node)
    config = DaxConfig.model_validate(planned.config_of(node))
    assert (config.dax_port, config.port, config.peer_port, config.admin_port) == (8602, 8702, 8802, 8902)
    assert (config.id, config.node_id, config.az, config.memory_mb) == (1, "two-1", "az2", 64)
    assert (config.throttling, config.process) == ("on", "ab")
    assert planned.address(node) == "127.0.0.1:8602"
    assert planned.admin_port(node) == config.admin_port < 8000 + layout.PORTS
    router = RouterConfig.model_validate(planned.config_of(planned.find("router", 1)))
    assert (router.dax_base_port, router.dax_zones) == (8600, ("az1", "az2", "az3"))
    planned.save()
    assert layout.load(tmp_path).find("dax", 2).dax == node.dax
    assert targets.resolve(planned, ["dax-2"]) == [node]
    (tmp_path / "cluster.json").unlink()
    (tmp_path / "dax-2").mkdir()
    layout.make_directory(tmp_path)
