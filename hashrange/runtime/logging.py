"""Log output: one event a line, for people on a terminal and as JSON for machines.

`configure()` is called once, by the command that runs a program. Everything else takes a logger by

    from hashrange.runtime.logging import get_logger
    log = get_logger("http")
    log.info("listening", host=host, port=port)

An event is a short phrase; what varies goes into fields. Requests are not logged, unless `AccessLog` is
switched on, which writes a line for each. Values of fields that may hold a secret are masked, whoever logs
them. Lines go to standard error, so that standard output stays free for what a command prints. Records of the
standard library's loggers (asyncio reports lost exceptions there) take the same way.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, TextIO, cast

import orjson

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
MASK = "***"

_SECRET_FIELDS = frozenset(
    ("authorization", "password", "secret", "secret_key", "security_token", "session_token", "signature",
     "signing_key", "x-amz-security-token")
)  # fmt: skip


@contextmanager
def _without_rich() -> Iterator[None]:
    """Hide rich while structlog is imported: it would load it for tracebacks that are not used here.

    Measured: 60 ms of start-up and 5 MB in every server process.
    """
    hidden = "rich" not in sys.modules
    if hidden:
        sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hidden:
            del sys.modules["rich"]


with _without_rich():
    import structlog

Event = MutableMapping[str, Any]


def configure(log_format: str = "auto", level: str = "info", stream: TextIO | None = None) -> None:
    """Set up all logging of this process.

    `log_format` is text, json or auto (text when `stream` is a terminal), `level` one of `LEVELS`; `stream`
    is standard error unless given.
    """
    target = stream if stream is not None else sys.stderr
    as_text = log_format == "text" or (log_format == "auto" and target.isatty())
    render = _text_renderer(colours=target.isatty()) if as_text else _render_json
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _add_time,
        mask_secrets,
        _add_exception_text,
    ]
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _ToleratingStream(target))),
        cache_logger_on_first_use=True,
    )
    _capture_standard_logging(LEVELS[level])


def get_logger(name: str) -> Any:
    """A logger whose events carry `component=name`; it may be made before `configure` is called."""
    return structlog.get_logger(component=name)


def mask_secrets(_logger: Any, _method: str, event: Event) -> Event:
    """Replace the values of fields whose names say that they hold a secret."""
    for name in event:
        if name.lower() in _SECRET_FIELDS:
            event[name] = MASK
    return event


class AccessLog:
    """One line for each request, at info level, when it is switched on; otherwise a call that returns."""

    __slots__ = ("_log", "enabled")

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self._log = get_logger("access")

    def record(
        self, request_id: str, operation: str, table: str, status: int, seconds: float, error: str = ""
    ) -> None:
        """Log an answered request: the seconds it took in the server, and the type of its error if any.

        Callers on the hot path test `enabled` first, so that a request id is not made in vain.
        """
        if not self.enabled:
            return
        fields = {"request_id": request_id, "operation": operation, "table": table, "status": status}
        if error:
            fields["error"] = error
        self._log.info("request", duration_ms=round(seconds * 1000, 3), **fields)


def _add_time(_logger: Any, _method: str, event: Event) -> Event:
    now = time.time()
    event["time"] = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"
    return event


def _add_exception_text(_logger: Any, _method: str, event: Event) -> Event:
    """A traceback as text. Local variables are left out: they may hold items or secrets."""
    info = event.pop("exc_info", None)
    if info:
        if info is True:
            info = sys.exc_info()
        error = info if isinstance(info, BaseException) else info[1]
        if error is not None:
            event["exception"] = "".join(traceback.format_exception(error)).rstrip()
    return event


def _render_json(_logger: Any, _method: str, event: Event) -> str:
    ordered = {"time": event.pop("time"), "level": event.pop("level"), "event": event.pop("event")}
    return orjson.dumps({**ordered, **event}, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _text_renderer(colours: bool) -> Callable[[Any, str, Event], str]:
    """`12:00:01.250 info    http: listening  host=127.0.0.1 port=8000`, dimmed and coloured on a terminal."""
    paint = {
        "debug": "\x1b[2m",
        "info": "",
        "warning": "\x1b[33m",
        "error": "\x1b[31m",
        "critical": "\x1b[31m",
    }

    def render(_logger: Any, _method: str, event: Event) -> str:
        moment = str(event.pop("time"))[11:-1]
        level = str(event.pop("level"))
        name = event.pop("component", None)
        text = str(event.pop("event"))
        if not text.isprintable():
            text = repr(text)
        if name:
            text = f"{name}: {text}"
        exception = event.pop("exception", None)
        fields = " ".join(f"{key}={_field_text(value)}" for key, value in event.items())
        line = f"{moment} {level:<7} {text}" + (f"  {fields}" if fields else "")
        if colours and paint.get(level):
            line = f"{paint[level]}{line}\x1b[0m"
        return f"{line}\n{exception}" if exception else line

    return render


def _field_text(value: object) -> str:
    text = str(value)
    return text if text and text.isprintable() and not {" ", '"', "="} & set(text) else repr(text)


class _ToleratingStream:
    """A stream whose reader may go away (`hashrange serve 2>&1 | head`): no request fails for a log line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        try:
            self._stream.write(text)
        except (OSError, ValueError):
            pass

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            pass


class _StandardHandler(logging.Handler):
    """Hands records of the standard library's loggers to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        log = get_logger(record.name)
        method = "error" if record.levelno >= logging.ERROR else record.levelname.lower()
        fields = {"exc_info": record.exc_info} if record.exc_info else {}
        try:
            getattr(log, method, log.info)(record.getMessage(), **fields)
        except Exception:
            self.handleError(record)


def _capture_standard_logging(level: int) -> None:
    """Replace the root logger's handlers; libraries below warning level stay silent unless debugging."""
    root = logging.getLogger()
    root.handlers = [cast(logging.Handler, _StandardHandler())]
    root.setLevel(logging.DEBUG if level <= LEVELS["debug"] else logging.WARNING)
    logging.captureWarnings(True)
