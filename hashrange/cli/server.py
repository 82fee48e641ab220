"""Runs the embedded server: configuration, logging, start, start screen, graceful stop.

Exit codes: 0 after a graceful stop, 1 when the server could not start, 2 when the configuration is wrong.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from hashrange.cli.screen import start_screen
from hashrange.cli.startup_errors import explain
from hashrange.cli.trigger_packages import missing
from hashrange.runtime import logging
from hashrange.runtime.loop import StopSignal, settle_memory
from hashrange.runtime.loop import run as run_loop
from hashrange.runtime.settings import ConfigError, Loaded, load
from hashrange.runtime.system import raise_open_files_limit

EXIT_START = 1
EXIT_CONFIG = 2
SPARE_FILES = 512
"""Open files beyond connections: the log, the storage engine, the terminal."""


def run(flags: Mapping[str, Any], config_file: str | None, print_config: bool) -> int:
    """Serve until told to stop; `flags` are the settings given on the command line, by field name."""
    try:
        loaded = load(flags, os.environ, config_file)
    except ConfigError as error:
        for problem in error.problems:
            print(f"hashrange: {problem}", file=sys.stderr)
        return EXIT_CONFIG
    if print_config:
        from hashrange.cli.show_config import as_toml

        print(as_toml(loaded), end="")
        return 0
    if loaded.config.triggers:
        sentence = missing()
        if sentence:
            print(f"hashrange: {loaded.sources['triggers']}: {sentence}", file=sys.stderr)
            return EXIT_START
    logging.configure(loaded.config.log_format, loaded.config.log_level)
    return run_loop(lambda stop: _serve(loaded, stop))


async def _serve(loaded: Loaded, stop: StopSignal) -> int:
    from hashrange.cli.embedded import start_embedded

    config = loaded.config
    log = logging.get_logger("serve")
    for warning in loaded.warnings:
        log.warning(warning)
    limit = raise_open_files_limit(config.max_connections + SPARE_FILES)
    if limit < config.max_connections + SPARE_FILES:
        log.warning(
            "the limit of open files is lower than max_connections needs; raise it with ulimit -n",
            limit=limit,
            max_connections=config.max_connections,
        )
    try:
        server = await start_embedded(config)
    except Exception as error:
        sentence = explain(error, config)
        if sentence is None:
            log.exception("the server could not start; this is a mistake in hashrange, please report it")
        else:
            print(f"hashrange: {sentence}", file=sys.stderr)
        return EXIT_START
    settle_memory()
    if config.log_format == "json":
        log.info("serving", address=server.address, port=server.port, region=config.region)
    else:
        cache = server.cache.urls if server.cache is not None else None
        colours = sys.stdout.isatty()
        console = server.console.url if server.console is not None else None
        screen = start_screen(
            config, server.address, server.port, colours=colours, cache=cache, console=console
        )
        print(screen, flush=True)
    await stop.wait()
    log.info("stopping", reason=stop.signal_name or "asked to")
    await server.stop()
    log.info("stopped")
    return 0
