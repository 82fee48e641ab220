"""One pool of real workers for each file of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.triggers.workers_support import Lab, laboratory


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A started pool."""
    with laboratory(tmp_path_factory.mktemp("pool")) as running:
        yield running
