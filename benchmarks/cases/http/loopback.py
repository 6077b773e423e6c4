"""Calls over real connections to a server on the same machine: how many a second, how many connections."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from harness.environments import HTTP
from harness.model import Builder, Case, Prepared, Target, settings

from cases.fleet.experiment import amount

from . import clients
from .clients import NAME, Made

WHERE = [HTTP]
PATIENCE = 30.0
"""Seconds that a bare client waits, as the others do: a busy machine is no reason to give up."""
_WHO = (
    "The server is another process (uvicorn with httptools and uvloop, an application that answers 27 bytes "
    "of JSON), on the cores that the client is not pinned to. The clients of Holdfast and blacksmith have "
    "breaker and Prometheus and make a model of the answer; the bare clients call `.json()`. Floor: one "
    "`httpx2.AsyncClient`, pooled. *Holdfast*: the pool that its factory makes; *over aiohttp*: "
    "`AsyncAiohttpTransport()`. *blacksmith*: the transport that its factory makes, certificates not "
    "verified; *verifying*: with `verify_certificate=True`, the default of the transport by itself, where "
    "each call loads the certificates of the authorities, for `http://` too."
)
_RATE = (
    "Calls that {} tasks of one event loop make one after the other for half a second, by the wall clock. "
)
_TARGETS = (
    Target("Holdfast", "share", 0.9),
    Target("Holdfast", "times", 2.5, against="blacksmith"),
    Target("Holdfast", "times", 20.0, against="blacksmith, verifying"),
    Target("Holdfast, over aiohttp", "times", 3.0, against="bare httpx"),
)
FEW = Case(
    key="http-loopback-5",
    title="calls to a server on the same machine, 5 at a time",
    what=_RATE.format(5) + _WHO,
    unit="calls/s",
    rounds=15,
    targets=_TARGETS,
    group="http",
)
MANY = Case(
    key="http-loopback-50",
    title="calls to a server on the same machine, 50 at a time",
    what=_RATE.format(50) + _WHO,
    unit="calls/s",
    rounds=15,
    targets=_TARGETS,
    group="http",
)
CPU = Case(
    key="http-loopback-cpu",
    title="processor time of a call to a server on the same machine",
    what="CPU time that the client's process spends for one of the calls above, 50 at a time.",
    rounds=15,
    group="http",
)
CONNECTIONS = Case(
    key="http-connections",
    title="connections for 1 000 calls one after the other",
    what="Connections that the same server accepts from a new client that makes so many calls.",
    unit="connections",
    rounds=3,
    targets=(
        Target("Holdfast", "exactly", 1.0),
        Target("Holdfast, over aiohttp", "exactly", 1.0),
        Target("Holdfast, sync", "exactly", 1.0),
    ),
    group="http",
)
CASES = (FEW, MANY, CPU, CONNECTIONS)

Maker = Callable[[str], Awaitable[tuple[Callable[[], Awaitable[Any]], Callable[[], Any]]]]
"""Given the URL of the server, makes a call that returns the answer, and what closes its client."""


class Server:
    """The server's process: started for the first who holds it, ended when the last lets go of it."""

    def __init__(self) -> None:
        self._holders = 0
        self._process: subprocess.Popen[str] | None = None
        self._port = 0

    def hold(self) -> str:
        """Start it, unless it runs; returns its URL.

        Raises:
            ImportError: uvicorn is not installed.
        """
        import uvicorn

        del uvicorn
        if self._process is None:
            command = [sys.executable, "-P", str(Path(__file__).with_name("server.py")), *_other_cores()]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
            )
            self._port = self._read()
        self._holders += 1
        return f"http://127.0.0.1:{self._port}"

    def accepted(self) -> int:
        """Connections that it has accepted so far."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._read()

    def release(self) -> None:
        """Let go of it."""
        self._holders -= 1
        if self._holders:
            return
        process, self._process = self._process, None
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def _read(self) -> int:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the server has not started, or is gone; standard error says why"
        return int(line)


def _other_cores() -> list[str]:
    """The cores that this process, where it is pinned, leaves to others."""
    if not hasattr(os, "sched_getaffinity"):
        return []
    others = set(range(os.cpu_count() or 1)) - os.sched_getaffinity(0)
    return [str(core) for core in sorted(others)]


# -- clients ---------------------------------------------------------------------------------------


async def _of(made: Made) -> tuple[Callable[[], Awaitable[Any]], Callable[[], Any]]:
    client = made.client

    async def call() -> Any:
        return (await client.items.get({"name": NAME})).unwrap()

    return call, made.close or (lambda: None)


async def holdfast(root: str) -> Any:
    return await _of(await clients.holdfast(root))


async def holdfast_aiohttp(root: str) -> Any:
    from cqrs.http.transports.aiohttp import AsyncAiohttpTransport

    return await _of(await clients.holdfast(root, AsyncAiohttpTransport()))


async def holdfast_sync(root: str) -> Any:
    made = clients.holdfast_sync(root)

    async def call() -> Any:
        return made.client.items.get({"name": NAME}).unwrap()

    return call, made.close


async def blacksmith(root: str) -> Any:
    return await _of(await clients.blacksmith(root))


async def blacksmith_verifying(root: str) -> Any:
    return await _of(await clients.blacksmith(root, verify=True))


async def httpx2(root: str) -> Any:
    import httpx2

    return _bare(httpx2.AsyncClient(timeout=PATIENCE), root)


async def httpx(root: str) -> Any:
    import httpx

    return _bare(httpx.AsyncClient(timeout=PATIENCE), root)


def _bare(client: Any, root: str) -> Any:
    url = clients.url_of(root)

    async def call() -> Any:
        return (await client.get(url)).json()

    return call, client.aclose


async def aiohttp(root: str) -> Any:
    import aiohttp

    session, url = aiohttp.ClientSession(), clients.url_of(root)

    async def call() -> Any:
        async with session.get(url) as response:
            return await response.json()

    return call, session.close


# -- calls a second --------------------------------------------------------------------------------


async def calls(call: Callable[[], Awaitable[Any]], tasks: int, seconds: float) -> int:
    """Have so many tasks make calls for so long, each at least one; returns how many were made."""
    done = 0
    end = time.perf_counter() + seconds

    async def run() -> None:
        nonlocal done
        while True:
            await call()
            done += 1
            if time.perf_counter() >= end:
                return

    await asyncio.gather(*(run() for _ in range(tasks)))
    return done


def _many(server: Server, make: Maker, tasks: int, *, cpu: bool = False) -> Builder:
    async def build() -> Prepared:
        root = server.hold()
        try:
            call, close_client = await make(root)
            clients.check(await call())
        except BaseException:
            server.release()
            raise
        await calls(call, tasks, settings.seconds)

        async def rate() -> float:
            began = time.perf_counter()
            done = await calls(call, tasks, settings.seconds * 25)
            return done / (time.perf_counter() - began)

        async def micros() -> float:
            began = time.process_time()
            done = await calls(call, tasks, settings.seconds * 25)
            return (time.process_time() - began) / done * 1e6

        async def close() -> None:
            await clients.wait_for(close_client())
            server.release()

        return Prepared(measure=micros if cpu else rate, close=close)

    return build


for _case, _tasks in ((FEW, 5), (MANY, 50), (CPU, 50)):
    _server = Server()
    for _label, _make in (
        ("floor: httpx2.AsyncClient", httpx2),
        ("Holdfast", holdfast),
        ("Holdfast, over aiohttp", holdfast_aiohttp),
        ("bare httpx", httpx),
        ("bare aiohttp", aiohttp),
        ("blacksmith", blacksmith),
        ("blacksmith, verifying", blacksmith_verifying),
    ):
        _built = _many(_server, _make, _tasks, cpu=_case is CPU)
        _case.add(_label, _built, WHERE, floor=_label.startswith("floor"))


# -- connections -----------------------------------------------------------------------------------


def _connections(server: Server, make: Maker) -> Builder:
    async def build() -> Prepared:
        root = server.hold()
        try:
            call, close_client = await make(root)  # see whether the library is there
            clients.check(await call())
        except BaseException:
            server.release()
            raise
        await clients.wait_for(close_client())

        async def measure() -> float:
            before = server.accepted()
            call, close_client = await make(root)
            for _ in range(amount(1_000, 20)):
                await call()
            accepted = server.accepted() - before
            await clients.wait_for(close_client())
            return float(accepted)

        return Prepared(measure=measure, close=server.release)

    return build


_server = Server()
for _label, _make in (
    ("Holdfast", holdfast),
    ("Holdfast, over aiohttp", holdfast_aiohttp),
    ("Holdfast, sync", holdfast_sync),
    ("bare httpx2", httpx2),
    ("bare aiohttp", aiohttp),
    ("blacksmith", blacksmith),
):
    CONNECTIONS.add(_label, _connections(_server, _make), WHERE)
