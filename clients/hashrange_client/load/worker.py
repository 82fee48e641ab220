"""One process of the load generator: `python -m hashrange_client.load.worker`, driven by its parent.

Standard input: a line of JSON with the `LoadSettings` of this process; then, when all are ready, `{"begin":
seconds}`, a moment of `perf_counter`, which is one clock for all processes of a machine. Standard output, a
JSON object a line:

    {"ready": true}                               connected
    {"done": n, "errors": m}                      several times a second
    {"second": n, "counts": …}                    each second of the measurement (`Tally.take`)
    {"result": {"seconds", "cpu_s"}}              at the end; or {"failed": "sentence"} at any time

SIGINT ends the measurement early, with its result; before it has begun, the process.
"""

from __future__ import annotations

import fcntl
import gc
import json
import random
import signal
import sys
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

from hashrange.runtime.system import raise_open_files_limit
from hashrange_client.load.engine import Engine
from hashrange_client.load.replies import HttpReplies
from hashrange_client.load.requests import Head, RequestSource
from hashrange_client.load.schedule import SEEDS_APART, arrivals
from hashrange_client.load.settings import BOTO3, DAX, LoadError, LoadSettings
from hashrange_client.load.sockets import Connector

SPARE_FILES = 64
PIPE_BYTES = 1 << 20


def run(settings: LoadSettings, begin: Callable[[], float]) -> dict[str, float]:
    """Connect, wait to be told when to begin, warm up, measure. Raises OSError when nobody answers."""
    raise_open_files_limit(settings.connections + SPARE_FILES)
    if settings.client == BOTO3:
        from hashrange_client.load.boto_engine import BotoEngine

        engine: Any = BotoEngine(settings, emit)
    elif settings.client == DAX:
        from hashrange_client.load.dax_wire import GREETING, DaxReplies, DaxSource

        connector = Connector(*settings.dax_address, greeting=GREETING)
        engine = Engine(
            connector, DaxReplies(), DaxSource(settings), emit, schedule_of(settings), settings.backlog
        )
    else:
        source = RequestSource(settings, Head(settings))
        connector = Connector(settings.host, settings.port, settings.tls)
        engine = Engine(connector, HttpReplies(), source, emit, schedule_of(settings), settings.backlog)
    engine.connect(settings.connections)
    emit({"ready": True})
    began = begin()
    measured = began + settings.warm_up_s
    until = None if settings.count is not None else measured + settings.duration_s
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGINT, lambda number, frame: _interrupt(engine, measured))
    gc.disable()  # nothing on the way of a request makes cycles, and a collection would look like a slow server
    found: dict[str, float] = engine.run(began, measured, until, settings.count)
    return found


def _interrupt(engine: Any, measured_from: float) -> None:
    if perf_counter() < measured_from:
        raise KeyboardInterrupt
    engine.stop()


def schedule_of(settings: LoadSettings) -> Callable[[float], Iterator[float]] | None:
    """Due times from a start on, None for a closed loop."""
    rate = settings.rate
    if rate is None:
        return None
    chance = random.Random(settings.seed * SEEDS_APART).random
    offset = settings.process / settings.crew
    return lambda start_s: arrivals(settings.arrivals, rate, start_s, chance, offset)


def emit(message: dict[str, Any]) -> None:
    """Tell the parent something."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _widen_pipe() -> None:
    """Let a parent that is busy for a moment not hold the load up. Linux only; elsewhere it is as it is."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        try:
            fcntl.fcntl(sys.stdout.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        except OSError:
            pass


def main() -> None:
    """Entry point of the process."""
    settings = LoadSettings.from_json(sys.stdin.readline())
    _widen_pipe()

    def begin() -> float:
        line = sys.stdin.readline()
        if not line:
            raise KeyboardInterrupt  # the parent is gone
        return float(json.loads(line)["begin"])

    try:
        emit({"result": run(settings, begin)})
    except LoadError as error:
        emit({"failed": str(error)})
    except OSError as error:
        place = settings.endpoint if settings.client != DAX else "dax://{}:{}".format(*settings.dax_address)
        emit({"failed": f"{place} does not answer ({error.strerror or error})"})
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
