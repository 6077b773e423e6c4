from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.outbox.events import NAMES, registered


@pytest.fixture(autouse=True)
def event_types() -> Iterator[None]:
    with registered(**NAMES):
        yield
