"""Application code in the style that existing fallback documentation shows runs unchanged.

Imports, keyword names and class shapes below are the documented ones; only the assertions are ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import aiobreaker
import di
import pytest

import cqrs
from cqrs.adapters.circuit_breaker import AioBreakerAdapter
from cqrs.requests import bootstrap

calls: list[str] = []


@pytest.fixture(autouse=True)
def _no_calls_yet() -> None:
    calls.clear()


class GetUserProfileCommand(cqrs.Request):
    user_id: str


class UserProfileResult(cqrs.Response):
    user_id: str
    name: str
    source: str  # "primary" or "fallback"


class PrimaryGetUserProfileHandler(
    cqrs.RequestHandler[GetUserProfileCommand, UserProfileResult],
):
    error: type[Exception] = ConnectionError

    @property
    def events(self) -> list[cqrs.Event]:
        return []

    async def handle(self, request: GetUserProfileCommand) -> UserProfileResult:
        calls.append("primary")
        raise self.error("Database unavailable")


class FallbackGetUserProfileHandler(
    cqrs.RequestHandler[GetUserProfileCommand, UserProfileResult],
):
    @property
    def events(self) -> list[cqrs.Event]:
        return []

    async def handle(self, request: GetUserProfileCommand) -> UserProfileResult:
        calls.append("fallback")
        return UserProfileResult(user_id=request.user_id, name="Unknown User", source="fallback")


def mediator_for(mapper: Callable[[cqrs.RequestMap], None]) -> cqrs.RequestMediator:
    return bootstrap.bootstrap(di_container=di.Container(), commands_mapper=mapper)


async def profile(mediator: cqrs.RequestMediator) -> Any:
    return await mediator.send(GetUserProfileCommand(user_id="42"))


async def test_basic_example_answers_from_the_fallback() -> None:
    def commands_mapper(mapper: cqrs.RequestMap) -> None:
        mapper.bind(
            GetUserProfileCommand,
            cqrs.RequestHandlerFallback(
                primary=PrimaryGetUserProfileHandler,
                fallback=FallbackGetUserProfileHandler,
                failure_exceptions=(ConnectionError, TimeoutError),
            ),
        )

    result = await profile(mediator_for(commands_mapper))
    assert result == UserProfileResult(user_id="42", name="Unknown User", source="fallback")
    assert calls == ["primary", "fallback"]


async def test_registration_example_with_circuit_breaker_stops_calling_the_primary() -> None:
    request_cb = AioBreakerAdapter(fail_max=5, timeout_duration=60)

    def commands_mapper(mapper: cqrs.RequestMap) -> None:
        mapper.bind(
            GetUserProfileCommand,
            cqrs.RequestHandlerFallback(
                primary=PrimaryGetUserProfileHandler,
                fallback=FallbackGetUserProfileHandler,
                failure_exceptions=(ConnectionError, TimeoutError),  # optional
                circuit_breaker=request_cb,  # optional
            ),
        )

    mediator = mediator_for(commands_mapper)
    for _ in range(8):
        assert (await profile(mediator)).source == "fallback"
    assert calls.count("primary") == 5
    assert calls.count("fallback") == 8


async def test_excluded_business_errors_do_not_open_the_circuit() -> None:
    class UserNotFoundError(Exception):
        pass

    class NotFound(PrimaryGetUserProfileHandler):
        error = UserNotFoundError

    request_cb = AioBreakerAdapter(
        fail_max=5,
        timeout_duration=60,
        exclude=[UserNotFoundError],  # 404-style errors don't open the circuit
    )

    def commands_mapper(mapper: cqrs.RequestMap) -> None:
        mapper.bind(
            GetUserProfileCommand,
            cqrs.RequestHandlerFallback(
                primary=NotFound,
                fallback=FallbackGetUserProfileHandler,
                circuit_breaker=request_cb,
            ),
        )

    mediator = mediator_for(commands_mapper)
    for _ in range(8):
        await profile(mediator)
    assert calls.count("primary") == 8


async def test_default_breaker_parameters_are_the_documented_ones() -> None:
    request_cb = AioBreakerAdapter()

    async def fail() -> None:
        calls.append("call")
        raise ConnectionError

    for _ in range(4):
        with pytest.raises(ConnectionError):
            await request_cb.call(PrimaryGetUserProfileHandler, fail)
    for _ in range(3):
        with pytest.raises(aiobreaker.CircuitBreakerError) as caught:
            await request_cb.call(PrimaryGetUserProfileHandler, fail)
        assert request_cb.is_circuit_breaker_error(caught.value)
    assert calls.count("call") == 5
    assert isinstance(request_cb, cqrs.ICircuitBreaker)


class StreamNumbers(cqrs.Request):
    count: int


class Number(cqrs.Response):
    value: int
    source: str


class PrimaryStream(cqrs.StreamingRequestHandler[StreamNumbers, Number]):
    @property
    def events(self) -> list[cqrs.Event]:
        return []

    def clear_events(self) -> None:
        pass

    async def handle(self, request: StreamNumbers) -> AsyncIterator[Number]:
        yield Number(value=0, source="primary")
        raise ConnectionError("stream lost")


class FallbackStream(cqrs.StreamingRequestHandler[StreamNumbers, Number]):
    @property
    def events(self) -> list[cqrs.Event]:
        return []

    def clear_events(self) -> None:
        pass

    async def handle(self, request: StreamNumbers) -> AsyncIterator[Number]:
        for value in range(request.count):
            yield Number(value=value, source="fallback")


async def test_streaming_fallback_starts_from_its_beginning() -> None:
    def commands_mapper(mapper: cqrs.RequestMap) -> None:
        mapper.bind(
            StreamNumbers, cqrs.RequestHandlerFallback(primary=PrimaryStream, fallback=FallbackStream)
        )

    mediator = bootstrap.bootstrap_streaming(di_container=di.Container(), commands_mapper=commands_mapper)
    items = [item async for item in mediator.stream(StreamNumbers(count=2))]
    assert [(item.value, item.source) for item in items] == [(0, "primary"), (0, "fallback"), (1, "fallback")]


class UserCreated(cqrs.DomainEvent):
    user_id: str


class CreateUser(cqrs.Request):
    user_id: str


class CreateUserHandler(cqrs.RequestHandler[CreateUser, None]):
    def __init__(self) -> None:
        self._events: list[cqrs.Event] = []

    @property
    def events(self) -> list[cqrs.Event]:
        return self._events

    async def handle(self, request: CreateUser) -> None:
        self._events.append(UserCreated(user_id=request.user_id))


class SendWelcome(cqrs.EventHandler[UserCreated]):
    async def handle(self, event: UserCreated) -> None:
        calls.append("primary")
        raise ConnectionError("mail server")


class QueueWelcome(cqrs.EventHandler[UserCreated]):
    async def handle(self, event: UserCreated) -> None:
        calls.append(f"queued for {event.user_id}")


async def test_event_handler_fallback_takes_over() -> None:
    def events_mapper(mapper: cqrs.EventMap) -> None:
        mapper.bind(
            UserCreated,
            cqrs.EventHandlerFallback(
                primary=SendWelcome,
                fallback=QueueWelcome,
                failure_exceptions=(ConnectionError,),
                circuit_breaker=AioBreakerAdapter(fail_max=2),
            ),
        )

    mediator = bootstrap.bootstrap(
        di_container=di.Container(),
        commands_mapper=lambda mapper: mapper.bind(CreateUser, CreateUserHandler),
        domain_events_mapper=events_mapper,
    )
    for _ in range(3):
        await mediator.send(CreateUser(user_id="7"))
    assert calls == ["primary", "queued for 7", "primary", "queued for 7", "queued for 7"]
