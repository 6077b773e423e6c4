"""A chain of responsibility of three links, the last of which answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.environments import CQRS_4, CQRS_5, HOLDFAST
from harness.model import Builder, Case, Prepared, Target

from .mediator import CQRS, PEERS, built_in_container, one_method_container

CHAIN = Case(
    key="chain",
    title="chain of 3 links",
    what=(
        "`await mediator.send(request)` with three `CORRequestHandler` links: two pass the request on with "
        "`await self.next(request)`, the third answers; no middleware. The floor is what one writes without "
        "a library: three plain classes that hold their successor, built anew for each request and called. "
        "The second floor links three handlers of the library with `set_next` and calls the first."
    ),
    targets=(Target("Holdfast", "ratio", 3.0),),
    cannot="diator has no chains.",
)
CASES = (CHAIN,)


class Passing:
    """A hand-written link that passes the request on."""

    def __init__(self, successor: Any) -> None:
        self._successor = successor

    async def handle(self, request: Any) -> Any:
        return await self._successor.handle(request)


class Answering:
    """A hand-written link that answers."""

    async def handle(self, request: Any) -> Any:
        return 1


@CHAIN.subject("floor: await First(Second(Third())).handle(request)", *CQRS, floor=True)
def _by_hand() -> Prepared:
    from .app import PING

    async def loop(count: int) -> None:
        request = PING
        for _ in range(count):
            await Passing(Passing(Answering())).handle(request)

    return Prepared(loop)


@CHAIN.subject("second floor: the library's links, linked by hand", *CQRS)
async def _linked_by_hand() -> Prepared:
    from .app import PING, PONG, FirstLink, LastLink, SecondLink

    async def loop(count: int) -> None:
        request = PING
        for _ in range(count):
            first, second = FirstLink(), SecondLink()
            first.set_next(second)
            second.set_next(LastLink())
            response = await first.handle(request)
        assert response is PONG

    await loop(1)
    return Prepared(loop)


def _chain(make_container: Callable[[], Any]) -> Builder:
    async def build() -> Prepared:
        from .app import PING, PONG, FirstLink, LastLink, SecondLink, request_mediator

        mediator = request_mediator([FirstLink, SecondLink, LastLink], make_container())
        for _ in range(3):
            assert await mediator.send(PING) is PONG

        async def loop(count: int) -> None:
            request = PING
            for _ in range(count):
                await mediator.send(request)

        return Prepared(loop)

    return build


CHAIN.add("Holdfast", _chain(built_in_container), [HOLDFAST])
CHAIN.add("Holdfast, one-method container", _chain(one_method_container), [HOLDFAST])
for _environment in (CQRS_4, CQRS_5):
    CHAIN.add(PEERS[_environment], _chain(one_method_container), [_environment])
