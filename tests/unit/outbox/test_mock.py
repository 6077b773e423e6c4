from __future__ import annotations

from typing import Any

import pytest

from cqrs.circuit_breaker.timing import Backoff
from cqrs.exceptions import ConfigurationTypeError
from cqrs.outbox.mock import MockOutboxedEventRepository
from cqrs.outbox.repository import EventStatus
from cqrs.testing import FakeClock
from tests.unit.outbox.events import joined, paid


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


async def test_what_is_leased_is_due_again_after_the_lease(clock: FakeClock) -> None:
    repository = MockOutboxedEventRepository(clock=clock)
    repository.add(joined())
    await repository.commit()
    assert len(await repository.get_many()) == 1
    assert await repository.get_many() == []
    clock.advance(30)
    assert len(await repository.get_many()) == 1


async def test_the_fifth_failure_makes_a_dead_letter(clock: FakeClock) -> None:
    repository = MockOutboxedEventRepository(clock=clock, backoff=Backoff(1, 1, 1, 0))
    repository.add(paid())
    await repository.commit()
    for attempt in range(5):
        (event,) = await repository.get_many()
        assert event.attempts == attempt
        await repository.update_status(event.id, EventStatus.NOT_PRODUCED)
        await repository.commit()
        assert await repository.get_many() == []
        clock.advance(1)
    assert repository.store[1].status is EventStatus.DEAD_LETTER


async def test_oldest_first_by_topic_and_size() -> None:
    repository = MockOutboxedEventRepository()
    for number in range(5):
        repository.add(joined(topic="even" if number % 2 == 0 else "odd"))
    await repository.commit()
    assert [event.id for event in await repository.get_many(2, "even")] == [1, 3]
    assert [event.id for event in await repository.get_many(10)] == [2, 4, 5]


def test_a_store_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationTypeError, match="store"):
        MockOutboxedEventRepository(7)  # type: ignore[arg-type]
