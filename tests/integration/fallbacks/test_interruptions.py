"""The table of situations: what is not an ``Exception`` is no failure."""

from __future__ import annotations

import asyncio

import pytest

from tests.breakers import Rig
from tests.integration.fallbacks.kinds import World

INTERRUPTIONS = [asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit]


class TestInterruptions:
    @pytest.mark.parametrize("error", INTERRUPTIONS)
    async def test_they_propagate_and_no_fallback_runs(
        self, rig: Rig, world_of: type[World], error: type[BaseException]
    ) -> None:
        world = world_of(rig)
        raised = world.primary.error = error()
        with pytest.raises(error) as caught:
            await world.send()
        assert caught.value is raised
        assert world.fallback.built == 0

    @pytest.mark.parametrize("error", INTERRUPTIONS)
    async def test_they_are_not_counted(
        self, guarded: Rig, world_of: type[World], error: type[BaseException]
    ) -> None:
        world = world_of(guarded)
        world.primary.error = error()
        for _ in range(guarded.threshold * 2):
            with pytest.raises(error):
                await world.send()
        assert not await guarded.rejects(world.primary_class)

    @pytest.mark.parametrize("error", INTERRUPTIONS)
    async def test_an_interrupted_probe_gives_its_permit_back(
        self, guarded: Rig, world_of: type[World], error: type[BaseException]
    ) -> None:
        world = world_of(guarded)
        await world.fail_until_open()
        guarded.pass_open_time()
        world.primary.error = error()
        for _ in range(guarded.threshold * 2):
            with pytest.raises(error):
                await world.send()
        world.primary.error = None
        assert await world.send() == "primary"

    async def test_a_cancelled_send_ends_the_primary_and_counts_as_nothing(
        self, guarded: Rig, world_of: type[World]
    ) -> None:
        world = world_of(guarded)
        for _ in range(guarded.threshold * 2):
            started = asyncio.Event()

            async def hang(started: asyncio.Event = started) -> None:
                started.set()
                await asyncio.Event().wait()

            world.primary.act = hang
            task = asyncio.create_task(world.send())
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert world.primary.closed == world.primary.called == guarded.threshold * 2
        assert world.fallback.built == 0
        assert not await guarded.rejects(world.primary_class)

    async def test_a_timeout_around_the_send_counts_as_nothing(
        self, guarded: Rig, world_of: type[World]
    ) -> None:
        world = world_of(guarded)

        async def hang() -> None:
            await asyncio.Event().wait()

        world.primary.act = hang
        for _ in range(guarded.threshold * 2):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await world.send()
        assert world.fallback.built == 0
        assert not await guarded.rejects(world.primary_class)
