"""A host process for each test that asks for one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.net.hosts import RunningHost


@pytest.fixture
def host(tmp_path: Path) -> Iterator[RunningHost]:
    """A host that has not been started."""
    one = RunningHost(tmp_path)
    yield one
    one.close()
