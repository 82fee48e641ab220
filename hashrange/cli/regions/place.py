"""Regions on this machine: each is a local cluster in a directory of its own, with ports of its own.

    DIR/regions.json        which regions there are, and their first ports
    DIR/LOCK                locked while `hashrange regions up` runs
    DIR/us-east-1/          a cluster, as `hashrange cluster` knows it: its commands work on this directory

The n-th region has the ports from `base + 1000 * n` on; the first of them is its endpoint.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hashrange.cli.cluster.layout import PORTS, Layout, LayoutError
from hashrange.cli.cluster.layout import load as load_cluster
from hashrange.model.regions import same_number
from hashrange.runtime.cluster_config import format_address
from hashrange.runtime.peers import REGION

FORMAT = 1
STATE_NAME = "regions.json"
PORT_STEP = 1_000
REGIONS_MAX = 12
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class RegionPlace:
    """One region: its name, the first of its ports, the directory of its cluster."""

    name: str
    base_port: int
    directory: Path

    @property
    def endpoint(self) -> str:
        """The URL that clients, and other regions, use."""
        return f"http://{format_address(HOST, self.base_port)}"

    def layout(self) -> Layout:
        """Its cluster as it is now; raises LayoutError."""
        return load_cluster(self.directory)


@dataclass(slots=True)
class Place:
    """All regions of a directory, in the order in which they came."""

    directory: Path
    regions: list[RegionPlace] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The names of the regions."""
        return [region.name for region in self.regions]

    def find(self, name: str) -> RegionPlace:
        """One region; raises LayoutError when there is none of this name."""
        for region in self.regions:
            if region.name == name:
                return region
        raise LayoutError(f"there is no region {name} here; there are {', '.join(self.names)}")

    def peers_of(self, name: str) -> list[str]:
        """The setting `peers` of a region: all others."""
        return [f"{other.name}={other.endpoint}" for other in self.regions if other.name != name]

    def add(self, name: str, base_port: int) -> None:
        """A further region, on the first free block of ports; raises LayoutError when there is none."""
        taken = {region.base_port for region in self.regions}
        port = next(port for port in range(base_port, 1 << 20, PORT_STEP) if port not in taken)
        if port > 65_535 - PORTS:
            raise LayoutError(
                f"region {name} would need the ports from {port} on, and there are 65535; lower --port"
            )
        self.regions.append(RegionPlace(name, port, self.directory / name))

    def save(self) -> None:
        """Write regions.json as a whole or not at all."""
        path = self.directory / STATE_NAME
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(self.to_json(), indent=2) + "\n", encoding="utf-8")
        draft.replace(path)

    def to_json(self) -> dict[str, Any]:
        """The document of regions.json; endpoints are there for readers."""
        return {
            "format": FORMAT,
            "regions": [
                {"name": region.name, "base_port": region.base_port, "endpoint": region.endpoint}
                for region in self.regions
            ],
        }


def load(directory: Path) -> Place:
    """The regions of a directory; raises LayoutError."""
    path = directory / STATE_NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise LayoutError(f"{path} was written by another version of hashrange; use that one")
        regions = [
            RegionPlace(each["name"], each["base_port"], directory / each["name"])
            for each in document["regions"]
        ]
    except FileNotFoundError:
        raise LayoutError(
            f"there are no regions in {directory}; name their directory with --data-dir, "
            "or start some with `hashrange regions up --regions us-east-1,eu-west-1`"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise LayoutError(f"{path} is damaged ({error!r}); correct it, or use another --data-dir") from None
    except OSError as error:
        raise LayoutError(f"{path} cannot be read ({error.strerror}); check its permissions") from None
    return Place(directory, regions)


def place_for(directory: Path, names: list[str] | None, base_port: int | None) -> Place:
    """The regions that are to run: those of the directory, and what is named besides; raises LayoutError."""
    if not (directory / STATE_NAME).exists():
        place = Place(directory)
        if not names:
            raise LayoutError("name the regions: --regions us-east-1,eu-west-1")
        first = 8_000 if base_port is None else base_port
    else:
        place = load(directory)
        first = place.regions[0].base_port
        if base_port not in (None, first):
            raise LayoutError(
                f"the regions in {directory} have --port {first}, not {base_port}; leave the option out, "
                "or give another --data-dir"
            )
        left_out = [name for name in place.names if names and name not in names]
        if left_out:
            raise LayoutError(
                f"{', '.join(left_out)} {'is' if len(left_out) == 1 else 'are'} in {directory} too; leave "
                "--regions out, or name all. To give a region up, delete its replicas of tables first "
                "(UpdateTable), then start the others in another directory"
            )
    for name in names or ():
        if name not in place.names:
            place.add(name, first)
    _check_names(place.names)
    return place


def _check_names(names: list[str]) -> None:
    wrong = [name for name in names if REGION.fullmatch(name) is None]
    if wrong:
        raise LayoutError(f"{wrong[0]!r} is no name of a region; write one like eu-west-1")
    if not 2 <= len(names) <= REGIONS_MAX:
        raise LayoutError(
            f"2 to {REGIONS_MAX} regions make sense here, not {len(names)}; for a single one use "
            "`hashrange cluster up`"
        )
    equal = same_number(names)
    if equal is not None:
        raise LayoutError(
            f"{equal[0]} and {equal[1]} have the same number, which decides between two writes of one moment; "
            "rename one of them"
        )


def make_directory(directory: Path) -> None:
    """Make the directory if need be; raises LayoutError for one that holds something else."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = {each.name for each in directory.iterdir()}
        if STATE_NAME not in held and held - {"LOCK"}:
            raise LayoutError(f"{directory} holds something else than regions; give another --data-dir")
        if not os.access(directory, os.W_OK | os.X_OK):
            raise LayoutError(f"{directory} cannot be written by this user; give another --data-dir")
    except (FileExistsError, NotADirectoryError):
        raise LayoutError(f"{directory} is not a directory; give another --data-dir") from None
    except OSError as error:
        raise LayoutError(f"{directory} cannot be used ({error.strerror}); give another --data-dir") from None
