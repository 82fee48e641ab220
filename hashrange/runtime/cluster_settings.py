"""Where the settings of a node or a router come from: defaults, a TOML file, then HASHRANGE_* variables.

    config = load_node(Path("node.toml"), os.environ)

Every mistake of both sources is collected and raised as `ConfigError`, each with the place it was written and
what to do about it. `as_toml` writes a configuration as a file that gives the same configuration again.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from hashrange.runtime.cluster_config import DaxConfig, NodeConfig, RouterConfig, TriggersConfig
from hashrange.runtime.config import Credential
from hashrange.runtime.credentials import parse_credential_list, read_credentials_file
from hashrange.runtime.expectations import expectation
from hashrange.runtime.settings import (
    ENVIRONMENT_PREFIX,
    FILE_VARIABLE,
    SECRET_SETTINGS,
    ConfigError,
    Problem,
    flag_of,
    variable_of,
)

REPEATED = {"seeds": "--seed"}
"""Flags that are given once for each element of a list."""

OWN_WORDS = frozenset({"members", "seeds", "advertise", "admin_advertise", "console_sources", "peers"})
"""Settings whose validators say themselves what is wrong."""

Model = TypeVar("Model", bound=BaseModel)
Router = TypeVar("Router", bound=RouterConfig)


def load_node(file: Path | None, environ: Mapping[str, str]) -> NodeConfig:
    """The configuration of a node; raises `ConfigError` with every mistake found."""
    return _load(NodeConfig, file, environ)


def load_router(file: Path | None, environ: Mapping[str, str]) -> RouterConfig:
    """The configuration of a router; raises `ConfigError` with every mistake found."""
    return _with_file_credentials(_load(RouterConfig, file, environ))


def load_triggers(
    file: Path | None, environ: Mapping[str, str], flags: Mapping[str, Any] | None = None
) -> TriggersConfig:
    """The configuration of a trigger pool; `flags` are settings of the command line. Raises `ConfigError`."""
    return _with_file_credentials(_load(TriggersConfig, file, environ, flags or {}))


def load_dax(file: Path | None, environ: Mapping[str, str]) -> DaxConfig:
    """The configuration of a cache node; raises `ConfigError` with every mistake found."""
    return _with_file_credentials(_load(DaxConfig, file, environ))


def _with_file_credentials(config: Router) -> Router:
    problems: list[Problem] = []
    if config.credentials_file is not None:
        found, mistakes = read_credentials_file(config.credentials_file)
        problems.extend(Problem("credentials_file", mistake) for mistake in mistakes)
        credentials = config.credentials + tuple(Credential.model_validate(pair) for pair in found)
        config = config.model_copy(update={"credentials": credentials})
    if problems:
        raise ConfigError(problems)
    return config


def _load(
    model: type[Model], file: Path | None, environ: Mapping[str, str], flags: Mapping[str, Any] | None = None
) -> Model:
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    named_by = "--config"
    if file is None and environ.get(FILE_VARIABLE):
        file, named_by = Path(environ[FILE_VARIABLE]), FILE_VARIABLE
    if file is not None:
        for name, value in _read(file, named_by, problems).items():
            field = name.replace("-", "_")
            if field in model.model_fields:
                values[field] = value
                places[field] = f"{file}: {field}"
            else:
                problems.append(Problem(f"{file}: {name}", "there is no such setting" + _near(field, model)))
    for variable, text in environ.items():
        field = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        # Kubernetes sets variables of this form for a service named hashrange.
        if variable_of(field) != variable or field not in model.model_fields or text.startswith("tcp://"):
            continue
        values[field] = text
        places[field] = variable
        if field == "credentials":
            values[field], mistake = parse_credential_list(text)
            if mistake:
                problems.append(Problem(variable, mistake))
    for field, value in (flags or {}).items():
        values[field] = value
        places[field] = REPEATED.get(field, flag_of(field))
    try:
        config = model.model_validate(values)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            problems.append(_problem(model, values, places, dict(detail), named_by))
        raise ConfigError(problems) from None
    if problems:
        raise ConfigError(problems)
    return config


def _read(path: Path, named_by: str, problems: list[Problem]) -> dict[str, Any]:
    try:
        return tomllib.loads(path.expanduser().read_text(encoding="utf-8"))
    except FileNotFoundError:
        problems.append(Problem(named_by, f"there is no file {path}; correct the path or create the file"))
    except OSError as error:
        problems.append(Problem(named_by, f"{path} cannot be read ({error.strerror}); check its permissions"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(Problem(str(path), f"this is not TOML: {error}; correct the file"))
    return {}


def _near(name: str, model: type[BaseModel]) -> str:
    near = difflib.get_close_matches(name, model.model_fields, n=1)
    return f"; did you mean {near[0]}?" if near else "; remove it"


def _problem(
    model: type[BaseModel],
    values: Mapping[str, Any],
    places: Mapping[str, str],
    detail: dict[str, Any],
    named_by: str,
) -> Problem:
    """One mistake that the model found, in words that say what to do."""
    own_words = detail.get("ctx", {}).get("error")
    if not detail["loc"]:  # a rule between settings, which names the one to correct
        name, _, sentence = str(own_words).partition(": ")
        return Problem(places.get(name, name), sentence)
    name = str(detail["loc"][0])
    where = places.get(name, name)
    if detail["type"] == "missing":
        return Problem(name, f"is not set; write it in the file of {named_by}, or set {variable_of(name)}")
    if isinstance(own_words, ValueError) and name in OWN_WORDS:
        return Problem(where, str(own_words))
    if name == "credentials":
        return Problem(where, "must be a list of access_key and secret")
    if name in SECRET_SETTINGS:
        return Problem(where, f"must be {expectation(name, model)}")
    return Problem(where, f"must be {expectation(name, model)}, not {values.get(name)!r}")


def as_toml(settings: Mapping[str, Any]) -> str:
    """Settings as a TOML file; None is left out. Members, seeds and paths are written as texts."""
    lines = []
    for name, value in settings.items():
        if value is None:
            continue
        if isinstance(value, bool | int | float):
            lines.append(f"{name} = {json.dumps(value)}")
        elif isinstance(value, list | tuple):
            lines.append(f"{name} = [{', '.join(_text(each) for each in value)}]")
        else:
            lines.append(f"{name} = {_text(value)}")
    return "\n".join(lines) + "\n"


def _text(value: object) -> str:
    """A string in TOML: JSON's form, with DEL escaped too, which TOML does not allow bare."""
    return json.dumps(str(value)).replace("\x7f", "\\u007f")
