"""A call while the circuit is open: what it costs, and that nothing is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any

from harness.environments import HTTP
from harness.model import Builder, Case, Prepared, Target

from cases.fleet.experiment import amount
from cases.fleet.stage import private_server

from . import clients
from .clients import CLIENT, FAILURES, NAME, OPEN_SECONDS, PATH, Made
from .layer import blacksmith_parts, holdfast_parts
from .loopback import Server

WHERE = [HTTP]
_WHAT = (
    "A call while the circuit is open, with the `try` and `except` around it. *Holdfast*, *blacksmith*: the "
    "middleware alone over a handle; *client*: the whole call, Prometheus outside of the breaker, where "
    "Holdfast observes the rejection in its histogram and blacksmith does not. aiobreaker guards the `get` "
    "of an `httpx2.AsyncClient`. Floor: a handle that raises a new `RuntimeError`."
)
ASYNC = Case(
    key="http-rejected-async",
    title="a rejected call, async",
    what=_WHAT,
    targets=(Target("Holdfast", "value", 3.0),),
    group="http",
)
SYNC = Case(
    key="http-rejected-sync",
    title="a rejected call, sync",
    what=_WHAT.replace("AsyncClient", "Client"),
    targets=(Target("Holdfast", "value", 3.0),),
    group="http",
)
CONNECTIONS = Case(
    key="http-rejected-connections",
    title="connections for 1 000 rejected calls",
    what=(
        "Connections that the server of the cases above accepts during so many calls of a client whose "
        "circuit answers with status 503 have opened."
    ),
    unit="connections",
    rounds=3,
    targets=(Target("Holdfast", "exactly", 0.0),),
    group="http",
)
COMMANDS = Case(
    key="http-rejected-commands",
    title="Redis commands per rejected call, shared circuit",
    what=(
        "Commands that reach a private server (MONITOR) during 20 000 rejected calls of a client, 200 for "
        "blacksmith, divided by the calls. Each shares its circuit by its `AsyncRedisUnitOfWork` (*sync*: "
        "`SyncRedisUnitOfWork`). What Holdfast sends however many calls are made is kept out by a long "
        "interval; it is in `fleet-idle`."
    ),
    unit="commands",
    rounds=3,
    pinned=False,
    targets=(Target("Holdfast", "worst", 0.0), Target("Holdfast, sync", "worst", 0.0)),
    group="http",
)
CASES = (ASYNC, SYNC, CONNECTIONS, COMMANDS)


# -- time ------------------------------------------------------------------------------------------

Errors = tuple[type[BaseException], ...]


async def _awaits(call: Callable[..., Any], arguments: tuple[Any, ...], rejections: Errors) -> Prepared:
    """A subject whose calls, which fail, open its circuit first."""
    await clients.trip(lambda: call(*arguments), rejections)

    async def loop(count: int) -> None:
        again, given, reject = call, arguments, rejections
        for _ in range(count):
            try:
                await again(*given)
            except reject:
                continue
            raise AssertionError("a call was let through")

    return Prepared(loop)


async def _calls(call: Callable[..., Any], arguments: tuple[Any, ...], rejections: Errors) -> Prepared:
    await clients.trip(lambda: call(*arguments), rejections)

    def loop(count: int) -> None:
        again, given, reject = call, arguments, rejections
        for _ in range(count):
            try:
                again(*given)
            except reject:
                continue
            raise AssertionError("a call was let through")

    return Prepared(loop)


def down(*_: Any) -> Any:
    """An inner handle that fails."""
    raise ConnectionError("the server is down")


async def down_async(*_: Any) -> Any:
    """An inner handle that fails."""
    raise ConnectionError("the server is down")


def refuse(request: Any, client_name: str, path: str, timeout: Any) -> Any:
    raise RuntimeError("refused")


async def refuse_async(request: Any, client_name: str, path: str, timeout: Any) -> Any:
    raise RuntimeError("refused")


def _arguments(parts: tuple[Any, Any, Any]) -> tuple[Any, ...]:
    request, timeout, _ = parts
    return request, CLIENT, PATH, timeout


async def _client(made: Made, *, asynchronous: bool = True, observes: bool = True) -> Prepared:
    """A whole client whose server is not there; rejections are in its histogram, or not."""
    prepare = _awaits if asynchronous else _calls
    prepared = await prepare(made.client.items.get, ({"name": NAME},), made.rejections)
    before = made.observed()

    def verify(operations: int) -> None:
        observed = made.observed() - before
        expected = operations if observes else 0
        assert observed == expected, f"{observed} rejections observed, not {expected}"

    prepared.verify, prepared.close = verify, made.close
    return prepared


@ASYNC.subject("floor: raise and catch", *WHERE, floor=True)
async def _() -> Prepared:
    return await _awaits(refuse_async, _arguments(holdfast_parts()), (RuntimeError,))


@ASYNC.subject("Holdfast", *WHERE)
async def _() -> Prepared:
    from cqrs.http import AsyncCircuitBreakerMiddleware, OpenedState

    handle = AsyncCircuitBreakerMiddleware(FAILURES, OPEN_SECONDS)(down_async)
    return await _awaits(handle, _arguments(holdfast_parts()), (OpenedState,))


@ASYNC.subject("Holdfast, client", *WHERE)
async def _() -> Prepared:
    return await _client(await clients.holdfast(clients.closed_port()))


@ASYNC.subject("blacksmith", *WHERE)
async def _() -> Prepared:
    from blacksmith import AsyncCircuitBreakerMiddleware
    from purgatory.domain.model import OpenedState

    handle = AsyncCircuitBreakerMiddleware(FAILURES, OPEN_SECONDS)(down_async)  # type: ignore[arg-type]
    return await _awaits(handle, _arguments(blacksmith_parts()), (OpenedState,))


@ASYNC.subject("blacksmith, client", *WHERE)
async def _() -> Prepared:
    return await _client(await clients.blacksmith(clients.closed_port()), observes=False)


@ASYNC.subject("aiobreaker, around httpx2.AsyncClient", *WHERE)
async def _() -> Prepared:
    import httpx2
    from aiobreaker import CircuitBreakerError

    client = httpx2.AsyncClient()

    @clients.aiobreaker
    async def get(url: str) -> Any:
        return await client.get(url)

    prepared = await _awaits(get, (clients.url_of(clients.closed_port()),), (CircuitBreakerError,))
    prepared.close = client.aclose
    return prepared


@SYNC.subject("floor: raise and catch", *WHERE, floor=True)
async def _() -> Prepared:
    return await _calls(refuse, _arguments(holdfast_parts()), (RuntimeError,))


@SYNC.subject("Holdfast", *WHERE)
async def _() -> Prepared:
    from cqrs.http import OpenedState, SyncCircuitBreakerMiddleware

    handle = SyncCircuitBreakerMiddleware(FAILURES, OPEN_SECONDS)(down)
    return await _calls(handle, _arguments(holdfast_parts()), (OpenedState,))


@SYNC.subject("Holdfast, client", *WHERE)
async def _() -> Prepared:
    return await _client(clients.holdfast_sync(clients.closed_port()), asynchronous=False)


@SYNC.subject("blacksmith", *WHERE)
async def _() -> Prepared:
    from blacksmith import SyncCircuitBreakerMiddleware
    from purgatory.domain.model import OpenedState

    handle = SyncCircuitBreakerMiddleware(FAILURES, OPEN_SECONDS)(down)  # type: ignore[arg-type]
    return await _calls(handle, _arguments(blacksmith_parts()), (OpenedState,))


@SYNC.subject("blacksmith, client", *WHERE)
async def _() -> Prepared:
    return await _client(clients.blacksmith_sync(clients.closed_port()), asynchronous=False, observes=False)


@SYNC.subject("aiobreaker, around httpx2.Client", *WHERE)
async def _() -> Prepared:
    import httpx2
    from aiobreaker import CircuitBreakerError

    client = httpx2.Client()

    @clients.aiobreaker
    def get(url: str) -> Any:
        return client.get(url)

    prepared = await _calls(get, (clients.url_of(clients.closed_port()),), (CircuitBreakerError,))
    prepared.close = client.close
    return prepared


# -- what is sent ----------------------------------------------------------------------------------

Maker = Callable[..., Awaitable[Made]]
"""Given the URL of the server and what shares the circuit, makes a client."""


async def rejected(made: Made, count: int) -> None:
    """Make so many calls that must be rejected."""
    get = made.client.items.get
    for _ in range(count):
        try:
            await clients.wait_for(get({"name": NAME}))
        except made.rejections:
            continue
        raise AssertionError("a call was let through")


async def _holdfast_sync(root: str, *, uow: Any = None) -> Made:
    return clients.holdfast_sync(root, uow=uow)


def _connections(server: Server, make: Maker) -> Builder:
    async def build() -> Prepared:
        root = server.hold()
        try:
            made = await make(f"{root}/down")
            await clients.trip(lambda: made.client.items.get({"name": NAME}), made.rejections)
        except BaseException:
            server.release()
            raise
        calls = amount(1_000, 20)

        async def measure() -> float:
            before = server.accepted()
            await rejected(made, calls)
            return float(server.accepted() - before)

        async def close() -> None:
            if made.close is not None:
                await clients.wait_for(made.close())
            server.release()

        return Prepared(measure=measure, close=close)

    return build


def _commands(make: Maker, share: Callable[[str], Any], many: int) -> Builder:
    async def build() -> Prepared:
        exits = ExitStack()
        try:
            server = exits.enter_context(private_server())
            store = share(server.url)
            if (close_store := getattr(store, "close", None)) is not None:
                exits.callback(close_store)
            made = await make(clients.closed_port(), uow=store)
            await clients.trip(lambda: made.client.items.get({"name": NAME}), made.rejections)
        except BaseException:
            exits.close()
            raise
        calls = amount(many, 50)

        async def measure() -> float:
            await asyncio.sleep(amount(1.0, 0.2))  # what is said about the opening itself is over by then
            with server.commands() as counted:
                await rejected(made, calls)
                return float(counted.total() / calls)

        async def close() -> None:
            if made.close is not None:
                await clients.wait_for(made.close())
            exits.close()

        return Prepared(measure=measure, close=close)

    return build


def _shared(url: str) -> Any:
    from cqrs.http import AsyncRedisUnitOfWork

    return AsyncRedisUnitOfWork(url, sync_interval=60.0)


def _shared_sync(url: str) -> Any:
    from cqrs.http import SyncRedisUnitOfWork

    return SyncRedisUnitOfWork(url, sync_interval=60.0)


def _shared_purgatory(url: str) -> Any:
    from purgatory import AsyncRedisUnitOfWork

    return AsyncRedisUnitOfWork(url)


_server = Server()
CONNECTIONS.add("Holdfast", _connections(_server, clients.holdfast), WHERE)
CONNECTIONS.add("Holdfast, sync", _connections(_server, _holdfast_sync), WHERE)
CONNECTIONS.add("blacksmith", _connections(_server, clients.blacksmith), WHERE)
COMMANDS.add("Holdfast", _commands(clients.holdfast, _shared, 20_000), WHERE)
COMMANDS.add("Holdfast, sync", _commands(_holdfast_sync, _shared_sync, 20_000), WHERE)
COMMANDS.add("blacksmith", _commands(clients.blacksmith, _shared_purgatory, 200), WHERE)
