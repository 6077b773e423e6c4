"""A handler that calls a guarded client: what its fallback learns, and what is counted where."""

from __future__ import annotations

from typing import Any

import pytest

import cqrs
from cqrs.circuit_breaker import CircuitBreakerPolicy, CircuitBreakers, CircuitOpenError, State
from cqrs.container import BuiltinContainer
from cqrs.http import (
    AsyncCircuitBreakerMiddleware,
    AsyncClientFactory,
    AsyncDeadlineMiddleware,
    AsyncStaticDiscovery,
    HTTPError,
    HTTPTimeoutError,
    Registry,
)
from cqrs.middlewares import DeadlineMiddleware
from cqrs.requests.bootstrap import bootstrap
from tests.unit.http.support import ENDPOINTS, Script, User, users


class Greeting(cqrs.Response):
    text: str


class Greet(cqrs.Request[Greeting]):
    username: str


class Users:
    """What the handler depends on."""

    def __init__(self, script: Script, breaker: AsyncCircuitBreakerMiddleware, registry: Registry) -> None:
        sd = AsyncStaticDiscovery(ENDPOINTS)
        self.factory = AsyncClientFactory(sd, script.answer_async, registry).add_middleware(breaker)

    async def get(self, username: str) -> User:
        client = await self.factory("api")
        return (await client.resource(User).get({"username": username})).unwrap()


class GreetByName(cqrs.RequestHandler[Greet, Greeting]):
    def __init__(self, users: Users) -> None:
        self._users = users

    async def handle(self, request: Greet) -> Greeting:
        user = await self._users.get(request.username)
        return Greeting(text=f"Hello {user.username}")


class GreetAnyhow(cqrs.RequestHandler[Greet, Greeting]):
    async def handle(self, request: Greet) -> Greeting:
        return Greeting(text="Hello")


def mediator(users: Users, **pair: Any) -> Any:
    container = BuiltinContainer()
    container.register_instance(Users, users)
    handlers = cqrs.RequestHandlerFallback(primary=GreetByName, fallback=GreetAnyhow, **pair)
    return bootstrap(di_container=container, queries_mapper=lambda mapper: mapper.bind(Greet, handlers))


async def greet(mediator: Any) -> Any:
    """Send a request; returns what the fallback was told, ``None`` when the primary answered."""
    answer: Greeting = await mediator.send(Greet(username="alice"))
    told = cqrs.current_fallback()
    assert (answer.text == "Hello") == (told is not None)
    return told


async def test_the_rejection_of_a_client_reaches_the_fallback_as_what_it_is() -> None:
    breaker = AsyncCircuitBreakerMiddleware(2, 30)
    script = Script(HTTPTimeoutError("late"))
    sending = mediator(Users(script, breaker, users()), failure_exceptions=(HTTPTimeoutError,))
    seen = [await greet(sending) for _ in range(3)]
    assert len(script.sent) == 2
    assert [answer.error_type for answer in seen] == [HTTPTimeoutError, HTTPTimeoutError, CircuitOpenError]
    rejection = seen[2].rejection
    assert (rejection.name, rejection.state) == ("api", "open")
    assert rejection.retry_after == pytest.approx(30, abs=29)
    assert seen[2].reason == "circuit_open"


async def test_each_circuit_counts_a_call_once_and_a_rejection_not_at_all() -> None:
    breaker = AsyncCircuitBreakerMiddleware(2, 30)
    breakers = CircuitBreakers(CircuitBreakerPolicy.consecutive(10))
    script = Script(HTTPTimeoutError("late"))
    sending = mediator(Users(script, breaker, users()), circuit_breaker=breakers)
    for _ in range(5):
        await greet(sending)
    of_client, of_handler = breaker.breakers["api"].snapshot(), breakers[GreetByName].snapshot()
    assert (of_client.failed, of_client.rejected, len(script.sent)) == (2, 3, 2)
    assert (of_handler.failed, of_handler.inconclusive, of_handler.rejected) == (2, 3, 0)
    assert breakers[GreetByName].state is State.CLOSED


async def test_one_registry_for_handlers_and_clients_counts_no_call_twice() -> None:
    breakers = CircuitBreakers(CircuitBreakerPolicy.consecutive(3))
    breaker = AsyncCircuitBreakerMiddleware(breakers=breakers)
    script = Script(HTTPTimeoutError("late"))
    sending = mediator(Users(script, breaker, users()), circuit_breaker=breakers)
    for _ in range(2):
        await greet(sending)
    assert {name: breakers[name].snapshot().failed for name in breakers} == {
        "api": 2,
        breakers[GreetByName].name: 2,
    }


async def test_an_error_status_reaches_the_caller_unless_it_is_named() -> None:
    sending = mediator(
        Users(Script(404), AsyncCircuitBreakerMiddleware(), users()), failure_exceptions=(HTTPTimeoutError,)
    )
    with pytest.raises(HTTPError, match="404 Not Found"):
        await greet(sending)


async def test_the_deadline_of_a_request_reaches_the_client() -> None:
    script = Script(200)
    users_ = Users(script, AsyncCircuitBreakerMiddleware(), users())
    users_.factory.add_middleware(AsyncDeadlineMiddleware("X-Left-Ms"))
    container = BuiltinContainer()
    container.register_instance(Users, users_)
    sending = bootstrap(
        di_container=container,
        queries_mapper=lambda mapper: mapper.bind(Greet, GreetByName),
        middlewares=[DeadlineMiddleware(5)],
    )
    answer: Greeting = await sending.send(Greet(username="alice"))
    assert answer.text == "Hello alice"
    assert 0 < script.timeouts[0].limit <= 5
    assert 0 < int(script.sent[0].header("X-Left-Ms")) <= 5000
    await (await users_.factory("api")).resource(User).get({"username": "alice"})
    assert script.timeouts[1].limit == 45, "outside of a request there is none"
