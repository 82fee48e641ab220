"""Where settings come from: defaults, then a TOML file, then HASHRANGE_* variables, then flags.

`load()` is the whole of it. Later sources win; every mistake of every source is collected, also one that a
later source would hide, and raised together as `ConfigError`, each with the place it was written and what to
do about it. The result remembers the source of each value, for `hashrange serve --print-config`.

    loaded = load(flags={"port": "8001"}, environ=os.environ, file=None)
    loaded.config.port           # 8001
    loaded.sources["port"]       # "--port"
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hashrange.runtime.config import Credential, ServeConfig
from hashrange.runtime.credentials import parse_credential_list, read_credentials_file
from hashrange.runtime.expectations import expectation
from hashrange.runtime.peers import contradiction

ENVIRONMENT_PREFIX = "HASHRANGE_"
FILE_VARIABLE = ENVIRONMENT_PREFIX + "CONFIG"
DEFAULT_SOURCE = "default"

SECRET_SETTINGS = frozenset({"peer_credentials"})
"""Settings whose values are never shown."""


@dataclass(frozen=True)
class Problem:
    """One mistake: where it was written, and a sentence that says what to do."""

    source: str
    text: str

    def __str__(self) -> str:
        return f"{self.source}: {self.text}"


class ConfigError(Exception):
    """Everything that is wrong with the configuration, in the order of the sources."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


@dataclass(frozen=True)
class Loaded:
    """An effective configuration: its values, the source of each (by field name) and warnings."""

    config: ServeConfig
    sources: dict[str, str]
    warnings: tuple[str, ...] = ()


@dataclass
class _Layer:
    """The values of one source; `label` turns a field name into the place where the value was written."""

    label: Callable[[str], str]
    values: dict[str, Any] = field(default_factory=dict)


def flag_of(name: str) -> str:
    """The command line flag of a field."""
    return "--" + name.replace("_", "-")


def variable_of(name: str) -> str:
    """The environment variable of a field."""
    return ENVIRONMENT_PREFIX + name.upper()


def load(flags: Mapping[str, Any], environ: Mapping[str, str], file: str | Path | None = None) -> Loaded:
    """Merge all sources into one configuration.

    `flags` maps field names to the texts (or booleans) given on the command line; `file` is the TOML file, or
    None for the one named by HASHRANGE_CONFIG. Raises `ConfigError` with every mistake found.
    """
    problems: list[Problem] = []
    warnings: list[str] = []
    layers: list[_Layer] = []
    if file is not None:
        layers.append(_file_layer(Path(file), "--config", problems))
    elif environ.get(FILE_VARIABLE):
        layers.append(_file_layer(Path(environ[FILE_VARIABLE]), FILE_VARIABLE, problems))
    layers.append(_environment_layer(environ, problems, warnings))
    layers.append(_Layer(flag_of, dict(flags)))

    for layer in layers:
        _keep_valid(layer, problems)
        _check_within_one_source(layer, problems)
    values, sources = _merge(layers)
    config = ServeConfig.model_validate(values)
    config = _with_file_credentials(config, sources, problems)
    _check_whole(config, sources, problems)
    if problems:
        raise ConfigError(problems)
    return Loaded(config, sources, tuple(warnings))


def _file_layer(path: Path, named_by: str, problems: list[Problem]) -> _Layer:
    layer = _Layer(lambda name: f"{path}: {name}")
    try:
        document = tomllib.loads(path.expanduser().read_text(encoding="utf-8"))
    except FileNotFoundError:
        problems.append(Problem(named_by, f"there is no file {path}; correct the path or create the file"))
        return layer
    except OSError as error:
        problems.append(Problem(named_by, f"{path} cannot be read ({error.strerror}); check its permissions"))
        return layer
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(Problem(str(path), f"this is not TOML: {error}; correct the file"))
        return layer
    for name, value in document.items():
        field_name = name.replace("-", "_")
        if field_name in ServeConfig.model_fields:
            layer.values[field_name] = value
        else:
            problems.append(Problem(f"{path}: {name}", "there is no such setting" + _suggest(field_name)))
    return layer


def _environment_layer(environ: Mapping[str, str], problems: list[Problem], warnings: list[str]) -> _Layer:
    """Variables of this program; unknown ones only warn, because platforms set some of their own accord."""
    layer = _Layer(variable_of)
    for variable, text in environ.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable == FILE_VARIABLE:
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        if name not in ServeConfig.model_fields:
            warnings.append(f"{variable} is no setting and was ignored" + _suggest(name, variable_of))
        elif text.startswith(("tcp://", "udp://")):
            warnings.append(
                f"{variable}={text} was ignored: Kubernetes sets it for a service named hashrange"
            )
        elif name == "credentials":
            parsed, mistake = parse_credential_list(text)
            if mistake:
                problems.append(Problem(variable, mistake))
            layer.values[name] = parsed
        else:
            layer.values[name] = text
    return layer


def _suggest(name: str, spell: Callable[[str], str] = str) -> str:
    near = difflib.get_close_matches(name, ServeConfig.model_fields, n=1)
    if near:
        return f"; did you mean {spell(near[0])}?"
    return "; `hashrange serve --help` lists the settings"


def _keep_valid(layer: _Layer, problems: list[Problem]) -> None:
    """Validate one source by itself, so that a mistake shows even where a later source hides it."""
    try:
        valid = ServeConfig.model_validate(layer.values)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_context=False):
            problems.append(_problem(layer, detail["loc"], detail["msg"]))
        for detail in error.errors(include_url=False, include_context=False):
            layer.values.pop(str(detail["loc"][0]), None)
        valid = ServeConfig.model_validate(layer.values)
    layer.values = {name: getattr(valid, name) for name in layer.values}


def _problem(layer: _Layer, location: tuple[int | str, ...], message: str) -> Problem:
    name = str(location[0])
    if name == "credentials":
        where = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in location[1:])
        hint = f"{message[:1].lower()}{message[1:]}; give access_key and secret"
        return Problem(layer.label(name) + where, hint)
    if name in SECRET_SETTINGS:
        return Problem(layer.label(name), f"must be {expectation(name)}")
    return Problem(layer.label(name), f"must be {expectation(name)}, not {layer.values.get(name)!r}")


def _check_within_one_source(layer: _Layer, problems: list[Problem]) -> None:
    """Two settings that exclude each other are a mistake in one source; across sources the later wins."""
    if layer.values.get("in_memory") and "data_dir" in layer.values:
        problems.append(
            Problem(
                layer.label("in_memory"),
                f"excludes {layer.label('data_dir')}; remove one of the two: data in memory has no directory",
            )
        )


def _merge(layers: list[_Layer]) -> tuple[dict[str, Any], dict[str, str]]:
    values: dict[str, Any] = {}
    sources = dict.fromkeys(ServeConfig.model_fields, DEFAULT_SOURCE)
    for layer in layers:
        if "data_dir" in layer.values and "in_memory" not in layer.values:
            values["in_memory"] = False  # a directory named later overrides an earlier wish for memory
            sources["in_memory"] = layer.label("data_dir")
        for name, value in layer.values.items():
            values[name] = value
            sources[name] = layer.label(name)
    return values, sources


def _with_file_credentials(
    config: ServeConfig, sources: dict[str, str], problems: list[Problem]
) -> ServeConfig:
    if config.credentials_file is None:
        _check_duplicates(config.credentials, sources["credentials"], problems)
        return config
    found, mistakes = read_credentials_file(config.credentials_file)
    source = sources["credentials_file"]
    problems.extend(Problem(source, mistake) for mistake in mistakes)
    credentials = config.credentials + tuple(Credential.model_validate(pair) for pair in found)
    _check_duplicates(credentials, source, problems)
    sources["credentials"] = source if not config.credentials else f"{sources['credentials']} and {source}"
    return config.model_copy(update={"credentials": credentials})


def _check_duplicates(credentials: tuple[Credential, ...], source: str, problems: list[Problem]) -> None:
    known: dict[str, str] = {}
    for credential in credentials:
        secret = credential.secret.get_secret_value()
        if known.setdefault(credential.access_key, secret) != secret:
            problems.append(
                Problem(source, f"access key {credential.access_key} has two different secrets; remove one")
            )


def _check_whole(config: ServeConfig, sources: dict[str, str], problems: list[Problem]) -> None:
    """Rules on the merged configuration."""
    if config.console and config.console_port == config.port != 0:
        problems.append(Problem(sources["console_port"], "must differ from port; choose another one"))
    impossible = contradiction(config.region, config.peers)
    if impossible:
        problems.append(Problem(sources["peers"], impossible))
    if not config.in_memory and config.data_dir.exists() and not config.data_dir.is_dir():
        problems.append(
            Problem(
                sources["data_dir"],
                f"{config.data_dir} is a file; name a directory, which is created when it does not exist",
            )
        )
