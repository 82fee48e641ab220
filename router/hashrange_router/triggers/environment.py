"""How a runtime is run: its command line and its environment.

Python functions run under the official awslambdaric with this program's own interpreter, Node functions under the
bootstrap in `bootstrap/`, and `provided` runtimes are the executable `bootstrap` of their package.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from hashrange.errors import ApiError
from hashrange_router.triggers.contracts import FunctionVersion
from hashrange_router.triggers.settings import PoolSettings

NODE_BOOTSTRAP = Path(__file__).resolve().parent / "bootstrap" / "node.mjs"

_NOT_HERE = ("AWS_LAMBDA_MAX_CONCURRENCY", "_LAMBDA_TELEMETRY_LOG_FD")
"""Names that runtimes take for an order, to run several invocations at once or to write the log elsewhere."""
_NODE_HEAP_SHARE = 0.9
_NODE_HEAP_MB_MIN = 64


def command(function: FunctionVersion, task_root: Path) -> list[str]:
    """The command line of a worker. ApiError InvalidRuntimeException when this machine lacks what it takes."""
    if function.runtime.startswith("python"):
        if importlib.util.find_spec("awslambdaric") is None:
            raise _invalid("Python functions need awslambdaric here: pip install 'hashrange[triggers]'")
        return [sys.executable, "-m", "awslambdaric", function.handler]
    if function.runtime.startswith("nodejs"):
        node = shutil.which("node")
        if node is None:
            raise _invalid("Node functions need node on the PATH of the pool")
        heap_mb = max(_NODE_HEAP_MB_MIN, int(function.memory_mb * _NODE_HEAP_SHARE))
        return [
            os.path.realpath(node),
            f"--max-old-space-size={heap_mb}",
            str(NODE_BOOTSTRAP),
            function.handler,
        ]
    if function.runtime.startswith("provided"):
        return [str(task_root / "bootstrap")]
    raise _invalid(
        f"The runtime {function.runtime} cannot be run here: python, nodejs and provided runtimes can"
    )


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidRuntimeException", message, status=502, fields={"Type": "User"})


def variables(
    function: FunctionVersion, settings: PoolSettings, task_root: Path, api: str, log_stream: str
) -> dict[str, str]:
    """The environment of a worker. What the service reserves wins over what the function sets."""
    root = str(task_root)
    environment = {
        "PATH": os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin"),
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "LD_LIBRARY_PATH": _joined(root, f"{root}/lib", os.environ.get("LD_LIBRARY_PATH")),
        **function.environment,
    }
    reserved = {
        "_HANDLER": function.handler,
        "LAMBDA_TASK_ROOT": root,
        "LAMBDA_RUNTIME_DIR": root,
        "AWS_LAMBDA_RUNTIME_API": api,
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": function.version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_ACCESS_KEY_ID": settings.access_key_id,
        "AWS_SECRET_ACCESS_KEY": settings.secret_access_key,
    }
    if settings.session_token:
        reserved["AWS_SESSION_TOKEN"] = settings.session_token
    if settings.endpoint_url:
        environment.setdefault("AWS_ENDPOINT_URL", settings.endpoint_url)
    if function.log_format == "JSON":
        reserved["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
    if not function.runtime.startswith("provided"):
        reserved["AWS_EXECUTION_ENV"] = f"AWS_Lambda_{function.runtime}"
    environment |= reserved
    for name in _NOT_HERE:
        environment.pop(name, None)
    if function.runtime.startswith("python"):
        environment["PYTHONPATH"] = _joined(root, environment.get("PYTHONPATH"), *_ric_outside())
    elif function.runtime.startswith("nodejs"):
        environment["NODE_PATH"] = _joined(f"{root}/node_modules", root, environment.get("NODE_PATH"))
    return environment


def _joined(*parts: str | None) -> str:
    return os.pathsep.join(part for part in parts if part)


def visible_paths() -> list[Path]:
    """What every worker needs to see, beside its task root: interpreters and bootstraps."""
    found = {Path(path).resolve() for path in (sys.prefix, sys.exec_prefix, sys.base_prefix)}
    # The prefixes as they are written too: a virtual environment is named by the path it was called by.
    found |= {Path(path) for path in (sys.prefix, sys.exec_prefix, sys.base_prefix)}
    found |= {NODE_BOOTSTRAP.parent, *(Path(path) for path in _ric_outside())}
    node = shutil.which("node")
    if node is not None:
        found.add(Path(node).resolve().parent.parent)
    return sorted(path for path in found if path.is_dir() and len(path.parts) > 2)


def probe_code() -> str:
    """A program that shows whether a worker finds what it needs, run by the guard in each kind of isolation."""
    ric = "import awslambdaric.bootstrap;" if importlib.util.find_spec("awslambdaric") else ""
    outside = "".join(f"import sys; sys.path.append({path!r});" for path in _ric_outside())
    return f"{outside}{ric}import json, tempfile; open({str(NODE_BOOTSTRAP)!r}).close(); tempfile.TemporaryFile()"


def _ric_outside() -> list[str]:
    """Where awslambdaric is, if that is not below the interpreter's own directories (a user's site-packages)."""
    spec = importlib.util.find_spec("awslambdaric")
    if spec is None or not spec.submodule_search_locations:
        return []
    place = Path(next(iter(spec.submodule_search_locations))).parent
    roots = [Path(path) for path in (sys.prefix, sys.base_prefix)]
    return [] if any(root in place.parents for root in roots) else [str(place)]
