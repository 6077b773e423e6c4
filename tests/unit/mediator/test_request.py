"""Sending requests: what a mediator adds to its dispatcher."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

import cqrs
from cqrs.container import BuiltinContainer
from cqrs.dispatcher import RequestDispatcher
from cqrs.dispatcher.exceptions import RequestHandlerDoesNotExist, RequestHandlerTypeError
from cqrs.dispatcher.startup import Startup
from cqrs.exceptions import CqrsError, ResolutionError
from cqrs.mediator import EventMediator, RequestMediator
from tests.unit.dispatcher.breakers import CallBreaker

log: list[Any] = []


@pytest.fixture(autouse=True)
def _clean() -> None:
    log.clear()


class Ask:
    def __init__(self, number: int = 0) -> None:
        self.number = number


class Happened:
    def __init__(self, number: int = 0) -> None:
        self.number = number


class Handler(cqrs.RequestHandler[Ask, int]):
    def __init__(self) -> None:
        self.recorded: list[object] = []

    @property
    def events(self) -> list[object]:
        return self.recorded

    async def handle(self, request: Ask) -> int:
        log.append(f"request {request.number}")
        self.recorded.append(Happened(request.number))
        return request.number


class Items(cqrs.StreamingRequestHandler[Ask, int]):
    async def handle(self, request: Ask) -> AsyncIterator[int]:
        yield 1


class OnHappened(cqrs.EventHandler[Happened]):
    async def handle(self, event: Happened) -> None:
        log.append(f"event {event.number}")


def mediator(binding: Any = Handler, container: Any = None, **options: Any) -> RequestMediator:
    events = cqrs.EventMap({Happened: [OnHappened]})
    requests = cqrs.RequestMap({Ask: binding} if binding else {})
    return RequestMediator(requests, container or BuiltinContainer(), event_map=events, **options)


async def test_the_response_comes_after_the_events() -> None:
    assert await mediator().send(Ask(7)) == 7
    assert log == ["request 7", "event 7"]


async def test_a_request_that_nothing_is_bound_to_is_an_error_until_it_is() -> None:
    requests = cqrs.RequestMap()
    made = RequestMediator(requests, BuiltinContainer())
    with pytest.raises(RequestHandlerDoesNotExist, match="no handler is bound to Ask") as caught:
        await made.send(Ask())
    assert isinstance(caught.value, CqrsError)
    assert isinstance(caught.value, LookupError)
    requests.bind(Ask, Handler)
    assert await made.send(Ask(1)) == 1


async def test_a_subclass_of_a_bound_request_is_another_request() -> None:
    class AskMore(Ask): ...

    with pytest.raises(RequestHandlerDoesNotExist):
        await mediator().send(AskMore())


@pytest.mark.parametrize("binding", [Items, cqrs.RequestHandlerFallback(Items, Items)])
async def test_a_stream_is_asked_for_elsewhere(binding: Any) -> None:
    with pytest.raises(RequestHandlerTypeError, match=r"StreamingRequestMediator\.stream"):
        await mediator(binding).send(Ask())


async def test_what_the_container_learns_later_is_noticed() -> None:
    class Database: ...

    class Needs(Handler):
        def __init__(self, database: Database) -> None:
            super().__init__()

    class Learning:
        knows = False

        async def resolve(self, type_: type[Any]) -> Any:
            raise AssertionError

        def factory_for(self, type_: type[Any]) -> Any:
            if type_ is Needs and not self.knows:
                raise ResolutionError("Needs needs an unknown Database")
            return lambda: type_(Database()) if type_ is Needs else type_()

    container = Learning()
    made = mediator(Needs, container)
    with pytest.raises(ResolutionError):
        await made.send(Ask())
    container.knows = True
    assert await made.send(Ask(3)) == 3


async def test_a_failing_event_handler_never_makes_the_primary_fail() -> None:
    class Spare(Handler): ...

    class FailsOnEvent(OnHappened):
        async def handle(self, event: Happened) -> None:
            raise ConnectionError("event")

    breaker = CallBreaker(1)
    requests = cqrs.RequestMap({Ask: cqrs.RequestHandlerFallback(Handler, Spare, (), breaker)})
    made = RequestMediator(requests, BuiltinContainer(), event_map=cqrs.EventMap({Happened: [FailsOnEvent]}))
    for number in range(3):
        with pytest.raises(ConnectionError, match="event"):
            await made.send(Ask(number))
    assert log == ["request 0", "request 1", "request 2"]
    assert breaker.outcomes == ["success"] * 3


@pytest.mark.parametrize("parallel", [False, True])
async def test_event_errors_may_be_logged_or_collected(
    parallel: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class FailsOnEvent(OnHappened):
        async def handle(self, event: Happened) -> None:
            raise ConnectionError("event")

    events = cqrs.EventMap({Happened: [FailsOnEvent, OnHappened]})
    requests = cqrs.RequestMap({Ask: Handler})
    options: dict[str, Any] = {"max_concurrent_event_handlers": 3 if parallel else 1}
    logging_one = RequestMediator(
        requests, BuiltinContainer(), event_map=events, event_errors="log", **options
    )
    assert await logging_one.send(Ask(1)) == 1
    assert "FailsOnEvent failed to handle Happened" in caplog.text
    collecting = RequestMediator(
        requests, BuiltinContainer(), event_map=events, event_errors="collect", **options
    )
    with pytest.raises(ExceptionGroup):
        await collecting.send(Ask(2))
    assert log == ["request 1", "event 1", "request 2", "event 2"]


async def test_without_an_event_map_events_are_dropped() -> None:
    assert await RequestMediator(cqrs.RequestMap({Ask: Handler}), BuiltinContainer()).send(Ask(1)) == 1


async def test_a_given_emitter_is_used() -> None:
    emitter = cqrs.EventEmitter(cqrs.EventMap({Happened: [OnHappened]}), BuiltinContainer())
    made = RequestMediator(cqrs.RequestMap({Ask: Handler}), BuiltinContainer(), emitter)
    await made.send(Ask(1))
    assert log == ["request 1", "event 1"]


async def test_a_dispatcher_of_the_users_own_is_asked_for_each_request() -> None:
    class Own(RequestDispatcher):
        async def dispatch(self, request: Any) -> Any:
            log.append("own")
            return await super().dispatch(request)

    made = mediator(dispatcher_type=Own)
    await made.send(Ask(1))
    await made.send(Ask(2))
    assert log == ["own", "request 1", "event 1", "own", "request 2", "event 2"]


async def test_dispatch_returns_events_without_processing_them() -> None:
    dispatcher = RequestDispatcher(cqrs.RequestMap({Ask: Handler}), BuiltinContainer())
    result = await dispatcher.dispatch(Ask(5))
    assert result.response == 5
    assert [event.number for event in result.events if isinstance(event, Happened)] == [5]
    assert result.fallback is None
    assert result.metadata == {}


@pytest.mark.parametrize("kind", [RequestMediator, EventMediator])
def test_a_plain_dictionary_is_no_map(kind: Any) -> None:
    with pytest.raises(TypeError, match="must be a map"):
        kind({}, BuiltinContainer())


async def test_async_startup_runs_once_before_the_first_request() -> None:
    async def connect() -> None:
        await asyncio.sleep(0)
        log.append("connected")

    made = mediator(startup=Startup([connect]))
    await asyncio.gather(made.send(Ask(1)), made.send(Ask(2)))
    await made.send(Ask(3))
    assert log[0] == "connected"
    assert log.count("connected") == 1
    assert len(log) == 7


async def test_a_failed_startup_handles_nothing_and_is_tried_again() -> None:
    errors = [ConnectionError("not yet")]

    async def connect() -> None:
        if errors:
            raise errors.pop()

    made = mediator(startup=Startup([connect]))
    with pytest.raises(ConnectionError):
        await made.send(Ask(1))
    assert log == []
    assert await made.send(Ask(2)) == 2


def test_threads_with_a_loop_each_share_one_mediator() -> None:
    pair = cqrs.RequestHandlerFallback(Handler, Handler)
    made = mediator(pair, max_concurrent_event_handlers=2)
    errors: list[BaseException] = []

    def work() -> None:
        async def main() -> None:
            for number in range(200):
                assert await made.send(Ask(number)) == number

        try:
            asyncio.run(main())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert len(log) == 4 * 200 * 2
