"""What type checkers infer about mediators and handlers; read by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, TypedDict, assert_type

import attrs
import msgspec

import cqrs


class UserProfile(cqrs.Response):
    name: str


class GetUser(cqrs.Request[UserProfile]):
    user_id: int


class GetAnything(cqrs.Request):
    user_id: int


class WatchUser(cqrs.Request[UserProfile]):
    user_id: int


@attrs.frozen
class CountUsers(cqrs.Returns[int]):
    active: bool = True


class DeleteUser(msgspec.Struct):
    user_id: int


class TypedRequest(TypedDict):
    user_id: int


class GetUserHandler(cqrs.RequestHandler[GetUser, UserProfile]):
    async def handle(self, request: GetUser) -> UserProfile:
        return UserProfile(name=str(request.user_id))


class CachedUserHandler(cqrs.RequestHandler[GetUser, UserProfile]):
    @property
    def events(self) -> list[cqrs.Event]:
        return []

    async def handle(self, request: GetUser) -> UserProfile:
        return UserProfile(name="cached")


class WatchUserHandler(cqrs.StreamingRequestHandler[WatchUser, UserProfile]):
    async def handle(self, request: WatchUser) -> AsyncIterator[UserProfile]:
        yield UserProfile(name="a")


async def send_infers_the_response(mediator: cqrs.RequestMediator, typed: TypedRequest) -> None:
    assert_type(await mediator.send(GetUser(user_id=1)), UserProfile)
    assert_type(await mediator.send(CountUsers()), int)
    assert_type(await mediator.send(GetAnything(user_id=1)), Any)
    assert_type(await mediator.send(DeleteUser(1)), Any)
    assert_type(await mediator.send(typed), Any)


async def stream_infers_the_items(mediator: cqrs.StreamingRequestMediator) -> None:
    assert_type(mediator.stream(WatchUser(user_id=1)), AsyncIterator[UserProfile])
    async for profile in mediator.stream(WatchUser(user_id=1)):
        assert_type(profile, UserProfile)


async def handlers_know_their_types(handler: GetUserHandler) -> None:
    assert_type(await handler.handle(GetUser(user_id=1)), UserProfile)


def mapper(requests: cqrs.RequestMap) -> None:
    requests.bind(GetUser, GetUserHandler)
    requests.bind(GetUser, cqrs.RequestHandlerFallback(GetUserHandler, CachedUserHandler))
    requests.bind(WatchUser, WatchUserHandler)


def breakers(policy: cqrs.CircuitBreakerPolicy) -> cqrs.RequestHandlerFallback:
    circuits = cqrs.CircuitBreakers(policy)
    assert_type(circuits["payments"], cqrs.CircuitBreaker)
    return cqrs.RequestHandlerFallback(
        primary=GetUserHandler,
        fallback=CachedUserHandler,
        failure_exceptions=(ConnectionError, TimeoutError),
        circuit_breaker=circuits,
    )
