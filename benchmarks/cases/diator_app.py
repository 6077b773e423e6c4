"""The same request for diator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from diator.mediator import Mediator
from diator.requests import Request, RequestHandler, RequestMap
from diator.response import Response


@dataclass(frozen=True, kw_only=True)
class Ping(Request):
    number: int


@dataclass(frozen=True, kw_only=True)
class Pong(Response):
    number: int


PING = Ping(number=1)
PONG = Pong(number=1)


class PingHandler(RequestHandler[Ping, Pong]):
    @property
    def events(self) -> list[Any]:
        return []

    async def handle(self, request: Ping) -> Pong:
        return PONG


class OneMethodContainer:
    external_container: Any = None

    def attach_external_container(self, container: Any) -> None:
        self.external_container = container

    async def resolve(self, type_: type[Any]) -> Any:
        return type_()


def make_mediator() -> Mediator:
    requests = RequestMap()
    requests.bind(Ping, PingHandler)
    return Mediator(request_map=requests, container=OneMethodContainer())
