"""Middleware of both kinds, around a scripted handle, called in one way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from cqrs.http.messages import HTTPRequest, HTTPResponse, HTTPTimeout

Answer = HTTPResponse | BaseException | int | Callable[[HTTPRequest], Any]


class Server:
    """What is called in the end: answers as it is told, the last answer again and again.

    Attributes:
        sent: the requests; ``timeouts``: theirs.
        then: called with each request before it is answered.
    """

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers) or [200]
        self.sent: list[HTTPRequest] = []
        self.timeouts: list[HTTPTimeout] = []
        self.then: Callable[[HTTPRequest], object] | None = None

    def answer(self, request: HTTPRequest, client_name: str, path: str, timeout: HTTPTimeout) -> HTTPResponse:
        self.sent.append(request)
        self.timeouts.append(timeout)
        if self.then is not None:
            self.then(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, BaseException):
            raise answer
        return HTTPResponse(answer, {}) if isinstance(answer, int) else answer

    async def answer_async(self, *arguments: Any) -> HTTPResponse:
        return self.answer(*arguments)

    def headers(self, number: int = -1) -> dict[str, str]:
        """Headers of a request as they are sent, names in lower case."""
        return {name.lower(): value for name, value in self.sent[number].wire_headers.items()}


class Side:
    """Asynchronous or synchronous."""

    def __init__(self, kind: str) -> None:
        self.asynchronous = kind == "async"

    def make(self, module: Any, name: str, *arguments: Any, **options: Any) -> Any:
        """Return a middleware: ``name`` without ``Async`` or ``Sync``."""
        return getattr(module, ("Async" if self.asynchronous else "Sync") + name)(*arguments, **options)

    def transport(self, server: Server) -> Any:
        return server.answer_async if self.asynchronous else server.answer

    def call(
        self,
        server: Server,
        *middlewares: Any,
        method: str = "GET",
        client_name: str = "user",
        path: str = "/v1/users/{name}",
        timeout: HTTPTimeout | None = None,
        **fields: Any,
    ) -> HTTPResponse:
        """Make one call; the first middleware is outermost."""
        handle: Any = self.transport(server)
        for middleware in reversed(middlewares):
            handle = middleware(handle)
        request = HTTPRequest(method, "http://user:8000" + path, {"name": "alice"}, **fields)
        return self.run(handle(request, client_name, path, timeout or HTTPTimeout()))  # type: ignore[no-any-return]

    def run(self, what: Any) -> Any:
        """Return a value, or await it."""
        if not self.asynchronous:
            return what

        async def awaited() -> Any:
            return await what

        return asyncio.run(awaited())
