"""The outbox in memory; what it does as a database does is in tests/integration/outbox/test_contract.py."""

from __future__ import annotations

from typing import Any

import pytest

from cqrs.exceptions import ConfigurationTypeError
from cqrs.outbox.mock import MockOutboxedEventRepository
from cqrs.outbox.repository import EventStatus
from tests.unit.outbox.events import joined


async def test_only_what_is_committed_can_be_read() -> None:
    repository = MockOutboxedEventRepository()
    repository.add(joined())
    assert await repository.get_many() == []
    await repository.rollback()
    await repository.commit()
    assert await repository.get_many() == []
    event = joined()
    repository.add(event)
    await repository.commit()
    (found,) = await repository.get_many()
    assert found.event == event
    assert found.status is EventStatus.NEW


async def test_a_store_is_shared() -> None:
    store: dict[int, Any] = {}
    one, other = MockOutboxedEventRepository(store), MockOutboxedEventRepository(lambda: store)
    one.add(joined())
    await one.commit()
    assert [event.id for event in await other.get_many()] == [1]


def test_a_store_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationTypeError, match="store"):
        MockOutboxedEventRepository(7)  # type: ignore[arg-type]
