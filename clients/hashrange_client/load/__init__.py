"""Load generator: raw HTTP/1.1 on one epoll, closed loop or fixed rate, exact latencies, several processes.

An SDK spends ten times as long on a request as a server should; this generator spends some microseconds, so that it
measures the server. It works against any DynamoDB endpoint. `hashrange bench` is its command line; from Python:

    settings = LoadSettings(endpoint="http://127.0.0.1:8000", workload="get")
    await prepare(settings)             # table and items
    result = await generate(settings)   # LoadResult

What to do: `workloads`, `distributions`, `acts` (which, to what item), `schedule` (when), `documents` (as what
request), `shape` and `ycsb_shape` (the items). Doing it: `requests` (bytes), `signing`, `replies`, `http`, `sockets`,
`engine` (the loop), `dax_wire`, `boto_engine`, `tally` (counts), `worker` (one of the processes), `run` (all
of them). Around it: `client` and `prepare` (table, preloading), `scrape` and `metrics` (of the servers),
`series` and `result` (merging, JSON), `report` (HTML).
"""
