"""Mediators live as long as the application and reach its routes as dependencies."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Annotated, Any, TypeVar

from fastapi import Depends, FastAPI, Request

from cqrs.exceptions import ConfigurationError
from cqrs.mediator import RequestMediator, StreamingRequestMediator

M = TypeVar("M")
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

_REQUESTS = "holdfast_request_mediator"
_STREAMS = "holdfast_streaming_mediator"


def mediator_lifespan(
    *,
    requests: Callable[[], RequestMediator | Awaitable[RequestMediator]] | None = None,
    streams: Callable[[], StreamingRequestMediator | Awaitable[StreamingRequestMediator]] | None = None,
    around: Callable[[FastAPI], AbstractAsyncContextManager[Any]] | None = None,
) -> Lifespan:
    """Return a lifespan for ``FastAPI(lifespan=...)`` that makes the mediators when the application starts.

    Args:
        requests: makes the mediator behind ``Mediator``; a plain or an async callable.
        streams: makes the mediator behind ``StreamingMediator``.
        around: another lifespan, entered first and left last: a connection pool, or a container that closes
            its singletons (``around=lambda app: container``).

    Raises:
        ConfigurationError: neither ``requests`` nor ``streams`` is given.
    """
    if requests is None and streams is None:
        raise ConfigurationError(
            "mediator_lifespan() needs requests=, streams= or both: nothing would be made"
        )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
        async with AsyncExitStack() as stack:
            if around is not None:
                await stack.enter_async_context(around(app))
            if requests is not None:
                setattr(app.state, _REQUESTS, await _made(requests))
            if streams is not None:
                setattr(app.state, _STREAMS, await _made(streams))
            yield

    return lifespan


async def _made(factory: Callable[[], M | Awaitable[M]]) -> M:
    made = factory()
    if inspect.isawaitable(made):
        return await made
    return made


def _request_mediator(request: Request) -> RequestMediator:
    return _from_state(request, _REQUESTS, RequestMediator, "requests")


def _streaming_mediator(request: Request) -> StreamingRequestMediator:
    return _from_state(request, _STREAMS, StreamingRequestMediator, "streams")


def _from_state(request: Request, key: str, kind: type[M], argument: str) -> M:
    mediator = getattr(request.app.state, key, None)
    if not isinstance(mediator, kind):
        raise ConfigurationError(
            f"the application has no {kind.__name__}: "
            f"create it with FastAPI(lifespan=mediator_lifespan({argument}=...))"
        )
    return mediator


Mediator = Annotated[RequestMediator, Depends(_request_mediator)]
"""The application's ``RequestMediator``, as the annotation of a route's parameter."""

StreamingMediator = Annotated[StreamingRequestMediator, Depends(_streaming_mediator)]
"""The application's ``StreamingRequestMediator``, as the annotation of a route's parameter."""
