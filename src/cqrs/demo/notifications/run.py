"""A run from beginning to end: what is started, what runs beside the acts, the verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from importlib.util import find_spec
from pathlib import Path

from cqrs.demo.fleet.run import HEARTBEAT, short_folder
from cqrs.demo.fleet.server import PrivateServer, ServerMissingError
from cqrs.demo.notifications.acts import USERNAMES, Acts, Cast
from cqrs.demo.notifications.facts import Facts
from cqrs.demo.notifications.load import Callers
from cqrs.demo.notifications.metrics import read, watch
from cqrs.demo.notifications.output import Story
from cqrs.demo.notifications.plan import Plan
from cqrs.demo.notifications.sink import MailSink
from cqrs.demo.notifications.verdict import Result, judge

REFRESH = 0.1


class PackagesMissingError(Exception):
    """This machine lacks packages that the services need; the text tells how to get them."""


def check_packages(server: str) -> None:
    """Look for what the services need beside this package.

    Raises:
        PackagesMissingError: something is not installed.
    """
    wanted = {
        "fastapi": "holdfast[fastapi]",
        "prometheus_client": "holdfast[prometheus]",
        "httpx2" if find_spec("httpx") is None else "httpx": "holdfast[httpx2]",
        server: server,
        "uvicorn": "uvicorn",
        "aiosmtpd": "aiosmtpd",
    }
    missing = [package for module, package in wanted.items() if find_spec(module) is None]
    if missing:
        quoted = " ".join(f'"{package}"' if "[" in package else package for package in missing)
        raise PackagesMissingError(f"The services need more packages. Get them with: pip install {quoted}")


async def perform(plan: Plan, story: Story) -> Result:
    """Run the demo; whatever happens, no process and no file of it remains.

    Raises:
        PackagesMissingError: something is not installed.
        RuntimeError: a process cannot be started.
    """
    check_packages(plan.server)
    facts = Facts()
    with short_folder() as name:
        folder = Path(name)
        server = find_server(folder) if plan.processes > 1 else None
        cast = Cast(plan, facts, folder)
        async with AsyncExitStack() as stack:
            if server is not None:
                await stack.enter_async_context(server)
            facts.shared = server is not None
            sink = await stack.enter_async_context(MailSink(facts.delivered))
            stack.push_async_callback(cast.dismiss)
            await cast.assemble("" if server is None else server.url, sink.port)
            callers = Callers(facts, plan, [service.url for service in cast.notif], USERNAMES)
            stack.push_async_callback(callers.aclose)
            facts.begin()
            await _play(cast, callers, story)
        left = [service.pid for service in cast.services if service.running]
        if server is not None and server.running:
            left.append(server.pid)
    started = len(cast.services) + (server is not None)
    return Result(plan, facts, judge(facts, plan, started, left))


def find_server(folder: Path) -> PrivateServer | None:
    """Return a server that shares the circuit, to be started; ``None`` where there is none."""
    try:
        return PrivateServer(folder)
    except ServerMissingError:
        return None


async def _play(cast: Cast, callers: Callers, story: Story) -> None:
    facts, stop = cast.facts, asyncio.Event()
    story.start(facts, cast.plan)
    try:
        async with asyncio.TaskGroup() as group:
            helpers = [
                group.create_task(_repeat(story.refresh, REFRESH)),
                group.create_task(watch(facts, cast.notif)),
                group.create_task(_feel(facts)),
            ]
            load = group.create_task(callers.drive(stop))
            await Acts(cast, callers).play()
            stop.set()
            await load
            for helper in helpers:
                helper.cancel()
        for process, service in zip(facts.processes, cast.notif, strict=True):
            await read(facts, process, service)
    finally:
        story.refresh()


async def _repeat(step: Callable[[], None], interval: float) -> None:
    while True:
        step()
        await asyncio.sleep(interval)


async def _feel(facts: Facts) -> None:
    """Measure how late the event loop is."""
    while True:
        before = facts.now()
        await asyncio.sleep(HEARTBEAT)
        facts.note_lag(facts.now() - before - HEARTBEAT)
