"""A run from beginning to end: what is started, what runs beside the acts, the verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from cqrs.demo.fleet.acts import Acts, Cast
from cqrs.demo.fleet.facts import Facts
from cqrs.demo.fleet.front import Front, drive
from cqrs.demo.fleet.plan import Plan
from cqrs.demo.fleet.server import PrivateServer
from cqrs.demo.fleet.verdict import FleetResult, judge
from cqrs.demo.fleet.view import FleetView
from cqrs.demo.fleet.witness import Witness
from cqrs.demo.process import UpstreamProcess

HEARTBEAT = 0.02
WITNESS_INTERVAL = 0.1
#: Names of unix sockets end at about 100 bytes.
LONGEST_FOLDER = 80


async def perform(plan: Plan, view: FleetView) -> FleetResult:
    """Run the demo; whatever happens, no process and no file of it remains.

    Raises:
        ServerMissingError: there is no Redis-protocol server on this machine, or no client for it.
        RuntimeError: a process cannot be started.
    """
    facts = Facts()
    with short_folder() as name:
        folder = Path(name)
        server = PrivateServer(folder)
        upstream = UpstreamProcess(plan.hanging, plan.seed)
        async with server, upstream, AsyncExitStack() as stack:
            witness = Witness(server.url, facts)
            stack.push_async_callback(witness.close)
            cast = Cast(plan, facts, folder, server, upstream, Front(facts), witness)
            stack.push_async_callback(cast.dismiss)
            await cast.assemble()
            facts.begin()
            await _play(cast, view)
        left = [*upstream.orphans(), *(m.process.pid for m in cast.hired if m.running)]
        if server.running:
            left.append(server.pid)
    started = upstream.started + len(cast.hired) + len(server.pids)
    return FleetResult(plan, facts, judge(facts, plan, started, left))


async def _play(cast: Cast, view: FleetView) -> None:
    facts, stop = cast.facts, asyncio.Event()
    view.start(facts, cast.plan)
    try:
        async with asyncio.TaskGroup() as group:
            helpers = [
                group.create_task(_repeat(view.refresh, view.interval)),
                group.create_task(_attend(cast.witness)),
                group.create_task(_feel(facts)),
            ]
            load = group.create_task(drive(cast.front, facts, cast.plan.rate, cast.plan.seed, stop))
            await Acts(cast).play()
            stop.set()
            await load
            for helper in helpers:
                helper.cancel()
        await cast.witness.read()
    finally:
        view.stop()


async def _repeat(step: Callable[[], None], interval: float) -> None:
    while True:
        step()
        await asyncio.sleep(interval)


async def _attend(witness: Witness) -> None:
    task = asyncio.current_task()
    assert task is not None
    # A client that is cancelled while it connects may tell an error of its own instead.
    while not task.cancelling():
        await witness.read()
        await asyncio.sleep(WITNESS_INTERVAL)


async def _feel(facts: Facts) -> None:
    """Measure how late the event loop is."""
    while True:
        before = facts.now()
        await asyncio.sleep(HEARTBEAT)
        facts.note_lag(facts.now() - before - HEARTBEAT)


def short_folder() -> TemporaryDirectory[str]:
    """Return a new folder in which a unix socket can be."""
    folder = TemporaryDirectory(prefix="holdfast-")
    if len(folder.name) <= LONGEST_FOLDER:
        return folder
    folder.cleanup()
    return TemporaryDirectory(prefix="holdfast-", dir="/tmp")
