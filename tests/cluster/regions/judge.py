"""What must hold when all regions have everything: they are equal, and each key has the version that had to win.

Pure: `judge` looks at what clients were told, at the versions that regions have stored, and at those that leaders
wrote down as they made them, where they did (`odd_program`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tests.cluster.regions.load import Told
from tests.cluster.regions.stored import ROUTE, Version

SHOWN = 5
Made = tuple[str, bytes, int, int, str | None]
"""Table, relative key, stamp, region and value of a version, as its leader wrote it down."""


def judge(told: Told, stored: Mapping[str, Mapping[bytes, Version]], made: Iterable[Made] = ()) -> list[str]:
    """Everything that is wrong; `stored`: region to relative key to version."""
    names = sorted(stored)
    wrong = _unequal({name: stored[name] for name in names})
    winners = {name_of(key): version for key, version in stored[names[0]].items()}
    wrong += _shortened("lost or brought back", _by_told(told, winners))
    versions = list(made)
    if versions:
        wrong += _shortened("not the greatest version", _by_versions(told, stored[names[0]], versions))
    return wrong


def name_of(relative_key: bytes) -> str:
    """The partition key of a relative key, a text of letters and digits as the load makes them."""
    return "".join(chr(byte) for byte in relative_key[ROUTE:] if chr(byte).isalnum())


def _shortened(what: str, complaints: list[str]) -> list[str]:
    if len(complaints) > SHOWN:
        return [f"{len(complaints)} keys {what}, such as: {'; '.join(complaints[:SHOWN])}"]
    return complaints


def _unequal(stored: Mapping[str, Mapping[bytes, Version]]) -> list[str]:
    """Keys whose version is not the same everywhere: stamp, region and item."""
    keys = sorted(set().union(*(versions.keys() for versions in stored.values())))
    complaints = []
    for key in keys:
        found = {name: versions.get(key) for name, versions in stored.items()}
        if len(set(found.values())) > 1:
            has = ", ".join(f"{name}: {_words(version)}" for name, version in found.items())
            complaints.append(f"{name_of(key)} differs ({has})")
    return _shortened("differ", complaints)


def _words(version: Version | None) -> str:
    if version is None:
        return "nothing"
    return f"{version.value or 'deleted'} at {version.stamp}/{version.region}"


def _by_told(told: Told, winners: Mapping[str, Version]) -> list[str]:
    """What clients can see to be wrong."""
    complaints = []
    for value, key in told.acknowledged.items():
        found = winners.get(key)
        if key.startswith("f") and (found is None or found.value != value):
            complaints.append(f"{key} was acknowledged and is {_words(found)}")
    for key in told.deleted:
        found = winners.get(key)
        if found is not None and found.item is not None:
            complaints.append(f"{key} was deleted and is back as {found.value}")
    for key, version in winners.items():
        value = version.value
        if value is None:
            continue
        if key.startswith("t"):
            complaints.append(f"{key} has expired and is there")
        if value in told.replaced:
            complaints.append(f"{key} has {value}, which {told.replaced[value]} had replaced")
        if told.acknowledged.get(value, told.unknown.get(value)) != key:
            complaints.append(f"{key} has {value}, which nobody wrote")
    return complaints


def _by_versions(told: Told, winners: Mapping[bytes, Version], made: list[Made]) -> list[str]:
    """Whether each winner is at least as great as every acknowledged version, and is what was made under its name."""
    least: dict[str, tuple[int, int]] = {}
    values: dict[tuple[bytes, int, int], str | None] = {}
    keys: dict[str, bytes] = {}
    for _, key, stamp, region, value in made:
        values[key, stamp, region] = value
        if value is not None:
            # A leader that lost its place made a version that never took effect; another made it anew.
            least[value] = min(least.get(value, (stamp, region)), (stamp, region))
            keys[value] = key
    complaints = []
    for value in told.acknowledged:
        if value not in least:
            continue
        found = winners.get(keys[value])
        if found is None or found.order < least[value]:
            complaints.append(
                f"{told.acknowledged[value]} is {_words(found)}, and {value} at {least[value]} was acknowledged"
            )
    for key, version in winners.items():
        name = (key, version.stamp, version.region)
        if name in values and values[name] != version.value:
            complaints.append(f"{name_of(key)} has {version.value} under the version of {values[name]}")
    return complaints
