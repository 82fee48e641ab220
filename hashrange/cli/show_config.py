"""`hashrange serve --print-config`: the effective settings as a TOML file, with the source of each."""

from __future__ import annotations

import json

from hashrange.runtime.config import ServeConfig
from hashrange.runtime.settings import DEFAULT_SOURCE, SECRET_SETTINGS, Loaded

MASK = "***"


def as_toml(loaded: Loaded) -> str:
    """Every setting with its value and source. Secrets are masked, so credentials are shown as comments."""
    left_out = {"credentials", *SECRET_SETTINGS} | ({"data_dir"} if loaded.config.in_memory else set())
    lines = [f"# warning: {warning}" for warning in loaded.warnings]
    rows = [
        (f"{name} = {_toml(getattr(loaded.config, name))}", loaded.sources[name])
        for name in ServeConfig.model_fields
        if name not in left_out and getattr(loaded.config, name) is not None
    ]
    width = max(len(setting) for setting, _ in rows)
    lines.extend(f"{setting:<{width}}  # {source}" for setting, source in rows)
    source = loaded.sources["credentials"]
    for credential in loaded.config.credentials:
        lines.append(
            f"# credentials: access_key = {_toml(credential.access_key)}, secret = {MASK}  # {source}"
        )
    if not loaded.config.credentials:
        lines.append(f"# credentials: none, any are accepted  # {DEFAULT_SOURCE}")
    peers = loaded.config.peer_credentials
    if peers is not None:
        lines.append(
            f"# peer_credentials: access_key = {_toml(peers.access_key)}, secret = {MASK}"
            f"  # {loaded.sources['peer_credentials']}"
        )
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    """A value in TOML, whose strings, booleans and lists of strings JSON writes the same way."""
    if isinstance(value, bool | int | float | list | tuple):
        return json.dumps(value)
    return json.dumps(str(value), ensure_ascii=False)
