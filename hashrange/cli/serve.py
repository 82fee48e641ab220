"""`hashrange serve`: the command itself. What it does is in `server.py`, imported when it runs."""

from __future__ import annotations

from typing import Any

import typer

from hashrange.cli import options


def serve(
    host: options.Host = None,
    port: options.Port = None,
    cors: options.Cors = None,
    max_connections: options.MaxConnections = None,
    max_body_bytes: options.MaxBodyBytes = None,
    idle_timeout_s: options.IdleTimeout = None,
    request_timeout_s: options.RequestTimeout = None,
    shutdown_grace_s: options.ShutdownGrace = None,
    data_dir: options.DataDir = None,
    in_memory: options.InMemory = None,
    durability: options.Durability = None,
    block_cache_mb: options.BlockCache = None,
    segment_mb: options.Segment = None,
    region: options.Region = None,
    strict_region: options.StrictRegion = None,
    credentials_file: options.CredentialsFile = None,
    validation_wording: options.ValidationWording = None,
    delay_transient_statuses: options.DelayStatuses = None,
    ttl_interval_ms: options.TtlInterval = None,
    index_lag_ms: options.IndexLag = None,
    stream_retention_s: options.StreamRetention = None,
    stream_rollover_s: options.StreamRollover = None,
    show_hot_keys: options.ShowHotKeys = None,
    throttling: options.Throttling = None,
    capacity_multiplier: options.CapacityMultiplier = None,
    throttle_faults: options.ThrottleFaults = None,
    scaling_speed: options.ScalingSpeed = None,
    on_demand_window_s: options.OnDemandWindow = None,
    log_format: options.LogFormat = None,
    log_level: options.LogLevel = None,
    access_log: options.Access = None,
    triggers: options.Triggers = None,
    function_concurrency: options.FunctionConcurrency = None,
    function_workers: options.FunctionWorkers = None,
    function_idle_s: options.FunctionIdle = None,
    function_endpoint: options.FunctionEndpoint = None,
    dax: options.Dax = None,
    dax_port: options.DaxPort = None,
    dax_host: options.DaxHost = None,
    dax_memory_mb: options.DaxMemory = None,
    peers: options.Peers = None,
    tombstone_retention_s: options.TombstoneRetention = None,
    console: options.Console = None,
    console_host: options.ConsoleHost = None,
    console_port: options.ConsolePort = None,
    console_edit: options.ConsoleEdit = None,
    console_names: options.ConsoleNames = None,
    config: options.ConfigFile = None,
    print_config: options.PrintConfig = False,
) -> None:
    """Serve DynamoDB on one port, from this process, with the data in a directory.

    Settings: the file of --config, then HASHRANGE_* variables, then these flags; the later wins.

    The flags of DynamoDB Local work too: -port, -inMemory, -dbPath, -sharedDb ...

    Examples:
      hashrange serve
      hashrange serve --in-memory --port 8001
      hashrange serve --throttling on --throttle-faults orders=0.2
      hashrange serve --triggers --dax
      hashrange serve --console --console-edit
      hashrange serve --region us-east-1 --peers eu-west-1=http://10.1.0.5:8000
      hashrange serve --config hashrange.toml --print-config
    """
    given = _given(locals())
    from hashrange.cli import server

    raise typer.Exit(server.run(given, config, print_config))


def _given(settings: dict[str, Any]) -> dict[str, Any]:
    """The flags that were given, by the names of their settings."""
    return {
        name: value
        for name, value in settings.items()
        if value is not None and name not in ("config", "print_config")
    }
