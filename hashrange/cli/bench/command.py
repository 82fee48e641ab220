"""`hashrange bench`: what it is called, what it takes, and how it explains itself."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

from hashrange.cli.bench import options

TO_OUTPUT = "-"

HELP = """Put load on an endpoint and measure it. Works against any DynamoDB endpoint.

Workloads, of one act: get, strong-get, put, insert, update (ADD), delete, query (10 items), scan (1 to 100 items),
read-modify-write, transact-write, transact-get, batch-get, batch-write (--group items).

Mixed: mix, and the YCSB core workloads ycsb-a (half reads, half updates), ycsb-b (95 % reads), ycsb-c (reads),
ycsb-d (reads of the latest, inserts), ycsb-e (scans, inserts), ycsb-f (reads, read-modify-writes).

Without --rate every connection sends when it has its answer. With it, requests are due by the clock, and a
latency counts from then: a stalled server is charged for what waited meanwhile.

Ends with code 1 when nothing succeeded, or what --max-error-rate and --expect-p99-ms say is not so.

Examples:
  hashrange bench get
  hashrange bench ycsb-a --connections 64 --processes 2 --duration 30 --report ycsb-a.html
  hashrange bench put --rate 2000 --arrivals poisson --connections 64
  hashrange bench --mix get=0.5,put=0.3,query=0.2 --distribution zipfian
  hashrange bench get --hot-keys 1 --hot-share 0.8
  hashrange bench transact-write --group 2 --consistent-reads
  hashrange bench ycsb-b --data-dir hashrange-cluster --json run.json
  hashrange bench ycsb-c --client dax --dax dax://127.0.0.1:8111
  hashrange bench put --count 100000 --json
  hashrange bench get --rate 500 --max-error-rate 0.001 --expect-p99-ms 20
  hashrange bench --compare before.json after.json
"""


class BenchCommand(TyperCommand):
    """Lets `--json` stand alone: then the document goes to standard output."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give a lone `--json` its value: what follows it is no file when it is an option or a workload."""
        from hashrange_client.load.workloads import NAMES

        given = []
        for place, argument in enumerate(args):
            given.append(argument)
            following = args[place + 1] if place + 1 < len(args) else "--"
            is_option = following.startswith("-") and following != TO_OUTPUT
            if argument == "--json" and (is_option or following in NAMES):
                given.append(TO_OUTPUT)
        return super().parse_args(ctx, given)


def bench(
    workload: options.Workload = "mix",
    mix: options.Mix = "",
    connections: options.Connections = 16,
    processes: options.Processes = 1,
    duration: options.Duration = 10.0,
    warm_up: options.WarmUp = 1.0,
    count: options.Count = None,
    rate: options.Rate = None,
    arrivals: options.Arrivals = "constant",
    backlog: options.Backlog = 10_000,
    client: options.Client = "raw",
    items: options.Items = 10_000,
    value_bytes: options.ValueBytes = None,
    distribution: options.Distribution = "",
    hot_keys: options.HotKeys = None,
    hot_share: options.HotShare = None,
    group: options.Group = 10,
    consistent_reads: options.ConsistentReads = False,
    table: options.Table = "",
    preload: options.Preload = True,
    seed: options.Seed = 1,
    endpoint: options.Endpoint = None,
    data_dir: options.DataDir = None,
    dax: options.Dax = "",
    metrics: options.Metrics = None,
    scrape_interval: options.ScrapeInterval = 2.0,
    server_pid: options.ServerPid = None,
    sign: options.Sign = None,
    region: options.Region = "us-east-1",
    as_json: options.AsJson = None,
    report: options.Report = None,
    compare: options.Compare = None,
    max_error_rate: options.MaxErrorRate = None,
    expect_p99_ms: options.ExpectP99Ms = None,
) -> None:
    """Put load on an endpoint and measure it."""
    given = dict(locals())  # before any other name is there
    from hashrange.cli.bench import run

    run.run(run.BenchOptions(**given))
