"""Both kinds of clients."""

from __future__ import annotations

import pytest

from tests.unit.http.support import KINDS, Kit


@pytest.fixture(params=KINDS)
def kit(request: pytest.FixtureRequest) -> Kit:
    return Kit(request.param)
