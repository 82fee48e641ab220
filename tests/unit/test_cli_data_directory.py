"""`hashrange reset` and `hashrange repair` on real data directories."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hashrange_node.log import Entry, FileLog
from hashrange_node.log.salvage import quarantine
from hashrange_node.log.segment import SEGMENT_HEADER_SIZE, list_segments
from hashrange_node.storage.datadir import DataDirectory
from typer.testing import CliRunner, Result

from hashrange.cli.main import app

ENTRIES = 20


def run(command: str, directory: Path, *more: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, [command, "--data-dir", str(directory), *more], input=answer)


def call_now(callback: Callable[..., object], *arguments: object) -> None:
    callback(*arguments)


def entries_of(directory: DataDirectory) -> list[bytes]:
    """The payloads in the log, as a server would read them at its start."""
    log = FileLog.open(directory.log_path, directory.id, call_soon=call_now, durability="os")
    found = [bytes(entry.payload) for _, entry in log.replay()]
    log.close()
    return found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with a log of ENTRIES entries."""
    directory = DataDirectory.open(tmp_path / "data")
    log = FileLog.open(directory.log_path, directory.id, call_soon=call_now, durability="os")
    list(log.replay())
    log.append([Entry(7, index, 1, b"payload %d" % index) for index in range(1, ENTRIES + 1)])
    log.close()
    directory.close()
    return directory.path


def damage(data: Path) -> None:
    """Overwrite some bytes in the middle of the first segment's records."""
    (segment, *_) = list_segments(data / "log")
    content = bytearray(segment.path.read_bytes())
    place = content.index(b"payload 11", SEGMENT_HEADER_SIZE)
    content[place : place + 4] = b"\xff" * 4
    segment.path.write_bytes(content)


@pytest.mark.parametrize("command", ["reset", "repair"])
def test_a_directory_without_data_is_refused_and_left_alone(command: str, tmp_path: Path) -> None:
    (tmp_path / "photo").write_text("mine")
    result = run(command, tmp_path, "--yes")
    assert result.exit_code == 1
    assert "there is no hashrange data" in result.output
    assert [each.name for each in tmp_path.iterdir()] == ["photo"]


@pytest.mark.parametrize("command", ["reset", "repair"])
def test_a_directory_in_use_is_refused(command: str, data: Path) -> None:
    server = DataDirectory.open(data)
    try:
        result = run(command, data, "--yes")
    finally:
        server.close()
    assert result.exit_code == 1
    assert "in use by process" in result.output


def test_reset_asks_first(data: Path) -> None:
    for answer in ("n\n", "\n", ""):
        result = run("reset", data, answer=answer)
        assert result.exit_code == 1
        assert "Delete all tables and items" in result.output
        assert "nothing was changed" in result.output
    assert any((data / "log").iterdir())


@pytest.mark.parametrize(("more", "answer"), [((), "y\n"), (("--yes",), None), (("-y",), None)])
def test_reset_empties(more: tuple[str, ...], answer: str | None, data: Path) -> None:
    result = run("reset", data, *more, answer=answer)
    assert result.exit_code == 0, result.output
    directory = DataDirectory.open(data)
    assert entries_of(directory) == []
    directory.close()


def test_repair_finds_nothing_to_do(data: Path) -> None:
    result = run("repair", data)
    assert result.exit_code == 0
    assert "intact; there is nothing to repair" in result.output


def test_repair_explains_asks_and_keeps_what_is_intact(data: Path) -> None:
    damage(data)
    refused = run("repair", data, answer="n\n")
    assert refused.exit_code == 1
    assert "The log is damaged in" in refused.output
    assert "acknowledged writes cannot be read" in refused.output
    assert "writes behind the damage" in refused.output
    assert not list((data / "log").glob("damaged-*"))

    result = run("repair", data, answer="y\n")
    assert result.exit_code == 0, result.output
    assert "Done: the new log ends at position" in result.output
    (aside,) = (data / "log").glob("damaged-*")
    assert str(aside) in result.output
    directory = DataDirectory.open(data)
    assert entries_of(directory) == [b"payload %d" % index for index in range(1, 11)]
    directory.close()
    assert "nothing to repair" in run("repair", data).output


def test_an_interrupted_repair_is_finished(data: Path) -> None:
    damage(data)
    quarantine(data / "log")
    result = run("repair", data, "--yes")
    assert result.exit_code == 0, result.output
    assert "An earlier repair was interrupted" in result.output
    directory = DataDirectory.open(data)
    assert len(entries_of(directory)) == 10
    directory.close()
