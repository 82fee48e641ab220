"""Scenes of Raft as readable scripts: tests/testdata/raft/*.txt, in the language of raft_script.py.

After a change that is meant to alter what happens, run once with RAFT_REWRITE=1: the scripts are written anew.
Then read every difference before accepting it; a difference that nobody can explain is a bug.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.raft_script import play

SCRIPTS = sorted((Path(__file__).parent.parent / "testdata" / "raft").glob("*.txt"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    played = play(text)
    if os.environ.get("RAFT_REWRITE"):
        path.write_text(played, encoding="utf-8")
        return
    assert played == text


def test_scripts_show_something() -> None:
    assert len(SCRIPTS) >= 12
    for path in SCRIPTS:
        assert path.read_text(encoding="utf-8").count("\n----\n") >= 2, path


def test_a_wrong_script_is_seen() -> None:
    text = "group voters=1\ncampaign 1\nsettle\n----\nnothing happens\n"
    assert play(text) != text
    assert play(play(text)) == play(text)
