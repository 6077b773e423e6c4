"""Both kinds of middleware."""

from __future__ import annotations

import pytest

from tests.unit.http.middleware.sides import Side


@pytest.fixture(params=["async", "sync"])
def side(request: pytest.FixtureRequest) -> Side:
    return Side(request.param)
