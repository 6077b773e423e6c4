"""Fixtures of the tests of sagas."""

from __future__ import annotations

import uuid

import pytest

from cqrs.saga.storage.memory import MemorySagaStorage
from tests.unit.saga import shop


@pytest.fixture(autouse=True)
def _clean_shop() -> None:
    shop.effects.clear()
    shop.wishes.clear()


@pytest.fixture
def storage() -> MemorySagaStorage:
    return MemorySagaStorage()


@pytest.fixture
def saga_id() -> uuid.UUID:
    return uuid.uuid4()
