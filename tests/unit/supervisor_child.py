"""Stands in for a node or a router in tests of the supervisor: health and fault pages, nothing else.

Reads the configuration that the supervisor wrote. `log_level = "error"` makes it fail at start.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def main() -> None:
    role, flag, path, stop_at_eof = sys.argv[1:]
    assert (flag, stop_at_eof) == ("--config", "--stop-at-eof")
    config = tomllib.loads(Path(path).read_text())
    print(f"{role} {config['id']} begins", flush=True)
    if config.get("log_level") == "error":
        sys.exit("hashrange: it may not be")
    blocked: list[int] = []

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/faults":
                self.answer(200, {"block": blocked})
            elif self.path == "/cluster":
                self.answer(200, {"nodes": [], "partitions": []})
            else:
                self.answer(200, {})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/cluster/split":
                self.answer(400, {"error": "there is no such partition"})
                return
            blocked[:] = body["block"]
            self.answer(200, body)

        def answer(self, status: int, document: object) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", config["admin_port"]), Pages)
    if config.get("shutdown_grace_s") == "600":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while os.read(0, 100):
        pass


if __name__ == "__main__":
    main()
