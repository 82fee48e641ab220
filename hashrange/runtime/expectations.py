"""What a setting accepts, in words, derived from its declaration: for error sentences and help texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from hashrange.runtime.config import ServeConfig

_SPECIAL = {
    "region": "an AWS region such as us-east-1 (lower-case letters, digits and hyphens)",
    "cors": "a list of origins, or * for all",
    "throttle_faults": "a list of TABLE=SHARE with a share from 0 to 1, such as orders=0.2,*=0.01",
    "host": "a host name or an IP address",
    "admin_host": "a host name or an IP address",
    "console_host": "a host name or an IP address",
    "console_names": "a list of host names",
    "console_sources": "a list of HOST:PORT",
    "az": "a zone such as az1 (lower-case letters, digits and hyphens)",
    "members": "a list of ID/AZ/HOST:PORT, such as 1/az1/10.0.1.5:8101",
    "seeds": "a list of ID/HOST:PORT, such as 1/10.0.1.5:8101",
    "advertise": "HOST:PORT",
    "peers": "a list of REGION=URL, such as eu-west-1=http://10.1.0.5:8000|http://10.1.0.6:8000",
    "peer_credentials": "ACCESS_KEY:SECRET, one pair",
    "hide": "a list of directories",
    "function_endpoint": "a URL such as http://10.0.1.5:8000",
    "admin_advertise": "HOST:PORT",
}


def expectation(name: str, model: type[BaseModel] = ServeConfig) -> str:
    """A noun phrase for what a model's field accepts, for example `a whole number from 0 to 65535`."""
    if name in _SPECIAL:
        return _SPECIAL[name]
    field = model.model_fields[name]
    kinds = [field.annotation, *get_args(field.annotation)]
    for kind in kinds:
        if get_origin(kind) is Literal:
            choices = [str(choice) for choice in get_args(kind)]
            return f"{', '.join(choices[:-1])} or {choices[-1]}"
    if bool in kinds:
        return "true or false"
    if int in kinds:
        return "a whole number " + _range(field.metadata)
    if float in kinds:
        return "a number " + _range(field.metadata)
    if Path in kinds:
        return "a path"
    return "text"


def _range(metadata: list[Any]) -> str:
    """The bounds of a number; every numeric setting has both."""
    bounds = {
        key: getattr(part, key)
        for part in metadata
        for key in ("ge", "gt", "le")
        if getattr(part, key, None) is not None
    }
    low = f"from {bounds['ge']}" if "ge" in bounds else f"above {bounds['gt']}"
    return f"{low} to {bounds['le']}" if "ge" in bounds else f"{low} and at most {bounds['le']}"
