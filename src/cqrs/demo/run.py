"""A run from beginning to end: the upstream's life, the load on both shops, the view, the verdict."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cqrs.demo.load import drive
from cqrs.demo.process import UpstreamProcess
from cqrs.demo.recorder import Recorder, Service
from cqrs.demo.schedule import Kind, Mode, Phase, Timing
from cqrs.demo.shop import Shop
from cqrs.demo.summary import recovered_after, summarise
from cqrs.demo.verdict import Result, judge, recovery_limit
from cqrs.demo.view import Scene, View

HEARTBEAT = 0.02


@dataclass(frozen=True)
class Options:
    """What a run may vary: its length, its load's seed, a fallback left out on purpose."""

    timing: Timing
    seed: int = 1
    without_fallback: Kind | None = None


async def perform(options: Options, view: View) -> Result:
    """Run the demo; whatever happens, no process and no file of it remains.

    Raises:
        RuntimeError: the upstream process cannot be started.
    """
    timing = options.timing
    upstream = UpstreamProcess(timing.slow_answers, options.seed)
    with TemporaryDirectory(prefix="holdfast-demo-") as folder:
        async with upstream, AsyncExitStack() as stack:
            recorder = Recorder()
            shops = tuple(
                [
                    await stack.enter_async_context(
                        Shop(service, recorder, timing, upstream.port, Path(folder), options.without_fallback)
                    )
                    for service in Service
                ]
            )
            await _play(options, timing, recorder, upstream, shops, view)
            books = {shop.service: shop.store.books() for shop in shops}
    summary = summarise(recorder, books, options.seed, upstream.started, upstream.orphans())
    return Result(recorder, summary, judge(summary, timing))


async def _play(
    options: Options,
    timing: Timing,
    recorder: Recorder,
    upstream: UpstreamProcess,
    shops: tuple[Shop, ...],
    view: View,
) -> None:
    stop = asyncio.Event()
    guarded = shops[0]
    view.start(Scene(recorder, timing, guarded.states))
    try:
        async with asyncio.TaskGroup() as group:
            helpers = [group.create_task(_watch(view)), group.create_task(_feel(recorder))]
            load = group.create_task(drive(shops, recorder, options.seed, stop))
            for phase in timing.phases():
                await _enter(phase, recorder, upstream)
                await asyncio.sleep(phase.seconds)
            await _await_recovery(timing, recorder)
            stop.set()
            await load
            for helper in helpers:
                helper.cancel()
        guarded.flush()
    finally:
        view.stop()


async def _enter(phase: Phase, recorder: Recorder, upstream: UpstreamProcess) -> None:
    if phase.mode is Mode.DEAD:
        await upstream.kill()
    else:
        if not upstream.alive:
            await upstream.start()
        await upstream.behave(phase.mode)
    recorder.enter(phase)


async def _await_recovery(timing: Timing, recorder: Recorder) -> None:
    """Give a busy machine the time that the guarantee grants, and no more."""
    back = recorder.entered[-1].at
    while recorder.now() - back < recovery_limit(timing, recorder.lag):
        if all(recovered_after(recorder, Service.WITH, kind) is not None for kind in Kind):
            return
        await asyncio.sleep(0.05)


async def _watch(view: View) -> None:
    while True:
        view.refresh()
        await asyncio.sleep(view.interval)


async def _feel(recorder: Recorder) -> None:
    """Measure how late the event loop is."""
    while True:
        before = recorder.now()
        await asyncio.sleep(HEARTBEAT)
        recorder.note_lag(recorder.now() - before - HEARTBEAT)
