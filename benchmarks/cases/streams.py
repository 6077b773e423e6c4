"""Streaming: what each item costs on its way through the mediator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.environments import CQRS_4, CQRS_5, HOLDFAST
from harness.model import Builder, Case, Prepared, Target

from .mediator import (
    CQRS,
    PEERS,
    aiobreaker_adapter,
    built_in_container,
    consecutive_breaker,
    one_method_container,
    slow_call_breaker,
    window_breaker,
)

STREAM = Case(
    key="stream",
    title="stream, per item",
    what=(
        "`async for item in mediator.stream(request)` over 1 000 items of a handler that yields a constant, "
        "no middleware; one stream after the other, their set-up included, divided by the items. The "
        "handler has an `events` property, empty, and `clear_events`, as python-cqrs demands: both are "
        "called for each item. Floor: `async for item in Handler().handle(request)`, which calls neither."
    ),
    targets=(Target("Holdfast", "ratio", 3.0),),
    cannot="diator does not stream.",
)
GUARDED = Case(
    key="stream-breaker",
    title="stream with fallback and breaker, per item",
    what=(
        "The same stream bound as `RequestHandlerFallback` with a closed breaker. Holdfast's breakers hold "
        "their permit until the stream ends and count its failures."
    ),
    cannot="diator does not stream.",
)
CASES = (STREAM, GUARDED)


@STREAM.subject("floor: async for item in Handler().handle(request)", *CQRS, floor=True)
@GUARDED.subject("floor: async for item in Handler().handle(request)", *CQRS, floor=True)
def _iterate_by_hand() -> Prepared:
    from .app import ITEMS, PING, CountHandler

    async def loop(count: int) -> None:
        request = PING
        for _ in range(count):
            async for _item in CountHandler().handle(request):
                pass

    return Prepared(loop, operations_per_iteration=ITEMS)


async def _streaming(mediator: Any) -> Prepared:
    from .app import ITEMS, PING, PONG

    items = [item async for item in mediator.stream(PING)]
    assert len(items) == ITEMS, f"{len(items)} items"
    assert all(item is PONG for item in items)

    async def loop(count: int) -> None:
        request = PING
        for _ in range(count):
            async for _item in mediator.stream(request):
                pass

    return Prepared(loop, operations_per_iteration=ITEMS)


def _stream(make_container: Callable[[], Any], handler: str = "CountHandler") -> Builder:
    async def build() -> Prepared:
        from . import app

        return await _streaming(app.streaming_mediator(getattr(app, handler), make_container()))

    return build


def _guarded(make_container: Callable[[], Any], make_breaker: Callable[[], Any]) -> Builder:
    async def build() -> Prepared:
        import cqrs

        from .app import CountHandler, SpareCountHandler, streaming_mediator

        pair = cqrs.RequestHandlerFallback(CountHandler, SpareCountHandler, circuit_breaker=make_breaker())
        return await _streaming(streaming_mediator(pair, make_container()))

    return build


STREAM.add("Holdfast", _stream(built_in_container), [HOLDFAST])
STREAM.add("Holdfast, handler without events", _stream(built_in_container, "SilentCountHandler"), [HOLDFAST])
STREAM.add("Holdfast, one-method container", _stream(one_method_container), [HOLDFAST])
GUARDED.add("Holdfast, window policy", _guarded(built_in_container, window_breaker), [HOLDFAST])
GUARDED.add(
    "Holdfast, window policy with slow calls", _guarded(built_in_container, slow_call_breaker), [HOLDFAST]
)
GUARDED.add("Holdfast, consecutive preset", _guarded(built_in_container, consecutive_breaker), [HOLDFAST])
GUARDED.add("Holdfast, AioBreakerAdapter", _guarded(built_in_container, aiobreaker_adapter), [HOLDFAST])
for _environment in (CQRS_4, CQRS_5):
    STREAM.add(PEERS[_environment], _stream(one_method_container), [_environment])
    GUARDED.add(PEERS[_environment], _guarded(one_method_container, aiobreaker_adapter), [_environment])
