"""What a person sees when the server has started: where it is, and lines to copy.

Plain text with a few ANSI codes. rich would cost a server process 5 MB and 60 ms for a dozen lines.
"""

from __future__ import annotations

from hashrange import __version__
from hashrange.runtime.config import ServeConfig

BOLD = "\x1b[1m"
DIM = "\x1b[2m"
RESET = "\x1b[0m"

_DURABILITY = {
    "fsync": "fsync (an answered write is on stable storage)",
    "os": "os (an answered write survives a crash of the server, not a power cut)",
}


def start_screen(
    config: ServeConfig,
    address: str,
    port: int,
    *,
    colours: bool,
    cache: tuple[str, str] | None = None,
    console: str | None = None,
) -> str:
    """The screen as one text; `address` is the host as clients reach it, `cache` the URLs of the cache tier's doors.

    `console` is the console's URL.
    """
    url = endpoint_url(address, port)
    rows = [("endpoint", url), ("data", _data(config))]
    if not config.in_memory:
        rows.append(("durability", _DURABILITY[config.durability]))
    rows.append(("region", config.region + (" (others are refused)" if config.strict_region else "")))
    rows.append(("credentials", _credentials(config)))
    if config.triggers:
        rows.append(("functions", "on: hashrange functions deploy handler.py --table TABLE"))
    if cache is not None:
        rows.append(("cache", f"{cache[0]} for DAX clients, {cache[1]} for all others"))
    if console is not None:
        rows.append(("console", console + ("" if config.console_edit else " (read-only; --console-edit)")))
    lines = [f"{BOLD}hashrange {__version__}{RESET} is serving {BOLD}{url}{RESET}", ""]
    lines.extend(f"  {DIM}{label:<12}{RESET} {value}" for label, value in rows)
    key, secret = ("hashrange", "hashrange") if not config.credentials else ("<access key>", "<secret>")
    lines += [
        "",
        f"  {DIM}Python{RESET}",
        f'    boto3.resource("dynamodb", endpoint_url="{url}", region_name="{config.region}",',
        f'                   aws_access_key_id="{key}", aws_secret_access_key="{secret}")',
        f"  {DIM}AWS CLI{RESET}",
        f"    aws dynamodb list-tables --endpoint-url {url} --region {config.region}",
        "",
        f"  {DIM}Metrics are at {url}/metrics. Stop with Ctrl-C.{RESET}",
    ]
    text = "\n".join(lines)
    if not colours:
        for code in (BOLD, DIM, RESET):
            text = text.replace(code, "")
    return text


def endpoint_url(address: str, port: int) -> str:
    """The URL a client on this machine uses; an address that means "all" is written as the local one."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(address, address)
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"http://{host}:{port}"


def _data(config: ServeConfig) -> str:
    if config.in_memory:
        return "in memory: everything is gone when the server stops"
    return str(config.data_dir.absolute())


def _credentials(config: ServeConfig) -> str:
    if not config.credentials:
        if config.host not in ("127.0.0.1", "::1", "localhost"):
            return "any are accepted: whoever reaches this port can read and write (--credentials-file)"
        return "any are accepted (SDKs insist on having some; the ones below will do)"
    count = len(config.credentials)
    return f"{count} access key{'s' if count > 1 else ''} configured; every signature is verified"
