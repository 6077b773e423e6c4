"""The table of situations: the failure that opens the circuit, the open circuit, the probe."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.breakers import ExcludedByPredicate, ExcludedByType, Rig
from tests.integration.fallbacks.kinds import World

MakeRig = Callable[[str], Rig]


class TestOpeningFailure:
    async def test_an_error_outside_the_list_also_when_it_opens_the_circuit(
        self, guarded: Rig, world_of: type[World]
    ) -> None:
        world = world_of(guarded, (ConnectionError,))
        world.primary.items = 0
        error = world.primary.error = ValueError("not listed")
        for _ in range(guarded.threshold - 1):
            with pytest.raises(ValueError, match="not listed"):
                await world.send()
        if guarded.own_error_when_opening:
            with pytest.raises(ValueError, match="not listed") as caught:
                await world.send()
            assert caught.value is error
            assert world.fallback.built == 0
        else:
            # aiobreaker raises its rejection for the call that opens the circuit: that leads to the fallback.
            assert await world.send() == "fallback"
        assert world.primary.called == guarded.threshold
        assert await world.send() == "fallback", "the circuit is open now"
        assert world.primary.called == guarded.threshold

    async def test_the_primary_is_called_as_often_as_the_threshold_says(
        self, guarded: Rig, world_of: type[World]
    ) -> None:
        world = world_of(guarded)
        world.primary.items = 0
        world.primary.error = ConnectionError("refused")
        for _ in range(10):
            assert await world.send() == "fallback"
        assert world.primary.called == guarded.threshold
        assert world.primary.built == guarded.threshold
        assert world.fallback.called == 10


class TestOpenCircuit:
    @pytest.mark.parametrize("failures", [(), (KeyError,)], ids=["any", "listed"])
    async def test_the_primary_is_neither_built_nor_called(
        self, guarded: Rig, world_of: type[World], failures: tuple[type[Exception], ...]
    ) -> None:
        world = world_of(guarded, failures)
        await world.fail_until_open()
        assert await world.send() == "fallback"
        assert (world.primary.built, world.primary.called) == (0, 0)
        assert world.delivered[0] == "fallback"

    async def test_after_a_successful_probe_the_primary_answers_again(
        self, guarded: Rig, world_of: type[World]
    ) -> None:
        world = world_of(guarded)
        await world.fail_until_open()
        guarded.pass_open_time()
        assert [await world.send() for _ in range(3)] == ["primary"] * 3

    async def test_a_failed_probe_leads_to_the_fallback_and_opens_again(
        self, guarded: Rig, world_of: type[World]
    ) -> None:
        world = world_of(guarded)
        world.primary.items = 0
        world.primary.error = ConnectionError()
        await world.fail_until_open()
        guarded.pass_open_time()
        assert [await world.send() for _ in range(3)] == ["fallback"] * 3
        assert world.primary.called == 1

    @pytest.mark.parametrize("name", ["native-window", "native-consecutive", "interlock"])
    async def test_of_many_callers_one_probes_and_the_others_get_the_fallback(
        self, name: str, make_rig: MakeRig, world_of: type[World]
    ) -> None:
        rig = make_rig(name)
        world = world_of(rig)
        await world.fail_until_open()
        rig.pass_open_time()
        probing, everybody_asked = asyncio.Event(), asyncio.Event()

        async def wait() -> None:
            probing.set()
            await everybody_asked.wait()

        world.primary.act = wait
        probe = asyncio.create_task(world.send())
        await probing.wait()
        assert await asyncio.gather(*(world.send() for _ in range(50))) == ["fallback"] * 50
        assert world.primary.called == 1
        everybody_asked.set()
        assert await probe == "primary"
        assert await world.send() == "primary"


@pytest.mark.parametrize("error", [ExcludedByType(), ExcludedByPredicate()], ids=["type", "predicate"])
class TestExcludedError:
    async def test_it_is_not_counted_and_without_a_list_the_fallback_answers(
        self, guarded: Rig, world_of: type[World], error: Exception
    ) -> None:
        world = world_of(guarded)
        world.primary.error = error
        for _ in range(guarded.threshold * 2):
            assert await world.send() == "fallback"
        assert world.primary.called == guarded.threshold * 2

    async def test_it_is_not_counted_and_outside_the_list_it_is_raised(
        self, guarded: Rig, world_of: type[World], error: Exception
    ) -> None:
        world = world_of(guarded, (ConnectionError,))
        world.primary.error = error
        for _ in range(guarded.threshold * 2):
            with pytest.raises(type(error)) as caught:
                await world.send()
            assert caught.value is error
        assert world.fallback.built == 0
        assert not await guarded.rejects(world.primary_class)
