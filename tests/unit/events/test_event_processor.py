"""Processing events: order, follow-ups, bounds, errors, cancellation, re-entrance."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
from typing import Any

import pytest

import cqrs
from cqrs.container import BuiltinContainer
from cqrs.events import EventEmitter, EventMap, EventProcessor
from cqrs.exceptions import ConfigurationError, CqrsError, EventCycleError, EventHandlingErrors

log: list[Any] = []


@pytest.fixture(autouse=True)
def _clean() -> None:
    log.clear()
    Tracking.running = Tracking.peak = 0


class Happened:
    def __init__(self, number: int = 0) -> None:
        self.number = number


class FollowUp(Happened): ...


class Last(Happened): ...


class Log(cqrs.EventHandler[Happened]):
    async def handle(self, event: Happened) -> None:
        log.append((type(event).__name__, event.number))


class Tracking(cqrs.EventHandler[Happened]):
    running = 0
    peak = 0

    async def handle(self, event: Happened) -> None:
        cls = Tracking
        cls.running += 1
        cls.peak = max(cls.peak, cls.running)
        try:
            for _ in range(3):
                await asyncio.sleep(0)
            log.append(event.number)
        finally:
            cls.running -= 1


class Leading(cqrs.EventHandler[Happened]):
    """Leads from each event to the follow-ups that the test wants."""

    leads_to: dict[type, list[type[Happened]]] = {}

    def __init__(self) -> None:
        self.recorded: list[object] = []

    @property
    def events(self) -> list[object]:
        return self.recorded

    async def handle(self, event: Happened) -> None:
        log.append((type(event).__name__, event.number))
        self.recorded = [kind(event.number) for kind in self.leads_to.get(type(event), [])]


def processor(bindings: dict[type, Any], **options: Any) -> EventProcessor:
    events = EventMap(bindings)
    return EventProcessor(events, EventEmitter(events, BuiltinContainer()), **options)


MODES: list[dict[str, Any]] = [
    {"max_concurrent_event_handlers": 1},
    {"max_concurrent_event_handlers": 4},
    {"max_concurrent_event_handlers": 4, "concurrent_event_handle_enable": False},
]


@pytest.mark.parametrize("mode", [MODES[0], MODES[2]])
async def test_follow_ups_are_handled_breadth_first(mode: Any) -> None:
    class Leads(Leading):
        leads_to = {Happened: [FollowUp], FollowUp: [Last]}

    bindings = {Happened: [Leads], FollowUp: [Leads], Last: [Log]}
    await processor(bindings, **mode).emit_events([Happened(1), Happened(2)])
    assert log == [(name, number) for name in ("Happened", "FollowUp", "Last") for number in (1, 2)]


@pytest.mark.parametrize("mode", MODES)
async def test_all_events_and_follow_ups_are_handled_before_it_returns(mode: Any) -> None:
    class Leads(Leading):
        leads_to = {Happened: [FollowUp, Last, Last]}

    bindings = {Happened: [Leads, Log], FollowUp: [Log], Last: [Log]}
    await processor(bindings, **mode).emit_events(tuple(Happened(n) for n in range(20)))
    assert len(log) == 20 * 5


@pytest.mark.parametrize(("limit", "peak"), [(1, 1), (3, 3), (50, 10)])
async def test_no_more_events_than_allowed_are_handled_at_once(limit: int, peak: int) -> None:
    await processor({Happened: [Tracking]}, max_concurrent_event_handlers=limit).emit_events(
        [Happened(n) for n in range(10)]
    )
    assert Tracking.peak == peak
    assert sorted(log) == list(range(10))


async def test_follow_ups_keep_all_workers_busy() -> None:
    class Leads(Leading):
        leads_to = {Happened: [FollowUp] * 12}

    await processor({Happened: [Leads], FollowUp: [Tracking]}, max_concurrent_event_handlers=4).emit_events(
        [Happened(), Happened()]
    )
    assert Tracking.peak == 4
    assert len(log) == 2 + 2 * 12


@pytest.mark.parametrize("follow_ups", [False, True])
async def test_tasks_are_as_many_as_workers_and_cost_is_linear(follow_ups: bool) -> None:
    created = 0

    class Count(asyncio.Task[Any]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            nonlocal created
            created += 1
            super().__init__(*args, **kwargs)

    class Quick(cqrs.EventHandler[Happened]):
        async def handle(self, event: Happened) -> None:
            log.append(1)

    class Leads(cqrs.EventHandler[Happened]):
        count = 0

        @property
        def events(self) -> list[object]:
            return [FollowUp() for _ in range(self.count)]

        async def handle(self, event: Happened) -> None:
            Leads.count = event.number

    process = processor({Happened: [Leads], FollowUp: [Quick]}, max_concurrent_event_handlers=5)
    loop = asyncio.get_running_loop()
    loop.set_task_factory(lambda loop, coro, **kwargs: Count(coro, loop=loop, **kwargs))
    calls: list[int] = []

    def count_call(*_: object) -> None:
        calls[-1] += 1

    try:
        for count in (1_000, 10_000):
            log.clear()
            created = 0
            calls.append(0)
            events = [Happened(count)] if follow_ups else [FollowUp() for _ in range(count)]
            sys.setprofile(count_call)
            try:
                await process.emit_events(events)
            finally:
                sys.setprofile(None)
            assert len(log) == count
            assert created <= 5
    finally:
        loop.set_task_factory(None)
    few, many = calls
    assert few > 1_000
    assert many < 11 * few


@pytest.mark.parametrize("limit", [1, 4])
async def test_a_cycle_of_follow_ups_ends_with_an_error_that_names_it(limit: int) -> None:
    class Leads(Leading):
        leads_to = {Last: [Happened], Happened: [FollowUp], FollowUp: [Happened]}

    bindings = {Happened: [Leads], FollowUp: [Leads], Last: [Leads]}
    process = processor(bindings, max_concurrent_event_handlers=limit, max_event_depth=7)
    with pytest.raises(EventCycleError) as caught:
        await process.emit_events([Last()])
    assert "nest deeper than 7: FollowUp -> Happened -> FollowUp" in str(caught.value)
    assert caught.value.path[0] is Last
    assert len(log) == 8


async def test_a_chain_of_follow_ups_within_the_limit_is_no_cycle() -> None:
    class Leads(Leading):
        leads_to = {Happened: [FollowUp], FollowUp: [Last]}

    bindings = {Happened: [Leads], FollowUp: [Leads], Last: [Log]}
    await processor(bindings, max_event_depth=2).emit_events([Happened()])
    with pytest.raises(EventCycleError, match="Happened -> FollowUp -> Last"):
        await processor(bindings, max_event_depth=1).emit_events([Happened()])


class Odd(cqrs.EventHandler[Happened]):
    async def handle(self, event: Happened) -> None:
        if event.number % 2:
            raise ConnectionError(f"odd {event.number}")
        log.append(event.number)


class Also(cqrs.EventHandler[Happened]):
    async def handle(self, event: Happened) -> None:
        log.append(f"also {event.number}")


@pytest.mark.parametrize("mode", MODES)
async def test_raise_raises_the_first_error_itself_and_handles_nothing_after_it(mode: Any) -> None:
    with pytest.raises(ConnectionError, match="odd 1"):
        await processor({Happened: [Odd, Also]}, **mode).emit_events([Happened(n) for n in range(30)])
    assert "also 1" not in log
    assert len(log) <= 2 * 4
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("mode", MODES)
async def test_collect_handles_everything_then_raises_all_errors(mode: Any) -> None:
    with pytest.raises(EventHandlingErrors) as caught:
        await processor({Happened: [Odd, Also]}, event_errors="collect", **mode).emit_events(
            [Happened(n) for n in range(4)]
        )
    assert sorted(map(str, caught.value.exceptions)) == ["odd 1", "odd 3"]
    assert isinstance(caught.value, CqrsError)
    assert isinstance(caught.value, ExceptionGroup)
    assert sorted(map(str, log)) == ["0", "2", "also 0", "also 1", "also 2", "also 3"]
    assert isinstance(caught.value.subgroup(ConnectionError), EventHandlingErrors)


@pytest.mark.parametrize("mode", MODES)
async def test_log_handles_everything_and_logs_each_error(
    mode: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await processor({Happened: [Odd, Also]}, event_errors="log", **mode).emit_events(
        [Happened(n) for n in range(4)]
    )
    assert len(log) == 6
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [vars(record)["event_handler"] for record in errors] == ["Odd", "Odd"]
    assert all(record.exc_info for record in errors)


@pytest.mark.parametrize("event_errors", ["collect", "log"])
@pytest.mark.parametrize("limit", [1, 3])
async def test_a_failed_handlers_events_are_no_follow_ups(event_errors: Any, limit: int) -> None:
    class FailsAfterRecording(cqrs.EventHandler[Happened]):
        events = [Last()]  # type: ignore[assignment]  # simplest

        async def handle(self, event: Happened) -> None:
            raise ConnectionError

    bindings = {Happened: [FailsAfterRecording], Last: [Log]}
    process = processor(bindings, event_errors=event_errors, max_concurrent_event_handlers=limit)
    try:
        await process.emit_events([Happened(), Happened()])
    except EventHandlingErrors:
        assert event_errors == "collect"
    assert log == []


async def test_the_siblings_of_the_first_error_are_cancelled_and_awaited(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Slow(cqrs.EventHandler[Happened]):
        async def handle(self, event: Happened) -> None:
            if event.number == 0:
                await asyncio.sleep(0)
                raise ConnectionError("first")
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await asyncio.sleep(0)
                log.append(f"cleaned up {event.number}")
                if event.number == 1:
                    raise TimeoutError("during clean-up") from None
                raise

    process = processor({Happened: [Slow]}, max_concurrent_event_handlers=3)
    with pytest.raises(ConnectionError, match="first"):
        await process.emit_events([Happened(n) for n in range(5)])
    assert sorted(log) == ["cleaned up 1", "cleaned up 2"]
    assert "another one's error" in caplog.text


@pytest.mark.parametrize("limit", [1, 3])
@pytest.mark.parametrize("steps", range(10))
async def test_after_a_cancellation_nothing_is_handled(limit: int, steps: int) -> None:
    process = processor({Happened: [Tracking]}, max_concurrent_event_handlers=limit)
    task = asyncio.create_task(process.emit_events([Happened(n) for n in range(50)]))
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    handled = list(log)
    assert Tracking.running == 0
    for _ in range(20):
        await asyncio.sleep(0)
    assert handled == log
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("limit", [1, 3])
@pytest.mark.parametrize("interruption", [asyncio.CancelledError, KeyboardInterrupt, SystemExit])
async def test_an_interruption_of_a_handlers_own_accord_ends_everything(
    limit: int, interruption: Any
) -> None:
    class Interrupts(cqrs.EventHandler[Happened]):
        async def handle(self, event: Happened) -> None:
            if event.number == 1:
                raise interruption
            await asyncio.sleep(0)
            log.append(event.number)

    process = processor({Happened: [Interrupts]}, max_concurrent_event_handlers=limit, event_errors="log")
    with pytest.raises(interruption):
        await process.emit_events([Happened(n) for n in range(20)])
    assert len(log) <= 3
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("limit", [1, 2])
async def test_events_processed_inside_a_handler_never_deadlock(limit: int) -> None:
    class Nested(cqrs.EventHandler[Happened]):
        async def handle(self, event: Happened) -> None:
            if event.number > 0:
                await process.emit_events([Happened(event.number - 1), Happened(event.number - 1)])
            log.append(event.number)

    process = processor({Happened: [Nested]}, max_concurrent_event_handlers=limit)
    async with asyncio.timeout(30):
        await process.emit_events([Happened(4), Happened(4)])
    assert len(log) == 2 * 31


def test_one_processor_serves_several_event_loops() -> None:
    process = processor({Happened: [Tracking]}, max_concurrent_event_handlers=3)
    for _ in range(3):
        asyncio.run(process.emit_events([Happened(n) for n in range(10)]))
    assert len(log) == 30


async def test_parallel_handlers_see_the_callers_context() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    class Look(cqrs.EventHandler[Happened]):
        async def handle(self, event: Happened) -> None:
            log.append(variable.get())

    variable.set("caller's")
    await processor({Happened: [Look]}, max_concurrent_event_handlers=2).emit_events([Happened(), Happened()])
    assert log == ["caller's"] * 2


@pytest.mark.parametrize("limit", [1, 3])
async def test_an_emitter_of_the_users_own_is_asked_for_each_event(limit: int) -> None:
    class Own(EventEmitter):
        async def emit(self, event: Any) -> list[object]:
            log.append(event.number)
            if event.number == 3:
                raise ConnectionError("own")
            return [Happened(event.number + 10)] if event.number < 2 else []

    events = EventMap({Happened: [Log]})
    own = Own(events, BuiltinContainer())
    process = EventProcessor(events, own, limit, event_errors="log")
    await process.emit_events([Happened(n) for n in range(4)])
    assert sorted(log) == [0, 1, 2, 3, 10, 11]


async def test_without_an_emitter_events_are_dropped() -> None:
    await EventProcessor(EventMap()).emit_events([Happened()])


@pytest.mark.parametrize(
    "options",
    [
        {"max_concurrent_event_handlers": 0},
        {"max_concurrent_event_handlers": 1.5},
        {"max_concurrent_event_handlers": True},
        {"max_event_depth": 0},
        {"event_errors": "ignore"},
        {"event_emitter": object()},
    ],
)
def test_arguments_out_of_range_are_refused(options: Any) -> None:
    with pytest.raises(ConfigurationError):
        EventProcessor(EventMap(), **options)
    with pytest.raises(TypeError, match="event_map must be a map"):
        EventProcessor({})  # type: ignore[arg-type]
