"""What workers run: probes that are cancelled, and streams that are abandoned."""

from __future__ import annotations

import asyncio
import atexit
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import anyio

from cqrs.circuit_breaker import CircuitOpenError
from tests.integration.fleet.member import Member

Call = Callable[[], Awaitable[None]]


async def by_timeout(call: Call, begun: asyncio.Event) -> None:
    async def expire(deadline: asyncio.Timeout) -> None:
        await begun.wait()
        deadline.reschedule(asyncio.get_running_loop().time())

    async with asyncio.timeout(None) as deadline:
        expiring = asyncio.create_task(expire(deadline))
        await call()
        await expiring


async def by_task(call: Call, begun: asyncio.Event) -> None:
    task = asyncio.ensure_future(call())
    await begun.wait()
    task.cancel()
    await task


async def by_disconnect(call: Call, begun: asyncio.Event) -> None:
    """A server that serves a client until it hangs up."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        work = asyncio.ensure_future(call())
        await reader.read()  # the end of the input: the client has gone
        work.cancel()
        await asyncio.wait([work])
        writer.close()
        over.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        await begun.wait()
        writer.close()
        await writer.wait_closed()
        await over.wait()


async def by_scope(call: Call, begun: asyncio.Event) -> None:
    async def cancel(scope: anyio.CancelScope) -> None:
        await begun.wait()
        scope.cancel()

    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            group.start_soon(cancel, scope)
            await call()


async def by_sibling(call: Call, begun: asyncio.Event) -> None:
    async def fail() -> None:
        await begun.wait()
        raise LookupError("the sibling")

    async with asyncio.TaskGroup() as group:
        group.create_task(fail())
        group.create_task(call())  # type: ignore[arg-type]


WAYS = {"timeout": by_timeout, "task": by_task, "disconnect": by_disconnect, "scope": by_scope} | {
    "sibling": by_sibling
}


def cancel_a_probe(member: Member, name: str, way: str) -> dict[str, Any]:
    """Make an asynchronous call that hangs, and cancel it; tells what it was and the state afterwards."""

    async def run() -> dict[str, Any]:
        begun, circuit = asyncio.Event(), member.breakers[name]
        probed: list[bool] = []

        async def hang() -> None:
            probed.append(True)
            begun.set()
            await asyncio.Event().wait()

        async def call() -> None:
            try:
                await circuit.call(hang)
            except CircuitOpenError:
                begun.set()

        try:
            await WAYS[way](call, begun)
        except (TimeoutError, asyncio.CancelledError, ExceptionGroup):
            pass
        return {"begun": bool(probed), "state": circuit.state.value}

    return asyncio.run(run())


def cancel_while_asking(member: Member, name: str, after: float) -> str:
    """Cancel a call that waits for the store's leave to be a probe."""

    async def run() -> str:
        called: list[bool] = []

        async def act() -> None:
            called.append(True)

        try:
            async with asyncio.timeout(after):
                await member.breakers[name].call(act)
        except TimeoutError:
            return "called" if called else "cancelled"
        except CircuitOpenError as error:
            return f"rejected: {error.reason}"
        return "ok"

    return asyncio.run(run())


def begin_stream(member: Member, name: str, kind: str, items: int = 1) -> bool:
    """Begin a stream as a probe, read some items, and keep it; tells whether it was admitted."""

    def stream() -> Iterator[int]:
        yield from range(10)

    async def stream_async() -> AsyncIterator[int]:
        for number in range(10):
            yield number

    circuit, loop = member.breakers[name], asyncio.new_event_loop()
    kept: Any = circuit.call(stream if kind == "sync" else stream_async)
    try:
        for _ in range(items):
            next(kept) if kind == "sync" else loop.run_until_complete(anext(kept))
    except CircuitOpenError:
        loop.close()
        return False
    member.kept["stream"], member.kept["loop"] = kept, loop
    atexit.register(loop.close)
    return True


def abandon_stream(member: Member, cycle: bool = False) -> None:
    """Let go of it; in a cycle only the garbage collector finds it."""
    stream = member.kept.pop("stream")
    if cycle:
        ring: list[Any] = [stream]
        ring.append(ring)
        del ring
    del stream
    gc.collect()
    loop = member.kept.pop("loop")
    loop.run_until_complete(asyncio.sleep(0))  # where an asynchronous one is closed
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def let_go_of_the_store(member: Member) -> None:
    """Keep a permit and nothing else, as at the end of a ``main()`` whose locals have gone."""
    member.joined = False
    del member.breakers, member.store
    gc.collect()
