"""The SQL storage keeps the contract, on every database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from tests.unit.saga.storage.contract import SITUATIONS, Subject


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.__name__)
async def test_situation(situation: Callable[[Subject], Awaitable[None]], subject: Subject) -> None:
    await situation(subject)
