"""Situations that frameworks of this kind get wrong, beyond the table of fallbacks."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, TypeVar

import pytest

import cqrs
from cqrs.container import BuiltinContainer, Lifetime
from cqrs.exceptions import ResolutionError
from cqrs.requests.bootstrap import bootstrap, bootstrap_streaming
from tests.breakers import native_consecutive_rig


class Reply(cqrs.Response):
    by: str


class Order(cqrs.Request[Reply]):
    number: int = 0


class Ordered(cqrs.DomainEvent):
    number: int


class Shipped(cqrs.DomainEvent):
    number: int


class Recording(cqrs.RequestHandler[Order, Reply]):
    """Records one ``Ordered`` per call."""

    def __init__(self) -> None:
        self.recorded: list[Any] = []

    @property
    def events(self) -> Any:
        return self.recorded

    async def handle(self, request: Order) -> Reply:
        self.recorded.append(Ordered(number=request.number))
        return Reply(by=type(self).__name__)


class Journal(list[Any]):
    """Where event handlers write."""


class WriteOrdered(cqrs.EventHandler[Ordered]):
    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    async def handle(self, event: Ordered) -> None:
        self.journal.append(event.number)


def mediator_of(
    handler: Any,
    *event_handlers: Any,
    container: BuiltinContainer | None = None,
    journal: Journal | None = None,
    **options: Any,
) -> cqrs.RequestMediator:
    container = BuiltinContainer() if container is None else container
    container.register_instance(Journal, Journal() if journal is None else journal)

    def events(mapper: cqrs.EventMap) -> None:
        for event_handler in event_handlers:
            mapper.bind(Ordered, event_handler)

    return bootstrap(
        container,
        commands_mapper=lambda mapper: mapper.bind(Order, handler),
        domain_events_mapper=events,
        **options,
    )


# ---------------------------------------------------------------------------------------------- middleware


async def test_a_middleware_that_cannot_render_a_response_does_not_undo_a_committed_command() -> None:
    committed: list[int] = []

    class Unprintable:
        def __repr__(self) -> str:
            raise RuntimeError("cannot be rendered")

        __str__ = __repr__

        def to_dict(self) -> dict[str, Any]:
            raise RuntimeError("cannot be rendered")

    class Command:
        to_dict = Unprintable.to_dict

        def __repr__(self) -> str:
            raise RuntimeError("cannot be rendered")

    class Commit(cqrs.RequestHandler[Command, Any]):
        async def handle(self, request: Command) -> Any:
            committed.append(1)
            return Unprintable()

    logger = logging.getLogger("cqrs")
    level = logger.level
    logger.setLevel(logging.DEBUG)
    try:
        mediator = bootstrap(BuiltinContainer(), commands_mapper=lambda mapper: mapper.bind(Command, Commit))
        assert isinstance(await mediator.send(Command()), Unprintable)
    finally:
        logger.setLevel(level)
    assert committed == [1]


# -------------------------------------------------------------------------------------------------- events


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


class Many(cqrs.Request[Reply]):
    count: int


class RecordMany(cqrs.RequestHandler[Many, Reply]):
    def __init__(self) -> None:
        self.recorded: list[Any] = []

    @property
    def events(self) -> list[Any]:
        return self.recorded

    async def handle(self, request: Many) -> Reply:
        self.recorded = [Ordered(number=n) for n in range(request.count)]
        return Reply(by="many")


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
    durations: list[float] = []
    for count in (2_000, 20_000):
        began = time.perf_counter()
        await mediator.send(Many(count=count))
        durations.append(time.perf_counter() - began)
    assert seen == 22_000
    assert most_tasks - before <= 16
    assert durations[1] < durations[0] * 10 * 4, "ten times the events take about ten times as long"


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


class Pair:
    def __init__(self, *handlers: type[Any]) -> None:
        self.handlers = handlers


class RecordTwo(cqrs.RequestHandler[Order, Reply]):
    @property
    def events(self) -> list[Any]:
        return [Ordered(number=0), Ordered(number=1)]

    async def handle(self, request: Order) -> Reply:
        return Reply(by="two")


class ByNumber(cqrs.EventHandler[Ordered]):
    """Hands event n to the n-th handler of the pair."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair

    async def handle(self, event: Ordered) -> None:
        await self.pair.handlers[event.number]().handle(event)


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


# -------------------------------------------------------------------------------------------------- scopes


class Session:
    open = True


def session_container(log: list[str]) -> BuiltinContainer:
    async def session() -> AsyncIterator[Session]:
        opened = Session()
        log.append("open")
        try:
            yield opened
        finally:
            opened.open = False
            log.append("close")

    return BuiltinContainer().register(Session, session, lifetime=Lifetime.SCOPED)


class UseSession(cqrs.RequestHandler[Order, Reply]):
    act: Callable[[], Any] | None = None

    def __init__(self, session: Session) -> None:
        self.session = session
        self.recorded: list[Any] = []

    @property
    def events(self) -> list[Any]:
        return self.recorded

    async def handle(self, request: Order) -> Reply:
        assert self.session.open
        self.recorded.append(Ordered(number=request.number))
        if self.act is not None:
            await type(self).act()  # type: ignore[misc]
        return Reply(by="session")


class CheckSession(cqrs.EventHandler[Ordered]):
    def __init__(self, session: Session, journal: Journal) -> None:
        self.session = session
        self.journal = journal

    async def handle(self, event: Ordered) -> None:
        self.journal.append(self.session.open)


async def test_a_scopes_dependencies_are_open_through_the_events_and_closed_after_them() -> None:
    log: list[str] = []
    journal = Journal()
    mediator = mediator_of(UseSession, CheckSession, container=session_container(log), journal=journal)
    await mediator.send(Order())
    assert journal == [True]
    assert log == ["open", "close"]


async def test_a_scope_is_closed_after_an_error() -> None:
    async def fail() -> None:
        raise ConnectionError("refused")

    class Failing(UseSession):
        act = fail

    log: list[str] = []
    with pytest.raises(ConnectionError):
        await mediator_of(Failing, container=session_container(log)).send(Order())
    assert log == ["open", "close"]


async def test_a_scope_is_closed_after_a_cancellation() -> None:
    started = asyncio.Event()

    async def hang() -> None:
        started.set()
        await asyncio.Event().wait()

    class Hanging(UseSession):
        act = hang

    log: list[str] = []
    task = asyncio.create_task(mediator_of(Hanging, container=session_container(log)).send(Order()))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["open", "close"]


async def test_a_streams_scope_is_open_between_items_and_closed_when_it_is_left() -> None:
    class Items(cqrs.StreamingRequestHandler[Order, Reply]):
        def __init__(self, session: Session) -> None:
            self.session = session

        async def handle(self, request: Order) -> AsyncIterator[Reply]:
            for _ in range(3):
                assert self.session.open
                yield Reply(by="items")

    log: list[str] = []
    mediator = bootstrap_streaming(
        session_container(log), queries_mapper=lambda mapper: mapper.bind(Order, Items)
    )
    stream = mediator.stream(Order())
    await anext(stream)
    await anext(stream)
    assert log == ["open"]
    await stream.aclose()
    assert log == ["open", "close"]


# ------------------------------------------------------------------------------------ loops, types, fallbacks


@pytest.mark.parametrize("parallel", [False, True])
def test_a_mediator_serves_two_event_loops_in_turn_and_at_once(parallel: bool) -> None:
    journal = Journal()
    rig = native_consecutive_rig()
    mediator = mediator_of(
        cqrs.RequestHandlerFallback(Recording, RecordTwo, circuit_breaker=rig.breaker),
        WriteOrdered,
        journal=journal,
        max_concurrent_event_handlers=2,
        concurrent_event_handle_enable=parallel,
    )
    for number in range(2):
        asyncio.run(mediator.send(Order(number=number)))
    assert journal == [0, 1]
    both = threading.Barrier(2)

    def run() -> None:
        both.wait(30)
        for _ in range(20):
            asyncio.run(mediator.send(Order(number=5)))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert journal.count(5) == 40


RequestT = TypeVar("RequestT")
ReplyT = TypeVar("ReplyT")


class Audited:
    """A mixin that knows nothing of handlers."""


class Base(Audited, cqrs.RequestHandler[RequestT, ReplyT], Generic[ReplyT, RequestT]):
    """Its type variables in another order than the handler's."""


async def test_handlers_behind_generic_bases_and_mixins_are_recognised() -> None:
    class Primary(Base[Reply, Order]):
        async def handle(self, request: Order) -> Reply:
            raise ConnectionError

    class Fallback(Audited, Recording):
        pass

    mediator = mediator_of(cqrs.RequestHandlerFallback(Primary, Fallback))
    assert (await mediator.send(Order())).by == "Fallback"


def test_pairs_behind_generic_bases_are_checked() -> None:
    class Other(cqrs.Request[Reply]):
        pass

    class Primary(Base[Reply, Other]):
        async def handle(self, request: Other) -> Reply:
            return Reply(by="other")

    with pytest.raises(TypeError, match="must handle the same request type"):
        cqrs.RequestHandlerFallback(Primary, Recording)


async def test_a_missing_registration_is_no_dependency_failure() -> None:
    rig = native_consecutive_rig()

    class Unregistered:
        def __init__(self, url: str) -> None: ...

    class Broken(cqrs.RequestHandler[Order, Reply]):
        def __init__(self, dependency: Unregistered) -> None: ...

        async def handle(self, request: Order) -> Reply:
            return Reply(by="broken")

    for _ in range(rig.threshold * 2):
        with pytest.raises(ResolutionError):
            mediator = mediator_of(
                cqrs.RequestHandlerFallback(Broken, Recording, circuit_breaker=rig.breaker)
            )
            await mediator.send(Order())
    assert not await rig.rejects(Broken)
