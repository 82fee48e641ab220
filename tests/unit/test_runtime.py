"""Clocks and stamps, logs, signals, what is known of processes."""

from __future__ import annotations

import io
import json
import logging as standard_logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from hashrange.runtime import logging
from hashrange.runtime.clock import ManualClock, StampClock, SystemClock, wall_ms_of
from hashrange.runtime.system import cpu_seconds, resident_bytes


@given(st.lists(st.tuples(st.integers(-10_000, 10_000), st.integers(0, 70_000)), max_size=20))
def test_stamps_never_go_back_whatever_the_wall_clock_does(steps: list[tuple[int, int]]) -> None:
    clock = ManualClock(wall_ms=1_000_000)
    stamps = StampClock(clock)
    last = -1
    for jump_ms, draws in steps:
        clock.set_wall_ms(clock.wall_ms() + jump_ms)
        for _ in range(min(draws, 50)):
            stamp = stamps.next()
            assert stamp > last
            last = stamp
        stamps.observe(stamps.last + draws)
        last = stamps.last


def test_a_stamp_is_milliseconds_and_a_counter() -> None:
    clock = ManualClock(wall_ms=5)
    stamps = StampClock(clock)
    assert [stamps.next() for _ in range(3)] == [5 << 16, (5 << 16) + 1, (5 << 16) + 2]
    clock.advance(0.001)
    assert stamps.next() == 6 << 16
    assert wall_ms_of(stamps.last) == 6


def test_a_full_counter_carries_into_the_milliseconds() -> None:
    stamps = StampClock(ManualClock(wall_ms=5), after=(5 << 16) + 0xFFFF)
    assert stamps.next() == 6 << 16


def test_stamps_go_on_after_what_was_seen() -> None:
    stamps = StampClock(ManualClock(wall_ms=5), after=9 << 16)
    assert stamps.next() == (9 << 16) + 1
    stamps.observe(12 << 16)
    stamps.observe(1)
    assert stamps.next() == (12 << 16) + 1


def test_a_manual_clock_moves_only_by_hand() -> None:
    clock = ManualClock(wall_ms=1_000, monotonic=5.0)
    clock.advance(1.5)
    assert (clock.wall_ms(), clock.monotonic()) == (2_500, 6.5)
    clock.set_wall_ms(7)
    assert (clock.wall_ms(), clock.monotonic()) == (7, 6.5)
    with pytest.raises(ValueError, match="forwards"):
        clock.advance(-1)


def test_the_system_clock_is_that_of_the_system() -> None:
    clock = SystemClock()
    assert abs(clock.wall_ms() - time.time() * 1000) < 10_000
    assert clock.monotonic() <= clock.monotonic()


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """A stream to log to; the process's logging is as it was afterwards."""
    root = standard_logging.getLogger()
    before = (root.handlers, root.level)
    yield io.StringIO()
    root.handlers, root.level = before
    standard_logging.captureWarnings(False)
    structlog.reset_defaults()


def test_json_lines(stream: io.StringIO) -> None:
    logging.configure("json", "info", stream)
    log = logging.get_logger("http")
    log.debug("not shown")
    log.info("listening", port=8000, path=b"x")
    line = json.loads(stream.getvalue())
    assert (line["level"], line["event"], line["component"], line["port"]) == (
        "info",
        "listening",
        "http",
        8000,
    )
    assert line["time"].endswith("Z")


def test_text_lines(stream: io.StringIO) -> None:
    logging.configure("text", "debug", stream)
    logging.get_logger("http").debug("hello", name="a b", port=1)
    (line,) = stream.getvalue().splitlines()
    assert line.endswith("debug   http: hello  name='a b' port=1")
    assert "\x1b" not in line


def test_auto_is_json_where_there_is_no_terminal(stream: io.StringIO) -> None:
    logging.configure("auto", "info", stream)
    logging.get_logger("http").info("hello")
    assert json.loads(stream.getvalue())["event"] == "hello"


@pytest.mark.parametrize("form", ["text", "json"])
def test_secrets_are_masked_and_tracebacks_hold_no_values(form: str, stream: io.StringIO) -> None:
    logging.configure(form, "info", stream)
    log = logging.get_logger("auth")
    log.info("checked", secret="geheim", Authorization="geheim", access_key="KEY")
    secret = "geheim"
    try:
        raise ValueError(len(secret))
    except ValueError:
        log.exception("failed")
    assert "geheim" not in stream.getvalue().replace('secret = "geheim"', "")
    assert "KEY" in stream.getvalue()
    assert "ValueError: 6" in stream.getvalue()


def test_a_line_of_text_cannot_be_forged(stream: io.StringIO) -> None:
    logging.configure("text", "info", stream)
    logging.get_logger("http").info("refused", table="x\n12:00 error \x1b[31m")
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()


def test_records_of_the_standard_library_take_the_same_way(stream: io.StringIO) -> None:
    logging.configure("json", "info", stream)
    standard_logging.getLogger("asyncio").error("lost %s", "one")
    standard_logging.getLogger("asyncio").info("chatter")
    line = json.loads(stream.getvalue())
    assert (line["event"], line["component"], line["level"]) == ("lost one", "asyncio", "error")


def test_requests_are_logged_only_when_asked_for(stream: io.StringIO) -> None:
    logging.configure("json", "info", stream)
    logging.AccessLog(False).record("R", "GetItem", "T", 200, 0.001)
    assert stream.getvalue() == ""
    logging.AccessLog(True).record("R", "GetItem", "T", 400, 0.0015, "ValidationException")
    line = json.loads(stream.getvalue())
    assert line["request_id"] == "R"
    assert line["operation"] == "GetItem"
    assert (line["status"], line["duration_ms"], line["error"]) == (400, 1.5, "ValidationException")


def test_a_reader_that_went_away_fails_nobody(stream: io.StringIO) -> None:
    logging.configure("json", "info", stream)
    stream.close()
    logging.get_logger("http").info("hello")


PROGRAM = """
import asyncio, sys
from hashrange.runtime.loop import run, settle_memory
async def main(stop):
    settle_memory()
    print("up", flush=True)
    await stop.wait()
    print("stopping", stop.signal_name, flush=True)
    await asyncio.sleep({pause})
    return 7
sys.exit(run(main))
"""


def run_program(pause: float) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(pause=pause)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_stops_gracefully(number: signal.Signals) -> None:
    process = run_program(pause=0)
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert output == f"stopping {number.name}\n"
    assert process.returncode == 7


def test_the_second_signal_ends_at_once() -> None:
    process = run_program(pause=600)
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    assert process.stdout.readline() == "stopping SIGTERM\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGINT


BUSY = """
import sys, time
from hashrange.runtime.loop import run
async def main(stop):
    print("up", flush=True)
    while not stop.requested:
        pass
    print("asked", flush=True)
    while True:
        pass
sys.exit(run(main))
"""


def test_signals_reach_a_program_that_is_busy_starting() -> None:
    process = subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "asked\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGINT


def test_processor_time_and_memory_include_children() -> None:
    burn = "sum(i * i for i in range(3_000_000))"
    script = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{burn}']); print('up', flush=True); "
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script + "input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    own_and_child = cpu_seconds(process.pid)
    assert own_and_child is not None
    assert own_and_child > 0
    assert (resident_bytes(process.pid) or 0) > 1_000_000
    process.communicate(b"\n", timeout=30)
    assert cpu_seconds(process.pid) is None
    assert resident_bytes(process.pid) is None
    assert (cpu_seconds(os.getpid()) or 0) > 0
