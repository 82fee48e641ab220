"""Which settings the programs have, for files of deploy/ that set them by HASHRANGE_* variables."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from hashrange.runtime.cluster_config import DaxConfig, NodeConfig, RouterConfig, TriggersConfig
from hashrange.runtime.cluster_settings import load_dax, load_node, load_router, load_triggers
from hashrange.runtime.config import ServeConfig
from hashrange.runtime.settings import ENVIRONMENT_PREFIX, ConfigError

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
MODELS: dict[str, type[BaseModel]] = {
    "serve": ServeConfig,
    "node": NodeConfig,
    "router": RouterConfig,
    "triggers": TriggersConfig,
    "dax": DaxConfig,
}
LOADERS: dict[str, Any] = {
    "node": load_node,
    "router": load_router,
    "triggers": load_triggers,
    "dax": load_dax,
}


def documents(path: Path) -> list[dict[str, Any]]:
    """All documents of a YAML file."""
    return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]


def unknown(role: str, variables: Iterable[str]) -> list[str]:
    """Those of the variables that look like settings, and are none of this program."""
    fields = MODELS[role].model_fields
    names = {variable: variable.removeprefix(ENVIRONMENT_PREFIX) for variable in variables}
    return [variable for variable, name in names.items() if name != variable and name.lower() not in fields]


def mistakes(role: str, environment: dict[str, str]) -> list[str]:
    """What is wrong with the settings of a program: names that it does not have, values that it refuses."""
    found = [f"{role} has no setting {variable}" for variable in unknown(role, environment)]
    try:
        if role in LOADERS:
            LOADERS[role](None, environment)
    except (ConfigError, ValidationError) as error:
        found.append(str(error))
    return found
