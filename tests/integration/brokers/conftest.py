"""The brokers of the table, one after the other."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.brokers.places import Place
from tests.integration.brokers.table import BROKERS, make_place


@pytest.fixture(params=BROKERS)
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """A broker, and a topic of this test's own."""
    made = make_place(request.param, request.getfixturevalue(BROKERS[request.param]))
    await made.prepare()
    yield made
    await made.tidy()
