"""The HTTP/1.1 front: a protocol object on uvloop and httptools, and the plain callable it serves.

    server = await serve(app, "127.0.0.1", 8000)     # app(request) calls request.reply(status, body)

Modules, from the wire inwards: `server` (listening, time, counters, draining), `connection` (parsing, order,
pressure, limits), `request` (what the application gets and how it answers), `replies` (heads, ids,
checksums), `encoding` (gzip, deflate), `limits`.
"""

from __future__ import annotations

from .limits import HttpLimits
from .replies import JSON, JSON_1_0, NO_CONTENT_TYPE, TEXT, json_content_type
from .request import Application, Request
from .server import HttpServer, serve

__all__ = [
    "JSON",
    "JSON_1_0",
    "NO_CONTENT_TYPE",
    "TEXT",
    "Application",
    "HttpLimits",
    "HttpServer",
    "Request",
    "json_content_type",
    "serve",
]
