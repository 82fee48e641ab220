"""`hashrange health`, and the HEALTHCHECK of the image: asks a server of this machine whether it can serve.

    python -m hashrange.cli.health            # in a container: whatever role runs there
    hashrange health http://10.0.1.5:8201     # any process, from anywhere

The port is found as the server found it: flags (in a container those of process 1), HASHRANGE_* variables, the TOML
file that one of the two names. A node has its pages on the admin port alone; the others answer on either port. Standard
library only, and little of it: a container engine runs this every few seconds, on the cores that serve.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_PORTS = {"triggers": 8010, "dax": 8211}
DEFAULT_PORT = 8000
FLAGS = {
    "--port": "port",
    "-port": "port",
    "--host": "host",
    "--config": "config",
}
ROLES = ("serve", "node", "router", "triggers", "dax")
EVERYWHERE = ("", "0.0.0.0", "::")
ANSWER_BYTES_MAX = 4096
TIMEOUT_S = 3.0
PAGES = {True: "/health/ready", False: "/health/live"}


class HealthError(Exception):
    """The server cannot be asked, or cannot serve; the text says why."""


def _flags(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Settings among the words of a command line; those of wrappers before it do no harm."""
    for position, word in enumerate(arguments):
        flag, equals, value = word.partition("=")
        if flag in FLAGS:
            following = arguments[position + 1] if position + 1 < len(arguments) else ""
            yield FLAGS[flag], value if equals else following


def _file_settings(name: str) -> dict[str, str]:
    try:
        document = tomllib.loads(Path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HealthError(f"the settings in {name} cannot be read: {error}") from None
    return {key.replace("-", "_"): str(value) for key, value in document.items()}


def address_of(arguments: Sequence[str], environ: Mapping[str, str]) -> tuple[str, int]:
    """Host and port of the server that was started with these arguments and variables.

    Raises HealthError when nothing names the port of a node, which picks one by itself then.
    """
    given = dict(_flags(arguments))
    role = next((word for word in arguments if word in ROLES), "serve")
    file = given.get("config") or environ.get("HASHRANGE_CONFIG")
    settings = _file_settings(file) if file else {}
    for name in ("host", "port", "admin_host", "admin_port"):
        text = environ.get(f"HASHRANGE_{name.upper()}", "")
        # Kubernetes sets HASHRANGE_PORT=tcp://... for a service named hashrange.
        if text and not text.startswith("tcp://"):
            settings[name] = text
    settings.update(given)
    on_admin_port = role != "serve" and settings.get("admin_port", "0") != "0"
    prefix = "admin_" if on_admin_port else ""
    port = settings.get(prefix + "port", str(DEFAULT_PORTS.get(role, DEFAULT_PORT)))
    if role == "node" and not on_admin_port:
        raise HealthError("the node's admin port is not known; set HASHRANGE_ADMIN_PORT")
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
        raise HealthError(f"{port!r} is no port that can be asked")
    host = settings.get(prefix + "host", "")
    return ("127.0.0.1" if host in EVERYWHERE else host), int(port)


def ask(host: str, port: int, page: str) -> str:
    """The first line of the page's body when its status is 200; raises HealthError with the reason otherwise."""
    shown = f"[{host}]" if ":" in host else host
    request = f"GET {page} HTTP/1.1\r\nHost: {shown}:{port}\r\nConnection: close\r\n\r\n"
    answer = b""
    try:
        with socket.create_connection((host, port), timeout=TIMEOUT_S) as connection:
            connection.sendall(request.encode("ascii"))
            while len(answer) < ANSWER_BYTES_MAX and (piece := connection.recv(ANSWER_BYTES_MAX)):
                answer += piece
    except OSError as error:
        raise HealthError(f"nothing answers on {shown}:{port}: {error}") from None
    head, _, body = answer.partition(b"\r\n\r\n")
    said = body.decode("utf-8", "replace").strip().partition("\n")[0]
    status = head.split(b" ", 2)[1:2]
    if status != [b"200"]:
        code = status[0].decode("ascii", "replace") if status else "nothing"
        raise HealthError(f"{shown}:{port} answers {code}" + (f": {said}" if said else ""))
    return said


def _own_command_line() -> list[str]:
    """The words that process 1 was started with: in a container, the server's."""
    with contextlib.suppress(OSError):
        return Path("/proc/1/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    return []


def run(url: str | None, ready: bool = True) -> int:
    """Print what the server says; 0 when it is well, 1 when it is not."""
    try:
        if url is None:
            host, port = address_of(_own_command_line(), os.environ)
        else:
            parts = urlsplit(url if "//" in url else f"//{url}")
            host, port = parts.hostname or "127.0.0.1", parts.port or DEFAULT_PORT
        said = ask(host, port, PAGES[ready])
    except (HealthError, ValueError) as error:
        print(f"hashrange: {error}", file=sys.stderr)
        return 1
    print(said)
    return 0


if __name__ == "__main__":
    sys.exit(run(None))
