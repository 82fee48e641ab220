"""Load generator: raw HTTP/1.1 on uvloop, closed loop or fixed rate, exact latencies, several processes.

An SDK spends ten times as long on a request as a server should; this generator spends a few microseconds, so
that it measures the server. It works against any DynamoDB endpoint. `hashrange bench` is its command line;
from Python:

    settings = LoadSettings(endpoint="http://127.0.0.1:8000", workload="get")
    await prepare(settings, progress=None)            # table and items
    result = await generate(settings, progress=None)  # LoadResult

Modules: `shape` (the items and their sizes), `requests` (bytes of each request), `signing`, `http` (reading
responses), `connection` (one closed loop), `client` and `prepare` (table, preloading), `worker` (one of the
processes), `run` (all of them), `result` (merging, JSON).
"""
