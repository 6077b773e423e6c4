"""The table of situations: the fallback fails as well."""

from __future__ import annotations

import pytest

from tests.breakers import Rig
from tests.integration.fallbacks.kinds import World


class TestFallbackFails:
    async def test_its_error_has_the_primarys_as_its_cause(self, rig: Rig, world_of: type[World]) -> None:
        world = world_of(rig)
        world.primary.error = ConnectionError("refused")
        error = world.fallback.error = LookupError("not cached")
        with pytest.raises(LookupError) as caught:
            await world.send()
        assert caught.value is error
        assert caught.value.__cause__ is world.primary.error

    async def test_with_an_open_circuit_the_cause_is_the_rejection(
        self, guarded: Rig, world_of: type[World]
    ) -> None:
        world = world_of(guarded)
        await world.fail_until_open()
        world.fallback.error = LookupError("not cached")
        with pytest.raises(LookupError) as caught:
            await world.send()
        assert guarded.breaker is not None
        assert isinstance(caught.value.__cause__, Exception)
        assert guarded.breaker.is_circuit_breaker_error(caught.value.__cause__)

    async def test_a_fallback_that_cannot_be_built_has_the_primarys_error_as_its_cause(
        self, rig: Rig, world_of: type[World]
    ) -> None:
        world = world_of(rig)
        world.primary.error = ConnectionError("refused")
        error = world.fallback.resolution_error = RuntimeError("broken constructor")
        with pytest.raises(RuntimeError) as caught:
            await world.send()
        assert caught.value is error
        assert caught.value.__cause__ is world.primary.error

    async def test_the_next_of_a_chain_answers(self, rig: Rig, world_of: type[World]) -> None:
        world = world_of(rig, depth=2)
        world.primary.error = ConnectionError("refused")
        world.fallback.error = ConnectionError("refused too")
        world.fallback.items = 0
        assert await world.send() == "second"
        assert (world.primary.called, world.fallback.called, world.second.called) == (1, 1, 1)
        assert "fallback" not in " ".join(world.delivered)

    async def test_when_all_of_a_chain_fail_each_error_leads_to_the_one_before(
        self, rig: Rig, world_of: type[World]
    ) -> None:
        world = world_of(rig, depth=2)
        world.primary.error = ConnectionError("1")
        world.fallback.error = ConnectionError("2")
        world.second.error = LookupError("3")
        with pytest.raises(LookupError) as caught:
            await world.send()
        assert caught.value.__cause__ is world.fallback.error
        assert world.fallback.error.__cause__ is world.primary.error

    async def test_its_failures_do_not_count_for_the_primary(
        self, guarded: Rig, world_of: type[World]
    ) -> None:
        world = world_of(guarded)
        world.primary.items = 0
        await world.fail_until_open()
        world.fallback.error = LookupError("not cached")
        for _ in range(5):
            with pytest.raises(LookupError):
                await world.send()
        guarded.pass_open_time()
        assert await world.send() in ("primary", "nobody")
        assert world.primary.called == 1
