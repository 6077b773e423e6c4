from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.integration.notifications.running import Mails, World


@pytest.fixture
async def mails() -> AsyncIterator[Mails]:
    """A mail server."""
    async with Mails() as server:
        yield server


@pytest.fixture
async def world(mails: Mails, tmp_path: Path) -> AsyncIterator[World]:
    """Starts services; all end with the test, and none has written a traceback."""
    async with AsyncExitStack() as stack:
        world = World(mails, tmp_path, stack)
        yield world
    for service in world.services:
        assert "Traceback" not in service.log, service.log
