"""Settings of nodes and routers: files, variables, and sentences for what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from hashrange.cli.node_server import replication_settings
from hashrange.runtime.cluster_config import Member, NodeConfig, RouterConfig, Seed, parse_address
from hashrange.runtime.cluster_settings import as_toml, load_node, load_router
from hashrange.runtime.settings import ConfigError

MEMBERS = ["1/az1/10.0.1.5:8101", "2/az2/10.0.2.5:8101", "3/az3/10.0.3.5:8101"]


def node_file(path: Path, **changes: object) -> Path:
    settings = {"id": 1, "az": "az1", "port": 8101, "members": MEMBERS, **changes}
    path.write_text(as_toml({name: value for name, value in settings.items() if value is not None}))
    return path


def problems(call: object, *arguments: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        call(*arguments)  # type: ignore[operator]
    return [str(problem) for problem in caught.value.problems]


def test_a_node_of_the_beginning(tmp_path: Path) -> None:
    config = load_node(node_file(tmp_path / "n.toml"), {})
    assert config.members[1] == Member(2, "az2", "10.0.2.5:8101")
    assert config.address == "10.0.1.5:8101"
    assert config.way_in == (Seed(2, "10.0.2.5:8101"), Seed(3, "10.0.3.5:8101"))
    assert config.durability == "fsync"


def test_a_node_that_joins(tmp_path: Path) -> None:
    config = load_node(node_file(tmp_path / "n.toml", id=4, members=None, seeds=["1/10.0.1.5:8101"]), {})
    assert config.address == "127.0.0.1:8101"
    assert config.way_in == (Seed(1, "10.0.1.5:8101"),)


def test_variables_win_over_the_file_and_need_no_file(tmp_path: Path) -> None:
    environ = {"HASHRANGE_PORT": "9", "HASHRANGE_ADVERTISE": "box:9", "HASHRANGE_OTHER": "x"}
    config = load_node(node_file(tmp_path / "n.toml"), environ)
    assert (config.port, config.address) == (9, "box:9")
    router = load_router(None, {"HASHRANGE_SEEDS": "1/a:1, 2/b:2", "HASHRANGE_PORT": "tcp://10.1.1.1:1"})
    assert router.seeds == (Seed(1, "a:1"), Seed(2, "b:2"))
    assert router.port == 8000


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": 0}, "n.toml: id: must be a whole number from 1 to 65535, not 0"),
        ({"az": "Az 1"}, "n.toml: az: must be a zone such as az1 (lower-case letters, digits and hyphens)"),
        ({"az": "az2"}, "n.toml: members: node 1 is in az1 there, but az says az2"),
        ({"id": 4}, "members: node 4 is none of them; add it, or name seeds to join"),
        ({"members": None}, "members: name the nodes the cluster begins with, or seeds to join one"),
        ({"members": [*MEMBERS, "1/az1/x:1"]}, "two of them have the same id"),
        ({"members": ["1/az1/x:1", "2/az2/x:1"]}, "two of them have the same address"),
        ({"members": ["1-az1-x:1"]}, "'1-az1-x:1' is no member; write ID/AZ/HOST:PORT"),
        ({"members": 5}, "members: must be a list of ID/AZ/HOST:PORT"),
        ({"seeds": ["x:1"]}, "'x:1' is no seed; write ID/HOST:PORT"),
        ({"advertise": "x"}, "advertise: 'x' is no address; write host:port with a port from 1 to 65535"),
        ({"durability": "none"}, "durability: must be fsync or os, not 'none'"),
        ({"lease_ticks": 19}, "lease_ticks: must not be more than election_ticks"),
        ({"heartbeat_ticks": 18}, "heartbeat_ticks: must be less than election_ticks"),
        ({"port": None}, "port: is not set; write it in the file of --config, or set HASHRANGE_PORT"),
        ({"durabilty": "os"}, "durabilty: there is no such setting; did you mean durability?"),
        ({"in_memory": "perhaps"}, "in_memory: must be true or false"),
    ],
)
def test_mistakes_are_told_in_one_sentence(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    found = problems(load_node, node_file(tmp_path / "n.toml", **changes), {})
    assert len(found) == 1
    assert words in found[0]


def test_all_mistakes_are_told(tmp_path: Path) -> None:
    file = node_file(tmp_path / "n.toml", segment_mb=0, color="red")
    found = problems(load_node, file, {"HASHRANGE_TICK_MS": "x"})
    assert len(found) == 3
    assert any(text.startswith("HASHRANGE_TICK_MS: must be a whole number") for text in found)


def test_files_that_are_none(tmp_path: Path) -> None:
    assert "there is no file" in problems(load_node, tmp_path / "no.toml", {})[0]
    assert problems(load_node, None, {"HASHRANGE_CONFIG": "no.toml"})[0].startswith("HASHRANGE_CONFIG: ")
    (tmp_path / "bad.toml").write_text("id = ")
    assert "this is not TOML" in problems(load_router, tmp_path / "bad.toml", {})[0]


def test_a_router(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("[default]\naws_access_key_id = K\naws_secret_access_key = S\n")
    file = tmp_path / "r.toml"
    file.write_text(as_toml({"seeds": ["1/a:1"], "credentials_file": tmp_path / "keys", "port": 1}))
    assert load_router(file, {}).secrets() == {"K": "S"}
    file.write_text(as_toml({"seeds": ["1/a:1"], "throttling": "on", "capacity_multiplier": 0.1}))
    config = load_router(file, {"HASHRANGE_THROTTLE_FAULTS": "a.b=1,*=0"})
    assert (config.throttling, config.capacity_multiplier) == ("on", 0.1)
    assert config.throttle_faults == ("a.b=1", "*=0")
    file.write_text(as_toml({"seeds": ["1/a:1"], "throttling": "maybe"}))
    assert problems(load_router, file, {}) == [
        f"{file}: throttling: must be off, on or provisioned-only, not 'maybe'"
    ]
    file.write_text(as_toml({"seeds": ["1/a:1", "1/b:1"]}))
    assert "two of them have the same id" in problems(load_router, file, {})[0]
    assert problems(load_router, None, {}) == [
        "seeds: is not set; write it in the file of --config, or set HASHRANGE_SEEDS"
    ]


@pytest.mark.parametrize(
    ("text", "parsed"),
    [("a:1", ("a", 1)), ("10.0.0.1:65535", ("10.0.0.1", 65535)), ("[::1]:8", ("::1", 8))],
)
def test_addresses(text: str, parsed: tuple[str, int]) -> None:
    assert parse_address(text) == parsed


@pytest.mark.parametrize(
    "text", ["", "a", "a:", ":1", "a:0", "a:65536", "::1:8", "[a]:1", "[::1", "a b:1", "a:²"]
)
def test_texts_that_are_no_addresses(text: str) -> None:
    with pytest.raises(ValueError):
        parse_address(text)


def test_every_setting_is_described() -> None:
    for model in (NodeConfig, RouterConfig):
        for name, field in model.model_fields.items():
            assert field.description, name


def test_a_written_file_reads_the_same(tmp_path: Path) -> None:
    path = tmp_path / 'odd "name" \x7f é'
    config = load_node(node_file(tmp_path / "n.toml", data_dir=path, in_memory=True), {})
    assert config.data_dir == path
    assert config.in_memory is True


def test_the_times_of_streams_reach_the_node(tmp_path: Path) -> None:
    assert replication_settings(load_node(node_file(tmp_path / "d.toml"), {})).stream_rollover_s == 14_400
    times = {"HASHRANGE_STREAM_RETENTION_S": "60", "HASHRANGE_STREAM_ROLLOVER_S": "2.5"}
    settings = replication_settings(load_node(node_file(tmp_path / "n.toml"), times))
    assert (settings.stream_retention_s, settings.stream_rollover_s) == (60.0, 2.5)
    (problem,) = problems(load_node, node_file(tmp_path / "w.toml", stream_rollover_s=0), {})
    assert "stream_rollover_s" in problem and "from 1 to 604800" in problem


def test_peers_of_a_node_and_a_router(tmp_path: Path) -> None:
    file = node_file(
        tmp_path / "n.toml", peers=["eu-west-1=http://h:1|http://h:2"], peer_credentials="K:geheim"
    )
    config = load_node(file, {})
    assert config.peers == ("eu-west-1=http://h:1|http://h:2",)
    assert config.peer_credentials is not None
    assert config.peer_credentials.access_key == "K"
    file.write_text(as_toml({"seeds": ["1/a:1"]}))
    environ = {"HASHRANGE_PEERS": "us-east-1=http://h:1", "HASHRANGE_PEER_CREDENTIALS": "geheim"}
    (problem,) = problems(load_router, file, environ)
    assert problem == "HASHRANGE_PEER_CREDENTIALS: must be ACCESS_KEY:SECRET, one pair"
    (problem,) = problems(load_router, file, {"HASHRANGE_PEERS": "us-east-1=http://h:1"})
    assert problem.startswith("HASHRANGE_PEERS: us-east-1 is this region itself")
    (problem,) = problems(load_router, file, {"HASHRANGE_PEERS": "eu=h"})
    assert problem.startswith("HASHRANGE_PEERS: 'h' is no endpoint of eu")
