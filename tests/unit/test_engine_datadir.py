"""The data directory: who may use it, and what its refusals say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hashrange_node.storage import DataDirectory, DataDirError
from hashrange_node.storage.datadir import FORMAT, LOCK_NAME, RESET_NAME, VERSION_NAME


def test_a_new_directory_is_laid_out_and_keeps_its_identity(tmp_path: Path):
    path = tmp_path / "a" / "data"
    directory = DataDirectory.open(path)
    assert directory.log_path.is_dir()
    assert directory.engine_path.is_dir()
    assert not directory.has_engine_data
    version = json.loads((path / VERSION_NAME).read_text())
    assert version["format"] == FORMAT
    assert bytes.fromhex(version["id"]) == directory.id
    assert len(directory.id) == 16
    (directory.engine_path / "CURRENT").write_text("x")
    directory.close()
    directory.close()
    again = DataDirectory.open(path)
    assert again.id == directory.id
    assert again.has_engine_data
    again.close()


def test_a_second_process_is_told_who_uses_it(tmp_path: Path):
    directory = DataDirectory.open(tmp_path)
    with pytest.raises(DataDirError, match=f"in use by process {os.getpid()}"):
        DataDirectory.open(tmp_path)
    code = "import sys; from pathlib import Path; from hashrange_node.storage import *\n"
    code += "try:\n DataDirectory.open(Path(sys.argv[1]))\nexcept DataDirError as error:\n print(error)"
    output = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True
    ).stdout
    assert f"in use by process {os.getpid()}" in output
    assert "--data-dir" in output
    directory.close()
    DataDirectory.open(tmp_path).close()


def test_the_lock_ends_with_the_process_that_held_it(tmp_path: Path):
    code = "import os, sys; from pathlib import Path; from hashrange_node.storage import *\n"
    code += "held = DataDirectory.open(Path(sys.argv[1])); os._exit(1)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)])
    assert (tmp_path / LOCK_NAME).read_text()
    DataDirectory.open(tmp_path).close()


def test_a_newer_releases_directory_is_refused(tmp_path: Path):
    DataDirectory.open(tmp_path).close()
    version = json.loads((tmp_path / VERSION_NAME).read_text())
    (tmp_path / VERSION_NAME).write_text(json.dumps({**version, "format": FORMAT + 1}))
    for _ in range(2):
        with pytest.raises(DataDirError, match="newer release"):
            DataDirectory.open(tmp_path)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"format": 1, "id": "zz"}', '{"format": 1, "id": "00"}']
)
def test_an_unreadable_version_is_refused(tmp_path: Path, content: str):
    DataDirectory.open(tmp_path).close()
    (tmp_path / VERSION_NAME).write_text(content)
    with pytest.raises(DataDirError, match="VERSION"):
        DataDirectory.open(tmp_path)


def test_a_directory_with_other_things_in_it_is_refused(tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DataDirError, match=r"thesis\.txt"):
        DataDirectory.open(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_in_the_way_is_refused(tmp_path: Path):
    (tmp_path / "data").write_text("x")
    with pytest.raises(DataDirError, match="not a directory"):
        DataDirectory.open(tmp_path / "data")


def test_a_directory_that_cannot_be_written_is_refused():
    with pytest.raises(DataDirError, match="cannot be written"):
        DataDirectory.open(Path("/proc/hashrange-data"))


def test_what_an_interrupted_creation_left_is_taken_over(tmp_path: Path):
    (tmp_path / LOCK_NAME).write_text("")
    (tmp_path / "VERSION.draft").write_text("{")
    (tmp_path / "log").mkdir()
    DataDirectory.open(tmp_path).close()


def test_reset_empties_the_directory_and_begins_anew(tmp_path: Path):
    directory = DataDirectory.open(tmp_path)
    before = directory.id
    (directory.log_path / "mark").write_text("x")
    (directory.engine_path / "CURRENT").write_text("x")
    (tmp_path / "more").mkdir()
    directory.reset()
    assert directory.id != before
    assert not any(directory.log_path.iterdir())
    assert not any(directory.engine_path.iterdir())
    assert sorted(each.name for each in tmp_path.iterdir()) == ["LOCK", "VERSION", "log", "rocks"]
    with pytest.raises(DataDirError, match="in use"):
        DataDirectory.open(tmp_path)
    identity = directory.id
    directory.close()
    again = DataDirectory.open(tmp_path)
    assert again.id == identity
    again.close()


def test_an_interrupted_reset_is_finished_by_the_next_open(tmp_path: Path):
    directory = DataDirectory.open(tmp_path)
    before = directory.id
    (directory.log_path / "mark").write_text("x")
    directory.close()
    (tmp_path / RESET_NAME).touch()
    (tmp_path / VERSION_NAME).unlink()
    directory = DataDirectory.open(tmp_path)
    assert directory.id != before
    assert not any(directory.log_path.iterdir())
    assert not (tmp_path / RESET_NAME).exists()
    directory.close()


def test_a_directory_is_one_nodes_for_ever(tmp_path: Path):
    directory = DataDirectory.open(tmp_path)
    directory.claim(3)
    (directory.engine_path / "CURRENT").write_text("x")
    directory.close()
    again = DataDirectory.open(tmp_path)
    assert again.id == directory.id
    again.claim(3)
    with pytest.raises(DataDirError, match="belongs to node 3, not to node 2"):
        again.claim(2)
    with pytest.raises(DataDirError, match="belongs to node 3 of a cluster"):
        again.claim(None)
    again.reset()
    again.claim(2)
    again.close()


def test_what_a_server_by_itself_has_written_is_no_nodes(tmp_path: Path):
    directory = DataDirectory.open(tmp_path)
    directory.claim(None)
    (directory.engine_path / "CURRENT").write_text("x")
    with pytest.raises(DataDirError, match="holds the data of `hashrange serve`"):
        directory.claim(1)
    directory.claim(None)
    directory.close()
