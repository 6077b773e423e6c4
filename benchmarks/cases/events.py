"""Events: one event to ten handlers, and very many events at once."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.environments import CQRS_4, CQRS_5, HOLDFAST
from harness.model import Builder, Case, Prepared, Target, Unavailable, settings

from .mediator import CQRS, PEERS, built_in_container, one_method_container

HANDLERS = 10
WORKERS = 10
"""`max_concurrent_event_handlers` of the parallel cases."""

SEQUENTIAL = Case(
    key="events-sequential",
    title="one event, 10 handlers, sequential",
    what=(
        "`await EventProcessor(...).emit_events([event])` in sequential mode: one domain event, ten "
        "handlers that return at once and have no follow-ups; what a mediator does after a request with one "
        "event. Also `EventEmitter.emit` and `EventMediator.send`. Floor: `for Handler in ten: await "
        "Handler().handle(event)`."
    ),
    targets=(Target("Holdfast", "ratio", 1.5),),
    shown_peers=("python-cqrs 4.10", "python-cqrs 5.3"),
    cannot="diator has no sequential event processor that can be called alone.",
)
PARALLEL = Case(
    key="events-parallel",
    title="very many events, parallel mode, per event",
    what=(
        "`emit_events(events)` with 5 000, 10 000 and 20 000 events in parallel mode, "
        f"`max_concurrent_event_handlers={WORKERS}`, one handler that awaits `asyncio.sleep(0)` once. Floor: "
        "the same 20 000 handlers one after the other by hand. The peers' time grows with the square of the "
        "events, so they get fewer samples (3, 2 and 1)."
    ),
    rounds=9,
    targets=(
        Target("Holdfast, 20 000 events", "growth", 1.25, against="Holdfast, 5 000 events"),
        Target("Holdfast, 20 000 events", "growth", 1.25, against="Holdfast, 10 000 events"),
    ),
    cannot="diator has no parallel mode.",
)
TASKS = Case(
    key="events-tasks",
    title="tasks alive at once, 20 000 events in parallel mode",
    what=(
        "The most asyncio tasks alive at the same moment during the run above (the caller's not counted), "
        "and a check that each event was handled exactly once. 5 000 events for the peers, whose time grows "
        "with the square."
    ),
    unit="tasks",
    rounds=1,
    targets=(Target("Holdfast", "value", float(WORKERS)),),
)
CASES = (SEQUENTIAL, PARALLEL, TASKS)


class _Setup:
    """One event type with fresh handler classes, for whichever library is imported as ``cqrs``."""

    def __init__(self, handlers: int, *, switching: bool = False, counting: bool = False) -> None:
        import cqrs

        class Happened(cqrs.DCDomainEvent):
            number: int

        # python-cqrs 5.3 makes a subclass a dataclass by itself and refuses to do it twice.
        if "__dataclass_fields__" not in vars(Happened):
            Happened = dataclass(frozen=True)(Happened)  # type: ignore[misc]
        self.event_type = Happened
        self.event = Happened(number=1)
        self.handled: list[int] = []
        self.handlers = [self._handler(switching, counting) for _ in range(handlers)]
        self.event_map = cqrs.EventMap()
        for handler in self.handlers:
            self.event_map.bind(Happened, handler)

    def _handler(self, switching: bool, counting: bool) -> type[Any]:
        import cqrs

        handled = self.handled

        if counting:

            class Counting(cqrs.EventHandler[self.event_type]):  # type: ignore[name-defined]
                async def handle(self, event: Any) -> None:
                    handled.append(event.number)
                    await asyncio.sleep(0)

            return Counting
        if switching:

            class Switching(cqrs.EventHandler[self.event_type]):  # type: ignore[name-defined]
                async def handle(self, event: Any) -> None:
                    await asyncio.sleep(0)

            return Switching

        class Idle(cqrs.EventHandler[self.event_type]):  # type: ignore[name-defined]
            async def handle(self, event: Any) -> None:
                return None

        return Idle

    def emitter(self, container: Any) -> Any:
        import cqrs

        return cqrs.EventEmitter(event_map=self.event_map, container=container)

    def processor(self, container: Any, *, workers: int = 1) -> Any:
        from cqrs.events.event_processor import EventProcessor

        return EventProcessor(
            event_map=self.event_map,
            event_emitter=self.emitter(container),
            max_concurrent_event_handlers=workers,
            concurrent_event_handle_enable=workers > 1,
        )

    def mediator(self, container: Any) -> Any:
        import cqrs

        return cqrs.EventMediator(event_map=self.event_map, container=container)


# -- sequential ------------------------------------------------------------------------------------


@SEQUENTIAL.subject("floor: for Handler in ten: await Handler().handle(event)", *CQRS, floor=True)
def _by_hand() -> Prepared:
    setup = _Setup(HANDLERS)

    async def loop(count: int) -> None:
        event, handlers = setup.event, setup.handlers
        for _ in range(count):
            for handler in handlers:
                await handler().handle(event)

    return Prepared(loop)


async def _process(setup: _Setup, container: Any) -> Callable[[int], Any]:
    processor = setup.processor(container)

    async def loop(count: int) -> None:
        event = setup.event
        for _ in range(count):
            await processor.emit_events([event])

    return loop


async def _emit(setup: _Setup, container: Any) -> Callable[[int], Any]:
    emitter = setup.emitter(container)

    async def loop(count: int) -> None:
        event = setup.event
        for _ in range(count):
            await emitter.emit(event)

    return loop


async def _send(setup: _Setup, container: Any) -> Callable[[int], Any]:
    mediator = setup.mediator(container)

    async def loop(count: int) -> None:
        event = setup.event
        for _ in range(count):
            await mediator.send(event)

    return loop


def _sequential(way: Callable[[_Setup, Any], Any], make_container: Callable[[], Any]) -> Builder:
    async def build() -> Prepared:
        checked = _Setup(HANDLERS, counting=True)
        await (await way(checked, make_container()))(3)
        assert checked.handled == [1] * 3 * HANDLERS, f"{len(checked.handled)} handlers ran for 3 events"
        return Prepared(await way(_Setup(HANDLERS), make_container()))

    return build


# -- parallel --------------------------------------------------------------------------------------


def _parallel(amount: int, make_container: Callable[[], Any], samples: int | None = None) -> Builder:
    async def build() -> Prepared:
        if samples is not None and amount > 5_000 and settings.seconds < 0.02:
            raise Unavailable("takes too long for a quick run")
        setup = _Setup(1, switching=True)
        events = [setup.event_type(number=number) for number in range(amount)]

        async def run() -> float:
            processor = setup.processor(make_container(), workers=WORKERS)
            gc.collect()
            began = time.process_time()
            await processor.emit_events(events)
            return (time.process_time() - began) / amount * 1e6

        return Prepared(measure=lambda: asyncio.run(run()), samples=samples)

    return build


@PARALLEL.subject("floor: 20 000 handlers, one after the other", *CQRS, floor=True)
def _many_by_hand() -> Prepared:
    setup = _Setup(1, switching=True)
    handler, amount = setup.handlers[0], 20_000

    async def run() -> float:
        began = time.process_time()
        for _ in range(amount):
            await handler().handle(setup.event)
        return (time.process_time() - began) / amount * 1e6

    return Prepared(measure=lambda: asyncio.run(run()))


def _counted(amount: int, make_container: Callable[[], Any]) -> Builder:
    def measure() -> float:
        setup = _Setup(1, counting=True)
        alive, most = 0, 0

        def ended(_: object) -> None:
            nonlocal alive
            alive -= 1

        def factory(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
            nonlocal alive, most
            task = asyncio.Task(work, loop=loop, **options)
            alive += 1
            most = max(most, alive)
            task.add_done_callback(ended)
            return task

        async def run() -> None:
            processor = setup.processor(make_container(), workers=WORKERS)
            asyncio.get_running_loop().set_task_factory(factory)
            await processor.emit_events([setup.event_type(number=number) for number in range(amount)])
            asyncio.get_running_loop().set_task_factory(None)

        asyncio.run(run())
        assert sorted(setup.handled) == list(range(amount)), f"{len(setup.handled)} of {amount} handled"
        return float(most)

    return lambda: Prepared(measure=measure)


SEQUENTIAL.add("Holdfast", _sequential(_process, built_in_container), [HOLDFAST])
SEQUENTIAL.add("Holdfast, one-method container", _sequential(_process, one_method_container), [HOLDFAST])
SEQUENTIAL.add("Holdfast, `EventEmitter.emit`", _sequential(_emit, built_in_container), [HOLDFAST])
SEQUENTIAL.add("Holdfast, `EventMediator.send`", _sequential(_send, built_in_container), [HOLDFAST])
TASKS.add("Holdfast", _counted(20_000, built_in_container), [HOLDFAST])
for _amount, _samples in ((5_000, 3), (10_000, 2), (20_000, 1)):
    _label = f"{_amount:,} events".replace(",", " ")
    PARALLEL.add(f"Holdfast, {_label}", _parallel(_amount, built_in_container), [HOLDFAST])
    for _environment in (CQRS_4, CQRS_5):
        PARALLEL.add(
            f"{PEERS[_environment]}, {_label}",
            _parallel(_amount, one_method_container, _samples),
            [_environment],
        )
for _environment in (CQRS_4, CQRS_5):
    _peer = PEERS[_environment]
    SEQUENTIAL.add(_peer, _sequential(_process, one_method_container), [_environment])
    SEQUENTIAL.add(f"{_peer}, `EventEmitter.emit`", _sequential(_emit, one_method_container), [_environment])
    SEQUENTIAL.add(f"{_peer}, `EventMediator.send`", _sequential(_send, one_method_container), [_environment])
    TASKS.add(_peer, _counted(5_000, one_method_container), [_environment])
