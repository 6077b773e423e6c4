"""A client of each kind, driven in one way, over a transport in memory."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from cqrs.http import (
    AsyncCircuitBreakerMiddleware,
    AsyncClientFactory,
    AsyncStaticDiscovery,
    HTTPRequest,
    HTTPResponse,
    HTTPTimeout,
    PathInfoField,
    PostBodyField,
    QueryStringField,
    Registry,
    Request,
    Response,
    SyncCircuitBreakerMiddleware,
    SyncClientFactory,
    SyncStaticDiscovery,
)

KINDS = ("async", "sync")
ENDPOINTS: dict[tuple[str, str | None], str] = {("user", "v1"): "http://user:8000/v1"}

Answer = HTTPResponse | BaseException | int | Callable[[HTTPRequest], Any]


class User(Response):
    username: str
    mail: str | None = None


class GetUser(Request):
    username: str = PathInfoField()


class ListUsers(Request):
    limit: int | None = QueryStringField(None)


class AddUser(Request):
    username: str = PostBodyField()
    mail: str | None = PostBodyField(None)


def users(name: str = "api") -> Registry:
    """Return a registry with one client and one resource."""
    registry = Registry()
    registry.register(
        name,
        "users",
        "user",
        "v1",
        "/users/{username}",
        {"GET": (GetUser, User), "HEAD": (GetUser, None), "DELETE": (GetUser, None)},
        "/users",
        {"GET": (ListUsers, User), "POST": (AddUser, None)},
    )
    return registry


class Script:
    """A transport that answers as it is told, the last answer again and again, and keeps what it was sent."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers) or [200]
        self.sent: list[HTTPRequest] = []
        self.timeouts: list[HTTPTimeout] = []

    def answer(self, request: HTTPRequest, client_name: str, path: str, timeout: HTTPTimeout) -> HTTPResponse:
        self.sent.append(request)
        self.timeouts.append(timeout)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, int):
            answer = HTTPResponse(answer, {}, json={"username": "alice"})
        return answer

    async def answer_async(self, *arguments: Any) -> HTTPResponse:
        return self.answer(*arguments)


class Kit:
    """One kind of clients."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.asynchronous = kind == "async"

    def factory(
        self, script: Script, registry: Registry | None = None, sd: Any = None, **options: Any
    ) -> Any:
        if self.asynchronous:
            return AsyncClientFactory(
                sd or AsyncStaticDiscovery(ENDPOINTS), script.answer_async, registry or users(), **options
            )
        return SyncClientFactory(
            sd or SyncStaticDiscovery(ENDPOINTS), script.answer, registry or users(), **options
        )

    def client(self, script: Script, *middlewares: Any, name: str = "api", **options: Any) -> Any:
        factory = self.factory(script, **options)
        for middleware in middlewares:
            factory.add_middleware(middleware)
        return self.run(factory(name))

    def breaker(self, *arguments: Any, **options: Any) -> Any:
        kinds = (SyncCircuitBreakerMiddleware, AsyncCircuitBreakerMiddleware)
        return kinds[self.asynchronous](*arguments, **options)

    def run(self, what: Any) -> Any:
        """Return a value, or await it."""

        async def awaited() -> Any:
            return await what

        return asyncio.run(awaited()) if inspect.isawaitable(what) else what
