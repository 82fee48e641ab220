"""The official Python client, made so that nothing of it outlives a test.

    with dax_client("dax://127.0.0.1:8111") as client:   # as boto3.client("dynamodb")
    with dax_resource("dax://127.0.0.1:8111") as resource:   # as boto3.resource("dynamodb")

The client is not changed; but it leaves closed sockets to the garbage collector, of which pytest would complain, and
threads where it could not be made. Their dice upset hypothesis in whatever test comes next, so they are ended here.
"""

from __future__ import annotations

import gc
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import amazondax
import botocore.session
from amazondax.ClusterUtil import PeriodicTask
from botocore.config import Config

REGION = "us-east-1"
ACCESS_KEY = "test"
SECRET_KEY = "test"
THREAD_ENDS_S = 10.0


def _config(**settings: Any) -> Config:
    return Config(connect_timeout=10, read_timeout=20, **settings)


@contextmanager
def dax_client(
    *endpoints: str,
    access_key: str = ACCESS_KEY,
    secret_key: str = SECRET_KEY,
    retries: int | None = None,
    **settings: Any,
) -> Iterator[Any]:
    """A client of the low-level flavour, with the retries that it makes by itself unless told otherwise."""
    config = _config() if retries is None else _config(retries={"max_attempts": retries})
    with _threads_ended():
        client = amazondax.AmazonDaxClient(
            botocore.session.get_session(),
            region_name=REGION,
            endpoints=list(endpoints),
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=config,
            **settings,
        )
        try:
            yield client
        finally:
            client.close()
            collect()


@contextmanager
def dax_resource(endpoint: str) -> Iterator[Any]:
    """The resource flavour: Python values in the place of attribute values."""
    with _threads_ended():
        resource = amazondax.AmazonDaxClient.resource(
            region_name=REGION,
            endpoint_url=endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=_config(),
        )
        try:
            yield resource
        finally:
            resource.meta.client.close()
            collect()


@contextmanager
def _threads_ended() -> Iterator[None]:
    """End the periodic tasks that were begun inside, and wait for those that were ended."""
    before = set(threading.enumerate())
    try:
        yield
    finally:
        for thread in threading.enumerate():
            if isinstance(thread, PeriodicTask) and thread not in before:
                thread.cancel()
                thread.join(THREAD_ENDS_S)


def collect() -> None:
    """Let what the client has left behind go quietly."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
