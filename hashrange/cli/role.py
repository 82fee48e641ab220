"""Runs one role of a cluster: `hashrange node`, `hashrange router`, `hashrange triggers` and `hashrange dax`.

Configuration, logging, start, graceful stop. Exit codes: 0 after a graceful stop, 1 when the program could not
start, 2 when the configuration is wrong.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from hashrange.cli.trigger_packages import missing
from hashrange.runtime import logging
from hashrange.runtime.cluster_config import DaxConfig, NodeConfig, RouterConfig, TriggersConfig
from hashrange.runtime.cluster_settings import load_dax, load_node, load_router, load_triggers
from hashrange.runtime.loop import StopSignal, settle_memory
from hashrange.runtime.loop import run as run_loop
from hashrange.runtime.settings import ConfigError
from hashrange.runtime.startup import StartupError
from hashrange.runtime.system import raise_open_files_limit

EXIT_START = 1
EXIT_CONFIG = 2
SPARE_FILES = 512
NODE_FILES = 10_000


class Running(Protocol):
    """A program that has been started."""

    async def stop(self) -> None:
        """Finish what is under way and let go of everything."""
        ...


def run_node(config_file: str | None, stop_at_eof: bool) -> int:
    """Run a node until told to stop."""

    async def start(config: NodeConfig) -> Running:
        from hashrange.cli.node_server import start_node

        return await start_node(config)

    return _run("node", load_node, start, config_file, stop_at_eof)


def run_router(config_file: str | None, stop_at_eof: bool) -> int:
    """Run a router until told to stop."""

    async def start(config: RouterConfig) -> Running:
        from hashrange.cli.router_server import start_router

        return await start_router(config)

    return _run("router", load_router, start, config_file, stop_at_eof)


def run_triggers(config_file: str | None, stop_at_eof: bool, flags: Mapping[str, Any]) -> int:
    """Run a trigger pool until told to stop; `flags` are settings given on the command line, by field name."""
    sentence = missing()
    if sentence:
        print(f"hashrange: {sentence}", file=sys.stderr)
        return EXIT_START

    async def start(config: TriggersConfig) -> Running:
        from hashrange.cli.triggers_server import start_triggers

        return await start_triggers(config)

    def load(file: Path | None, environ: Any) -> TriggersConfig:
        return load_triggers(file, environ, flags)

    return _run("triggers", load, start, config_file, stop_at_eof)


def run_dax(config_file: str | None, stop_at_eof: bool) -> int:
    """Run a cache node until told to stop."""

    async def start(config: DaxConfig) -> Running:
        from hashrange.cli.dax_server import start_dax

        return await start_dax(config)

    return _run("dax", load_dax, start, config_file, stop_at_eof)


def _run(
    role: str,
    load: Callable[[Path | None, Any], Any],
    start: Callable[[Any], Awaitable[Running]],
    config_file: str | None,
    stop_at_eof: bool,
) -> int:
    try:
        config = load(Path(config_file) if config_file else None, os.environ)
    except ConfigError as error:
        for problem in error.problems:
            print(f"hashrange: {problem}", file=sys.stderr)
        return EXIT_CONFIG
    logging.configure(config.log_format, config.log_level)
    return run_loop(lambda stop: _serve(role, config, start, stop, stop_at_eof))


async def _serve(
    role: str, config: Any, start: Callable[[Any], Awaitable[Running]], stop: StopSignal, stop_at_eof: bool
) -> int:
    log = logging.get_logger(role)
    raise_open_files_limit(getattr(config, "max_connections", NODE_FILES) + SPARE_FILES)
    if stop_at_eof:
        _watch_stdin(stop)
    try:
        running = await start(config)
    except Exception as error:
        sentence = explain(error)
        if sentence is None:
            log.exception("the program could not start; this is a mistake in hashrange, please report it")
        else:
            print(f"hashrange: {sentence}", file=sys.stderr, flush=True)
        return EXIT_START
    settle_memory()
    log.info("running", id=config.id, az=config.az, port=config.port, admin_port=config.admin_port)
    await stop.wait()
    log.info("stopping", reason=stop.signal_name or "asked to")
    await running.stop()
    log.info("stopped")
    return 0


def _watch_stdin(stop: StopSignal) -> None:
    """Stop when standard input ends: whoever started this program is gone. A thread can wait for any kind of input."""

    def read() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        stop.request("end of input")

    threading.Thread(target=read, name="stdin", daemon=True).start()


def explain(error: BaseException) -> str | None:
    """A sentence for the user, or None when the error is a mistake in the program itself."""
    from hashrange_node.log.errors import LogError
    from hashrange_node.storage.datadir import DataDirError
    from hashrange_node.storage.engine import EngineError

    if isinstance(error, StartupError | LogError | DataDirError | EngineError):
        return str(error)
    if isinstance(error, socket.gaierror):
        return f"an address to listen on is unknown on this machine ({error}); correct host or admin_host"
    if isinstance(error, OSError):
        if error.errno == errno.EADDRINUSE:
            return (
                "a port is in use; stop the program that listens there (ss -ltnp shows it), or change port or "
                f"admin_port ({error.strerror})"
            )
        if error.errno == errno.EADDRNOTAVAIL:
            return "an address to listen on is none of this machine's; correct host or admin_host"
        if error.filename is not None:
            return f"{error.filename} cannot be used ({error.strerror}); correct data_dir"
    return None
