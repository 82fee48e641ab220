"""The service model of the DAX API, read from the packaged file on first use."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import orjson

from hashrange_router.api.model import ServiceModel

TARGET_PREFIX: Final = "AmazonDAXV3"
_PATH: Final = Path(__file__).with_name("service_model.json")


@cache
def dax_model() -> ServiceModel:
    """The operations of the API and the shapes of their inputs."""
    return ServiceModel(orjson.loads(_PATH.read_bytes()))
