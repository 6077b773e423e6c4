"""The table of situations: what happens to a message with a fallback, by kind of message and breaker."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import cqrs
from cqrs.exceptions import ResolutionError
from tests.breakers import ExcludedByPredicate, ExcludedByType, Rig
from tests.integration.fallbacks.kinds import (
    Ask,
    EventWorld,
    LinkWorld,
    RequestWorld,
    StreamWorld,
    Told,
    World,
)

INTERRUPTIONS = [asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit]


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


class Passing:
    """A middleware that counts."""

    def __init__(self) -> None:
        self.runs = 0

    async def __call__(self, request: Any, handle: Any) -> Any:
        self.runs += 1
        return await handle(request)


class Refusing(Passing):
    """An authorisation that says no."""

    async def __call__(self, request: Any, handle: Any) -> Any:
        self.runs += 1
        raise PermissionError("not you")


class TestMiddleware:
    @pytest.mark.parametrize("world_of", [RequestWorld, LinkWorld, StreamWorld])
    async def test_its_error_is_raised_and_neither_counted_nor_answered_by_a_fallback(
        self, guarded: Rig, world_of: type[World]
    ) -> None:
        refusing = Refusing()
        world = world_of(guarded, middlewares=[refusing])
        for _ in range(guarded.threshold * 2):
            with pytest.raises(PermissionError):
                await world.send()
        assert refusing.runs == guarded.threshold * 2
        assert (world.primary.built, world.fallback.built) == (0, 0)
        assert not await guarded.rejects(world.primary_class)

    @pytest.mark.parametrize("world_of", [RequestWorld, LinkWorld, StreamWorld])
    async def test_it_runs_once_when_a_fallback_answers(self, rig: Rig, world_of: type[World]) -> None:
        passing = Passing()
        world = world_of(rig, middlewares=[passing], depth=2)
        world.primary.error = ConnectionError()
        world.fallback.error = ConnectionError()
        assert await world.send() == "second"
        assert passing.runs == 1

    async def test_around_an_event_it_is_no_failure_either(self, guarded: Rig) -> None:
        world = EventWorld(guarded)
        refusing = Refusing()
        for _ in range(guarded.threshold * 2):
            with pytest.raises(PermissionError):
                await world.event_mediator(refusing).send(Told())
        assert refusing.runs == guarded.threshold * 2
        assert (world.primary.built, world.fallback.built) == (0, 0)
        assert not await guarded.rejects(world.primary_class)

    async def test_around_an_event_it_runs_once_when_a_fallback_answers(self, rig: Rig) -> None:
        world = EventWorld(rig)
        passing = Passing()
        world.primary.error = ConnectionError()
        await world.event_mediator(passing).send(Told())
        assert (world.fallback.called, passing.runs) == (1, 1)


class TestFollowUps:
    async def test_a_failing_follow_up_does_not_make_the_primary_fail(
        self, guarded: Rig, world_of: type[World]
    ) -> None:
        world = world_of(guarded)
        world.follow_up_error = RuntimeError("follow-up")
        for _ in range(guarded.threshold * 2):
            with pytest.raises(RuntimeError, match="follow-up"):
                await world.send()
        assert world.fallback.built == 0
        assert not await guarded.rejects(world.primary_class)


class TestStreams:
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
