"""A pool in a process of its own, for tests that kill or freeze it: `python pool_process.py <work dir> <port>`.

Its one function connects to the port and stays there; "ready" is printed when the pool has called it.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from hashrange_router.triggers.contracts import TriggerMetrics  # noqa: E402
from hashrange_router.triggers.pool import Pool  # noqa: E402
from hashrange_router.triggers.settings import PoolSettings  # noqa: E402

from hashrange.errors import ApiError  # noqa: E402
from hashrange.runtime.clock import SystemClock  # noqa: E402
from tests.triggers.workers_support import Register, Shelf, function_of  # noqa: E402

SOURCE = """
import os, socket, subprocess, sys, time
CODE = "import socket, time; s = socket.create_connection(('127.0.0.1', %d)); time.sleep(900)"
def handler(event, context):
    subprocess.Popen([sys.executable, "-c", CODE % event], start_new_session=True)
    with socket.create_connection(("127.0.0.1", event)) as connection:
        time.sleep(600)
"""


async def main() -> None:
    shelf, register = Shelf(), Register()
    pool = Pool(
        register,
        shelf,
        settings=PoolSettings(Path(sys.argv[1]), silence_s=2.0),
        metrics=TriggerMetrics(),
        clock=SystemClock(),
    )
    await pool.start()
    function, invocation = await function_of(shelf, SOURCE, int(sys.argv[2]))
    register.functions[function.name] = function
    sys.stdout.write(f"ready {pool.guard.pid}\n")
    sys.stdout.flush()
    while True:
        try:
            await pool.invoke(invocation)
        except ApiError as error:
            sys.stdout.write(f"{error.type_name}\n")
            sys.stdout.flush()


asyncio.run(main())
