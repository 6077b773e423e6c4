"""The table of situations: streams."""

from __future__ import annotations

import pytest

from tests.breakers import Rig
from tests.integration.fallbacks.kinds import Ask, StreamWorld


class TestStreams:
    async def test_events_are_delivered_with_their_item_and_forgotten_once_per_item(self, rig: Rig) -> None:
        world = StreamWorld(rig)
        world.primary.items = 3
        stream = world.mediator.stream(Ask())
        for count in (1, 2, 3):
            await anext(stream)
            assert world.delivered == ["primary"] * count
            assert world.primary.cleared == count
        assert [item async for item in stream] == []
        assert world.delivered == ["primary"] * 3 + ["primary after its items"]
        assert world.primary.cleared == 3

    async def test_delivered_items_stay_and_the_fallback_streams_from_its_start(self, rig: Rig) -> None:
        world = StreamWorld(rig)
        world.primary.items, world.primary.error = 2, ConnectionError()
        world.fallback.items = 3
        assert await world.items() == ["primary"] * 2 + ["fallback"] * 3
        assert world.delivered[:5] == ["primary"] * 2 + ["fallback"] * 3

    async def test_the_option_raises_once_items_were_delivered(self, rig: Rig) -> None:
        world = StreamWorld(rig, after_items="raise")
        error = world.primary.error = ConnectionError()
        with pytest.raises(ConnectionError) as caught:
            await world.items()
        assert caught.value is error
        assert world.fallback.built == 0

    async def test_the_option_lets_the_fallback_answer_before_the_first_item(self, rig: Rig) -> None:
        world = StreamWorld(rig, after_items="raise")
        world.primary.items, world.primary.error = 0, ConnectionError()
        assert await world.items() == ["fallback"]

    @pytest.mark.parametrize("items", [0, 1], ids=["before items", "after items"])
    async def test_ten_failing_streams_reach_the_primary_as_often_as_the_threshold_says(
        self, guarded: Rig, items: int
    ) -> None:
        world = StreamWorld(guarded)
        world.primary.items, world.primary.error = items, ConnectionError()
        for _ in range(10):
            assert (await world.items())[-1] == "fallback"
        assert world.primary.called == guarded.threshold

    async def test_failures_count_also_with_the_option(self, guarded: Rig) -> None:
        world = StreamWorld(guarded, after_items="raise")
        world.primary.error = ConnectionError()
        for _ in range(10):
            try:
                await world.items()
            except Exception:
                continue
        assert world.primary.called == guarded.threshold

    async def test_a_completed_stream_closes_a_half_open_circuit(self, guarded: Rig) -> None:
        world = StreamWorld(guarded)
        await world.fail_until_open()
        guarded.pass_open_time()
        world.primary.items = 3
        assert await world.items() == ["primary"] * 3
        assert await world.items() == ["primary"] * 3

    async def test_a_stream_left_early_is_closed_at_once_and_is_no_failure(self, guarded: Rig) -> None:
        world = StreamWorld(guarded)
        world.primary.items = 3
        await world.fail_until_open()
        guarded.pass_open_time()
        for leave in range(1, guarded.threshold * 2 + 1):
            stream = world.mediator.stream(Ask())
            assert (await anext(stream)).by == "primary"
            await stream.aclose()
            assert world.primary.closed == leave
        assert await world.items() == ["primary"] * 3

    async def test_a_stream_that_is_never_started_takes_no_permit(self, guarded: Rig) -> None:
        world = StreamWorld(guarded)
        await world.fail_until_open()
        guarded.pass_open_time()
        for _ in range(3):
            stream = world.mediator.stream(Ask())
            await stream.aclose()
        assert world.primary.built == 0
        assert await world.items() == ["primary"]

    async def test_the_primarys_generator_is_closed_before_the_fallback_starts(self, rig: Rig) -> None:
        world = StreamWorld(rig)
        world.primary.error = ConnectionError()
        closed_before: list[int] = []

        async def note() -> None:
            closed_before.append(world.primary.closed)

        world.fallback.act = note
        await world.items()
        assert closed_before == [1]
        assert world.fallback.closed == 1

    async def test_an_error_of_the_consumer_closes_the_stream_and_is_no_failure(self, guarded: Rig) -> None:
        world = StreamWorld(guarded)
        world.primary.items = 3
        for _ in range(guarded.threshold * 2):
            stream = world.mediator.stream(Ask())
            with pytest.raises(ZeroDivisionError):
                try:
                    async for _ in stream:
                        raise ZeroDivisionError
                finally:
                    await stream.aclose()
        assert world.primary.closed == guarded.threshold * 2
        assert not await guarded.rejects(world.primary_class)
