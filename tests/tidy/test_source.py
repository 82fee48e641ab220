"""Rules on single files: docstrings, lengths, unfinished work, paths, printing, clocks. See rules.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tidy import rules
from tests.tidy.support import PACKAGES, ROOT, python_files, tracked

CORES = (
    "hashrange/errors.py",
    "hashrange/model",
    "hashrange/expr",
    "hashrange/routing/map.py",
    "hashrange/routing/retry.py",
    "hashrange/routing/view.py",
    "node/hashrange_node/log/format.py",
    "node/hashrange_node/raft",
    "node/hashrange_node/replica/evaluate.py",
    "node/hashrange_node/replica/effects.py",
    "node/hashrange_node/replica/secondary.py",
    "router/hashrange_router/auth/sigv4.py",
    "router/hashrange_router/auth/canonical.py",
    "router/hashrange_router/auth/signing.py",
)


def core_files() -> list[Path]:
    """The files that must be pure, by the list above and the validators of the API."""
    found = [path for path in python_files() if is_core(str(path.relative_to(ROOT)))]
    assert len(found) > 30, "the list of cores is out of date"
    return found


def is_core(name: str) -> bool:
    """Whether a file belongs to a core."""
    validators = name.startswith(
        ("router/hashrange_router/api/validate", "router/hashrange_router/api/rules_")
    )
    return validators or any(name == core or name.startswith(core + "/") for core in CORES)


def texts() -> list[Path]:
    """Everything readable that people wrote: code, scripts, pages, settings."""
    suffixes = {".py", ".md", ".toml", ".proto", ".yaml", ".yml", ".sh", ""}
    return [ROOT / name for name in tracked() if Path(name).suffix in suffixes]


def complaints(rule: Callable[[Path], list[str]], paths: list[Path]) -> list[str]:
    """What one rule says about all the files."""
    assert paths, "a rule that looks at nothing proves nothing"
    return [complaint for path in paths for complaint in rule(path)]


def test_modules_say_what_they_are_for() -> None:
    assert complaints(rules.missing_docstring, python_files()) == []


def test_files_are_short() -> None:
    assert complaints(rules.too_long_file, python_files()) == []


def test_functions_are_short() -> None:
    assert complaints(rules.too_long_functions, python_files()) == []


def test_exceptions_still_exist() -> None:
    for name in rules.LONG_FILES:
        assert (ROOT / name).exists(), f"{name} is gone: take it off the list"
    for name in rules.LONG_FUNCTIONS:
        assert (ROOT / name.split("::")[0]).exists(), f"{name} is gone: take it off the list"


def test_nothing_is_unfinished() -> None:
    assert complaints(rules.unfinished, texts()) == []


def test_no_path_of_one_machine() -> None:
    assert complaints(rules.machine_paths, texts()) == []


def test_programs_do_not_print() -> None:
    silent = [
        path
        for path in python_files(*PACKAGES)
        if not str(path.relative_to(ROOT)).startswith(("hashrange/cli/", "clients/"))
    ]
    assert complaints(rules.prints, [path for path in silent if path.name != "generate.py"]) == []


def test_cores_have_no_clock_and_no_chance() -> None:
    assert complaints(rules.clocks_and_chance, core_files()) == []


def test_tests_do_not_guess_how_long_to_sleep() -> None:
    assert complaints(rules.sleeping_tests, python_files("tests")) == []


SAMPLES: list[tuple[Callable[[Path], list[str]], str]] = [
    (rules.missing_docstring, "x = 1\n"),
    (rules.missing_docstring, '"""Short."""\n'),
    (rules.too_long_file, "x = 1\n" * (rules.FILE_LINES_MAX + 1)),
    (rules.too_long_functions, "def f():\n" + "    x = 1\n" * rules.FUNCTION_LINES_MAX),
    (
        rules.too_long_functions,
        "class C:\n    async def f(self):\n" + "        x = 1\n" * rules.FUNCTION_LINES_MAX,
    ),
    (rules.unfinished, "x = 1  # TO" + "DO: more\n"),
    (rules.unfinished, "def f():\n    raise NotImplementedError\n"),
    (rules.machine_paths, "PATH = '/ho" + "me/someone/project'\n"),
    (rules.machine_paths, "PATH = '/wo" + "rk/main'\n"),
    (rules.prints, "def f():\n    print(1)\n"),
    (rules.clocks_and_chance, "import time\nx = time.time()\n"),
    (rules.clocks_and_chance, "from datetime import datetime\nx = datetime.now()\n"),
    (rules.clocks_and_chance, "import datetime\nx = datetime.datetime.now()\n"),
    (rules.clocks_and_chance, "import random\nx = random.random()\n"),
    (rules.clocks_and_chance, "from time import monotonic\n"),
    (rules.sleeping_tests, "import time\ntime.sleep(2)\n"),
]


@pytest.mark.parametrize(("rule", "sample"), SAMPLES)
def test_each_rule_can_fail(tmp_path: Path, rule: Callable[[Path], list[str]], sample: str) -> None:
    path = tmp_path / "sample.py"
    path.write_text(sample)
    assert len(rule(path)) == 1


def test_rules_let_good_code_pass(tmp_path: Path) -> None:
    path = tmp_path / "sample.py"
    path.write_text(
        '"""A sample of what every rule accepts."""\n\n\ndef f(now: float) -> float:\n    return now + 1\n'
    )
    every = {rule for rule, _ in SAMPLES}
    assert [complaint for rule in every for complaint in rule(path)] == []
