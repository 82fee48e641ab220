"""Where the regions of `hashrange regions up` are: names, ports, directories, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from hashrange.cli.cluster.layout import LayoutError
from hashrange.cli.regions import faults
from hashrange.cli.regions.place import Place, load, make_directory, place_for
from hashrange.cli.regions.screen import consoles
from hashrange.cli.regions.up import RegionsOptions, layout_of

TWO = ["us-east-1", "eu-west-1"]


def made(directory: Path, names: list[str] = TWO, port: int | None = 9000) -> Place:
    place = place_for(directory, names, port)
    make_directory(directory)
    place.save()
    return place


def test_each_region_has_ports_and_a_directory_of_its_own(tmp_path: Path) -> None:
    place = made(tmp_path / "r")
    assert [region.endpoint for region in place.regions] == [
        "http://127.0.0.1:9000",
        "http://127.0.0.1:10000",
    ]
    assert place.find("eu-west-1").directory == tmp_path / "r" / "eu-west-1"
    assert place.peers_of("us-east-1") == ["eu-west-1=http://127.0.0.1:10000"]
    assert load(tmp_path / "r") == place


def test_the_same_directory_has_the_same_regions_again(tmp_path: Path) -> None:
    place = made(tmp_path / "r")
    assert place_for(tmp_path / "r", None, None) == place
    assert place_for(tmp_path / "r", TWO[::-1], 9000) == place


def test_a_region_may_be_added(tmp_path: Path) -> None:
    made(tmp_path / "r")
    place = place_for(tmp_path / "r", [*TWO, "ap-northeast-1"], None)
    assert place.find("ap-northeast-1").base_port == 11_000
    assert place.peers_of("us-east-1") == [
        "eu-west-1=http://127.0.0.1:10000",
        "ap-northeast-1=http://127.0.0.1:11000",
    ]


@pytest.mark.parametrize(
    ("names", "port", "sentence"),
    [
        (["us-east-1"], None, "eu-west-1 is in"),
        (TWO, 8000, "have --port 9000, not 8000"),
        ([*TWO, "Mars!"], None, "is no name of a region"),
    ],
)
def test_what_contradicts_the_directory_is_refused(
    names: list[str], port: int | None, sentence: str, tmp_path: Path
) -> None:
    made(tmp_path / "r")
    with pytest.raises(LayoutError, match=sentence):
        place_for(tmp_path / "r", names, port)


def test_a_single_region_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="hashrange cluster up"):
        place_for(tmp_path, ["us-east-1"], None)
    with pytest.raises(LayoutError, match="--regions us-east-1,eu-west-1"):
        place_for(tmp_path, None, None)


def test_ports_beyond_the_last_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="lower --port"):
        place_for(tmp_path, TWO, 64_000)


def test_a_directory_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(LayoutError, match="something else than regions"):
        make_directory(tmp_path)
    with pytest.raises(LayoutError, match="there are no regions in"):
        load(tmp_path)
    (tmp_path / "regions.json").write_text("[]")
    with pytest.raises(LayoutError, match="is damaged"):
        load(tmp_path)


def test_nodes_and_routers_are_told_of_the_others(tmp_path: Path) -> None:
    place = made(tmp_path / "r")
    keys = tmp_path / "keys.ini"
    keys.write_text("[default]\naws_access_key_id = AK\naws_secret_access_key = secret\n")
    options = RegionsOptions(tmp_path / "r", azs=1, nodes=1, triggers=1, credentials_file=keys)
    layout = layout_of(options, place, place.find("eu-west-1"))
    node, router, pool = (layout.config_of(process) for process in layout.processes)
    for config in (node, router):
        assert config["peers"] == ["us-east-1=http://127.0.0.1:9000"]
        assert config["peer_credentials"] == "AK:secret"
        assert config["region"] == "eu-west-1"
    assert router["credentials_file"] == str(keys) and "credentials_file" not in node
    assert "peers" not in pool


def test_a_credentials_file_without_keys_is_refused(tmp_path: Path) -> None:
    place = made(tmp_path / "r")
    options = RegionsOptions(tmp_path / "r", credentials_file=tmp_path / "none.ini")
    with pytest.raises(LayoutError, match="there is no file"):
        layout_of(options, place, place.regions[0])


def test_cuts_are_between_two_or_between_one_and_all_others(tmp_path: Path) -> None:
    place = made(tmp_path / "r", [*TWO, "ap-northeast-1"])

    def names(chosen: str, other: str | None) -> list[tuple[str, str]]:
        return [(one.name, another.name) for one, another in faults.pairs(place, chosen, other)]

    assert names("eu-west-1", "us-east-1") == [("eu-west-1", "us-east-1")]
    assert names("eu-west-1", None) == [("eu-west-1", "us-east-1"), ("eu-west-1", "ap-northeast-1")]
    with pytest.raises(LayoutError, match="there is no region mars"):
        names("mars", None)
    with pytest.raises(LayoutError, match="cut off from itself"):
        names("eu-west-1", "eu-west-1")


def test_a_region_that_comes_later_is_laid_out_like_the_first(tmp_path: Path) -> None:
    place = made(tmp_path / "r")
    keys = tmp_path / "keys.ini"
    keys.write_text("[default]\naws_access_key_id = AK\naws_secret_access_key = secret\n")
    options = RegionsOptions(tmp_path / "r", azs=1, nodes=2, routers=2, credentials_file=keys)
    first = layout_of(options, place, place.regions[0])
    first.directory.mkdir()
    first.save()
    grown = place_for(tmp_path / "r", [*TWO, "ap-northeast-1"], None)
    later = layout_of(RegionsOptions(tmp_path / "r"), grown, grown.regions[2])
    assert (later.azs, len(later.of("node")), len(later.of("router"))) == (1, 2, 2)
    assert later.router_settings["credentials_file"] == str(keys)
    assert later.region_settings["peer_credentials"] == "AK:secret"


def test_each_region_has_a_console_of_its_own_when_one_is_asked_for(tmp_path: Path) -> None:
    place = made(tmp_path / "r")
    asked = RegionsOptions(tmp_path / "r", azs=1, nodes=1, console=True, console_edit=True)
    for region, port in zip(place.regions, (9090, 10_090), strict=True):
        region.directory.mkdir()
        layout = layout_of(asked, place, region)
        layout.save()
        node, router = (layout.config_of(process) for process in layout.processes)
        assert router["console"] and router["console_edit"]
        assert router["console_port"] == port
        assert "console" not in node
    assert consoles(place) == [
        "Console of us-east-1: http://127.0.0.1:9090",
        "Console of eu-west-1: http://127.0.0.1:10090",
    ]
    layout_of(RegionsOptions(tmp_path / "r"), place, place.regions[0]).save()
    assert consoles(place) == ["Console of eu-west-1: http://127.0.0.1:10090"]
