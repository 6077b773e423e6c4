"""Events that other frameworks lose, repeat, orphan or deadlock on."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any

import pytest

import cqrs
from cqrs.container import BuiltinContainer, Lifetime
from cqrs.requests.bootstrap import bootstrap
from tests.integration.dispatch.messages import (
    ByNumber,
    Journal,
    Many,
    Order,
    Ordered,
    Pair,
    Recording,
    RecordMany,
    RecordTwo,
    Reply,
    Shipped,
    WriteOrdered,
    mediator_of,
)


async def test_the_events_of_the_chain_link_that_handled_are_delivered() -> None:
    class First(cqrs.CORRequestHandler[Order, Reply]):
        async def handle(self, request: Order) -> Reply | None:
            return await self.next(request)

    class Second(cqrs.CORRequestHandler[Order, Reply]):
        def __init__(self) -> None:
            self.recorded: list[Any] = []

        @property
        def events(self) -> list[Any]:
            return self.recorded

        async def handle(self, request: Order) -> Reply | None:
            self.recorded.append(Ordered(number=request.number))
            return Reply(by="second")

    journal = Journal()
    mediator = mediator_of([First, Second], WriteOrdered, journal=journal)
    assert (await mediator.send(Order(number=7))).by == "second"
    assert journal == [7]


async def test_a_singleton_handlers_events_are_not_repeated() -> None:
    journal = Journal()
    container = BuiltinContainer().register(Recording, lifetime=Lifetime.SINGLETON)
    mediator = mediator_of(Recording, WriteOrdered, container=container, journal=journal)
    for number in range(3):
        await mediator.send(Order(number=number))
    assert journal == [0, 1, 2]


async def test_events_may_be_a_tuple() -> None:
    class Tuple(Recording):
        @property
        def events(self) -> Any:
            return tuple(self.recorded)

    journal = Journal()
    await mediator_of(Tuple, WriteOrdered, journal=journal).send(Order(number=1))
    assert journal == [1]


@pytest.mark.parametrize("parallel", [False, True])
async def test_send_inside_an_event_handler_does_not_deadlock(parallel: bool) -> None:
    class Inner(cqrs.Request[Reply]):
        pass

    class Answer(cqrs.RequestHandler[Inner, Reply]):
        def __init__(self) -> None:
            self.recorded: list[Any] = []

        @property
        def events(self) -> list[Any]:
            return self.recorded

        async def handle(self, request: Inner) -> Reply:
            self.recorded.append(Shipped(number=1))
            return Reply(by="inner")

    replies: list[str] = []
    holder: list[cqrs.RequestMediator] = []

    class SendAgain(cqrs.EventHandler[Ordered]):
        async def handle(self, event: Ordered) -> None:
            replies.append((await holder[0].send(Inner())).by)

    class WriteShipped(cqrs.EventHandler[Shipped]):
        async def handle(self, event: Shipped) -> None:
            replies.append("shipped")

    def commands(mapper: cqrs.RequestMap) -> None:
        mapper.bind(Order, Recording)
        mapper.bind(Inner, Answer)

    def events(mapper: cqrs.EventMap) -> None:
        mapper.bind(Ordered, SendAgain)
        mapper.bind(Shipped, WriteShipped)

    mediator = bootstrap(
        BuiltinContainer(),
        commands_mapper=commands,
        domain_events_mapper=events,
        max_concurrent_event_handlers=1,
        concurrent_event_handle_enable=parallel,
    )
    holder.append(mediator)
    async with asyncio.timeout(30):
        await mediator.send(Order())
    assert replies == ["shipped", "inner"], "the inner request is complete with its events"


async def test_twenty_thousand_events_need_few_tasks_and_linear_time() -> None:
    seen = 0
    most_tasks = 0

    class Count(cqrs.EventHandler[Ordered]):
        async def handle(self, event: Ordered) -> None:
            nonlocal seen, most_tasks
            seen += 1
            if seen % 500 == 0:
                most_tasks = max(most_tasks, len(asyncio.all_tasks()))
            await asyncio.sleep(0)

    mediator = bootstrap(
        BuiltinContainer(),
        commands_mapper=lambda mapper: mapper.bind(Many, RecordMany),
        domain_events_mapper=lambda mapper: mapper.bind(Ordered, Count),
        max_concurrent_event_handlers=8,
        concurrent_event_handle_enable=True,
    )
    before = len(asyncio.all_tasks())

    async def cost_of(count: int) -> float:
        began = time.thread_time()  # other processes of the machine do not count
        await mediator.send(Many(count=count))
        return time.thread_time() - began

    gc.disable()  # what is alive decides how long a collection takes
    try:
        few = min([await cost_of(2_000) for _ in range(5)])
        many = await cost_of(20_000)
    finally:
        gc.enable()
    assert seen == 30_000
    assert most_tasks - before <= 16
    assert many < few * 10 * 4, "ten times the events take about ten times as long"


async def test_the_first_error_of_parallel_siblings_orphans_none(recwarn: pytest.WarningsRecorder) -> None:
    running = 0
    started = asyncio.Event()

    class Hang(cqrs.EventHandler[Ordered]):
        async def handle(self, event: Ordered) -> None:
            nonlocal running
            running += 1
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                running -= 1

    class Fail(cqrs.EventHandler[Ordered]):
        async def handle(self, event: Ordered) -> None:
            await started.wait()
            raise ConnectionError("first")

    mediator = mediator_of(
        RecordTwo, ByNumber, container=BuiltinContainer().register_instance(Pair, Pair(Hang, Fail)),
        max_concurrent_event_handlers=4, concurrent_event_handle_enable=True,
    )  # fmt: skip
    tasks_before = len(asyncio.all_tasks())
    async with asyncio.timeout(30):
        with pytest.raises(ConnectionError, match="first"):
            await mediator.send(Order())
    assert running == 0
    assert len(asyncio.all_tasks()) == tasks_before
    gc.collect()
    assert not [w for w in recwarn if "never retrieved" in str(w.message)]


@pytest.mark.parametrize("parallel", [False, True])
async def test_after_a_cancelled_send_nothing_is_handled(parallel: bool) -> None:
    handled: list[int] = []
    started = asyncio.Event()

    class Hang(cqrs.EventHandler[Ordered]):
        async def handle(self, event: Ordered) -> None:
            handled.append(event.number)
            started.set()
            await asyncio.Event().wait()

    mediator = bootstrap(
        BuiltinContainer(),
        commands_mapper=lambda mapper: mapper.bind(Many, RecordMany),
        domain_events_mapper=lambda mapper: mapper.bind(Ordered, Hang),
        max_concurrent_event_handlers=2,
        concurrent_event_handle_enable=parallel,
    )
    task = asyncio.create_task(mediator.send(Many(count=10)))
    await started.wait()
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    known = list(handled)
    assert len(known) <= 2
    for _ in range(50):
        await asyncio.sleep(0)
    assert handled == known
