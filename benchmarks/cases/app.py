"""The application that Holdfast and both versions of python-cqrs run, line for line the same.

The three are packages named ``cqrs`` with the same documented API; where an import path differs, both are
tried.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import cqrs

try:
    from cqrs.requests import bootstrap
    from cqrs.requests.cor_request_handler import CORRequestHandler
except ImportError:
    from cqrs.bootstrap import requests as bootstrap
    from cqrs.handlers.cor import CORRequestHandler

__all__ = ["bootstrap"]

ITEMS = 1000
"""Items in one stream."""


@dataclass
class Ping(cqrs.DCRequest):
    """A request without work."""

    number: int


@dataclass
class Pong(cqrs.DCResponse):
    """Its response."""

    number: int


PING = Ping(number=1)
PONG = Pong(number=1)
SPARE = Pong(number=2)


class PingHandler(cqrs.RequestHandler[Ping, Pong]):
    """Answers at once."""

    async def handle(self, request: Ping) -> Pong:
        return PONG


class BrokenHandler(cqrs.RequestHandler[Ping, Pong]):
    """Fails at once."""

    async def handle(self, request: Ping) -> Pong:
        raise ConnectionError("the dependency is down")


class SpareHandler(cqrs.RequestHandler[Ping, Pong]):
    """The fallback."""

    async def handle(self, request: Ping) -> Pong:
        return SPARE


class CountHandler(cqrs.StreamingRequestHandler[Ping, Pong]):
    """Streams the same item many times."""

    @property
    def events(self) -> list[Any]:
        return []

    def clear_events(self) -> None:
        pass

    async def handle(self, request: Ping) -> AsyncIterator[Pong]:
        for _ in range(ITEMS):
            yield PONG


class SilentCountHandler(cqrs.StreamingRequestHandler[Ping, Pong]):
    """The same stream from a handler that has no events; python-cqrs insists on the property."""

    async def handle(self, request: Ping) -> AsyncIterator[Pong]:
        for _ in range(ITEMS):
            yield PONG


class SpareCountHandler(CountHandler):
    """The fallback stream."""


class FirstLink(CORRequestHandler[Ping, Pong]):
    """Passes the request on."""

    async def handle(self, request: Ping) -> Pong | None:
        return await self.next(request)


class SecondLink(CORRequestHandler[Ping, Pong]):
    """Passes the request on."""

    async def handle(self, request: Ping) -> Pong | None:
        return await self.next(request)


class LastLink(CORRequestHandler[Ping, Pong]):
    """Answers."""

    async def handle(self, request: Ping) -> Pong | None:
        return PONG


class OneMethodContainer:
    """The least container that the three accept: builds the handler, nothing else."""

    external_container: Any = None

    def attach_external_container(self, container: Any) -> None:
        self.external_container = container

    async def resolve(self, type_: type[Any]) -> Any:
        return type_()


def request_mediator(handler: Any, container: Any) -> Any:
    """A mediator without middleware."""
    requests = cqrs.RequestMap()
    requests.bind(Ping, handler)
    return cqrs.RequestMediator(request_map=requests, container=container)


def streaming_mediator(handler: Any, container: Any) -> Any:
    """A streaming mediator without middleware."""
    requests = cqrs.RequestMap()
    requests.bind(Ping, handler)
    return cqrs.StreamingRequestMediator(request_map=requests, container=container)


def bootstrapped(handler: Any, container: Any) -> Any:
    """A mediator as the quick starts build it, with the middleware that comes by default."""
    return bootstrap.bootstrap(
        di_container=container, commands_mapper=lambda requests: requests.bind(Ping, handler)
    )
