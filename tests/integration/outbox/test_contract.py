"""What every repository of an outbox does alike, the one in memory too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from cqrs.exceptions import MessageRefusedError, PolicyError
from cqrs.outbox.mock import MockOutboxedEventRepository
from cqrs.outbox.repository import EventStatus, OutboxedEvent, OutboxedEventRepository
from cqrs.testing import FakeClock
from tests.integration.outbox.support import create_table, execute, repository, rows
from tests.servers.databases import KINDS, Database
from tests.unit.outbox.events import joined, keyed


class Case:
    """A repository, and what a test must know of what it keeps.

    Attributes:
        outbox: the repository.
        pass_time: ends all leases and waits.
        states: returns status and failed attempts of all events, oldest first.
    """

    def __init__(
        self,
        outbox: OutboxedEventRepository,
        pass_time: Callable[[], Awaitable[None]],
        states: Callable[[], Awaitable[list[tuple[str, int]]]],
    ) -> None:
        self.outbox = outbox
        self.pass_time = pass_time
        self.states = states

    async def add(self, *events: Any) -> None:
        for event in events:
            self.outbox.add(event)
        await self.outbox.commit()

    async def take(self, *arguments: Any) -> list[OutboxedEvent]:
        events = await self.outbox.get_many(*arguments)
        await self.outbox.commit()
        return events

    async def due(self, *arguments: Any) -> list[int]:
        return [event.id for event in await self.take(*arguments)]


def in_memory(clock: FakeClock) -> Case:
    outbox = MockOutboxedEventRepository(clock=clock)

    async def pass_time() -> None:
        clock.advance(10_000)

    async def states() -> list[tuple[str, int]]:
        return [(event.status, event.attempts) for _, event in sorted(outbox.store.items())]

    return Case(outbox, pass_time, states)


@pytest.fixture(params=["memory", *KINDS])
async def case(
    request: pytest.FixtureRequest, clock: FakeClock, sql_databases: Callable[[str], Database]
) -> AsyncIterator[Case]:
    if request.param == "memory":
        yield in_memory(clock)
        return
    database = sql_databases(request.param)
    await create_table(database)

    async def pass_time() -> None:
        await execute(database, "UPDATE outbox SET lease_expires_at = 1, available_at = 1")

    async def states() -> list[tuple[str, int]]:
        return [(row.event_status, row.flush_counter) for row in await rows(database)]

    async with repository(database) as outbox:
        yield Case(outbox, pass_time, states)
    await database.dispose()


async def test_the_oldest_come_first_by_topic_and_size(case: Case) -> None:
    await case.add(*[joined(topic="even" if number % 2 == 0 else "odd") for number in range(5)])
    assert await case.due(2, "even") == [1, 3]
    assert await case.due(10) == [2, 4, 5]
    with pytest.raises(PolicyError, match="batch_size"):
        await case.take(0)


async def test_a_leased_event_is_due_again_after_its_lease(case: Case) -> None:
    await case.add(joined())
    assert await case.due() == [1]
    assert await case.due() == []
    await case.pass_time()
    assert await case.due() == [1]


async def test_a_lease_that_is_rolled_back_is_none(case: Case) -> None:
    await case.add(joined())
    await case.outbox.get_many()
    await case.outbox.rollback()
    assert await case.due() == [1]


async def test_a_result_that_is_rolled_back_is_none(case: Case) -> None:
    await case.add(joined())
    await case.take()
    await case.outbox.update_status(1, EventStatus.PRODUCED)
    await case.outbox.rollback()
    assert await case.states() == [("new", 0)]


async def test_an_event_waits_for_an_older_one_of_its_key(case: Case) -> None:
    await case.add(keyed("a"), keyed("a"), keyed("b"), joined(), keyed("a", topic="other"))
    assert await case.due(1) == [1]
    assert await case.due() == [3, 4, 5]
    await case.outbox.report_failure(1, ValueError("no"))
    await case.outbox.commit()
    assert await case.due() == []
    await case.pass_time()
    assert await case.due(1) == [1]
    await case.outbox.update_status(1, EventStatus.PRODUCED)
    await case.outbox.commit()
    assert await case.due() == [2, 3, 4, 5]


async def test_a_dead_letter_lets_its_key_go_on(case: Case) -> None:
    await case.add(keyed("a"), keyed("a"))
    assert await case.due(1) == [1]
    await case.outbox.report_failure(1, MessageRefusedError("topic", "too large"))
    await case.outbox.commit()
    assert await case.states() == [("dead_letter", 1), ("new", 0)]
    assert await case.due() == [2]


async def test_failures_are_waited_for_and_the_fifth_is_the_last(case: Case) -> None:
    await case.add(joined())
    for attempt in range(1, 6):
        (event,) = await case.take()
        assert event.attempts == attempt - 1
        await case.outbox.update_status(event.id, EventStatus.NOT_PRODUCED)
        await case.outbox.commit()
        assert await case.due() == []
        assert await case.states() == [("not_produced" if attempt < 5 else "dead_letter", attempt)]
        await case.pass_time()
    assert await case.due() == []


async def test_a_broker_that_is_away_costs_no_attempt_but_a_wait(case: Case) -> None:
    await case.add(joined())
    await case.take()
    await case.outbox.report_failure(1, ConnectionRefusedError())
    await case.outbox.commit()
    assert await case.states() == [("new", 0)]
    assert await case.due() == []
    await case.pass_time()
    assert await case.due() == [1]


async def test_a_result_that_was_rolled_back_can_be_written_again(case: Case) -> None:
    await case.add(joined())
    await case.take()
    await case.outbox.update_status(1, EventStatus.NOT_PRODUCED)
    await case.outbox.rollback()
    await case.outbox.update_status(1, EventStatus.PRODUCED)
    await case.outbox.commit()
    assert await case.states() == [("produced", 0)]


async def test_an_event_made_new_is_due_at_once(case: Case) -> None:
    await case.add(joined())
    await case.take()
    await case.outbox.update_status(1, EventStatus.NOT_PRODUCED)
    await case.outbox.commit()
    await case.pass_time()
    assert await case.due() == [1]
    await case.outbox.update_status(1, EventStatus.NEW)
    await case.outbox.commit()
    assert await case.states() == [("new", 1)]
    assert await case.due() == [1]


@pytest.mark.parametrize("status", [*EventStatus])
async def test_an_event_that_is_not_there_is_none_to_change(case: Case, status: EventStatus) -> None:
    await case.outbox.update_status(7, status)
    await case.outbox.report_failure(7, ConnectionRefusedError())
    await case.outbox.commit()
    assert await case.states() == []
