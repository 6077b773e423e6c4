"""Fixtures of the tests of sagas."""

from __future__ import annotations

import uuid

import pytest

from cqrs.saga.storage.memory import MemorySagaStorage
from tests.unit.saga import shop
from tests.unit.saga.recovering import World


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


@pytest.fixture
def world() -> World:
    return World()
