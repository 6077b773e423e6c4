"""The table of situations: the primary answers, fails, or cannot be built."""

from __future__ import annotations

import pytest

import cqrs
from cqrs.exceptions import ResolutionError
from tests.breakers import Rig
from tests.integration.fallbacks.kinds import World


class TestPrimaryAnswers:
    async def test_the_fallback_is_not_even_built(self, rig: Rig, world_of: type[World]) -> None:
        world = world_of(rig)
        assert await world.send() == "primary"
        assert (world.primary.called, world.fallback.built) == (1, 0)
        assert world.delivered[0] == "primary"

    async def test_a_fallback_that_cannot_be_built_disturbs_nobody(
        self, rig: Rig, world_of: type[World]
    ) -> None:
        world = world_of(rig)
        world.fallback.resolution_error = RuntimeError("broken constructor")
        assert await world.send() == "primary"


class TestPrimaryFails:
    @pytest.mark.parametrize(
        "error", [ConnectionError("refused"), KeyError("x"), cqrs.CircuitOpenError("other")]
    )
    async def test_any_exception_leads_to_the_fallback(
        self, rig: Rig, world_of: type[World], error: Exception
    ) -> None:
        world = world_of(rig)
        world.primary.error = error
        assert await world.send() == "fallback"
        assert (world.primary.called, world.fallback.called) == (1, 1)

    async def test_a_listed_exception_leads_to_the_fallback(self, rig: Rig, world_of: type[World]) -> None:
        world = world_of(rig, (OSError, KeyError))
        world.primary.error = ConnectionError("a subclass of OSError")
        assert await world.send() == "fallback"

    async def test_another_exception_is_raised_as_it_is_and_no_fallback_is_built(
        self, rig: Rig, world_of: type[World]
    ) -> None:
        world = world_of(rig, (ConnectionError, TimeoutError))
        error = world.primary.error = ValueError("not listed")
        with pytest.raises(ValueError, match="not listed") as caught:
            await world.send()
        assert caught.value is error
        assert world.fallback.built == 0
        assert error.__cause__ is None

    async def test_a_primary_that_cannot_be_constructed_fails(self, rig: Rig, world_of: type[World]) -> None:
        world = world_of(rig)
        world.primary.resolution_error = ConnectionError("its pool is away")
        assert await world.send() == "fallback"
        assert world.primary.called == 0

    async def test_events_of_a_failed_primary_are_dropped(self, rig: Rig, world_of: type[World]) -> None:
        world = world_of(rig)
        world.primary.error = ConnectionError()
        world.primary.items = 0
        await world.send()
        assert "primary" not in " ".join(world.delivered)
        assert world.delivered[0] == "fallback"

    async def test_nothing_is_delivered_when_the_error_is_raised(
        self, rig: Rig, world_of: type[World]
    ) -> None:
        world = world_of(rig, (TimeoutError,))
        world.primary.error = ConnectionError()
        world.primary.items = 0
        with pytest.raises(ConnectionError):
            await world.send()
        assert world.delivered == []

    async def test_events_of_a_failed_call_are_not_delivered_by_a_later_one_of_the_same_handler(
        self, rig: Rig, world_of: type[World]
    ) -> None:
        world = world_of(rig, (TimeoutError,))
        world.container.keeps_instances = True
        world.primary.items = 0
        world.primary.error = ConnectionError()
        with pytest.raises(ConnectionError):
            await world.send()
        world.primary.error = None
        world.primary.items = 1
        await world.send()
        assert world.delivered.count("primary") == 1
        assert world.delivered.count("primary after its items") <= 1

    async def test_events_of_a_failed_fallback_are_not_delivered_by_a_later_call_either(
        self, rig: Rig, world_of: type[World]
    ) -> None:
        world = world_of(rig)
        world.container.keeps_instances = True
        world.primary.items = world.fallback.items = 0
        world.primary.error = ConnectionError()
        world.fallback.error = LookupError()
        with pytest.raises(LookupError):
            await world.send()
        world.fallback.error = None
        world.fallback.items = 1
        await world.send()
        assert world.delivered.count("fallback") == 1
        assert world.delivered.count("fallback after its items") <= 1


class TestMisconfiguration:
    async def test_of_the_primary_is_raised_and_neither_counted_nor_answered_by_a_fallback(
        self, rig: Rig, world_of: type[World]
    ) -> None:
        world = world_of(rig)
        error = world.primary.resolution_error = ResolutionError("not registered")
        for _ in range(rig.threshold * 2):
            with pytest.raises(ResolutionError) as caught:
                await world.send()
            assert caught.value is error
        assert world.fallback.built == 0
        world.primary.resolution_error = None
        assert await world.send() == "primary"

    async def test_of_the_fallback_is_raised_with_the_primarys_error_as_its_cause(
        self, rig: Rig, world_of: type[World]
    ) -> None:
        world = world_of(rig, depth=2)
        world.primary.error = ConnectionError("refused")
        error = world.fallback.resolution_error = ResolutionError("not registered")
        with pytest.raises(ResolutionError) as caught:
            await world.send()
        assert caught.value is error
        assert caught.value.__cause__ is world.primary.error
        assert world.second.built == 0
