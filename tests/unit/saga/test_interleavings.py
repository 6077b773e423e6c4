"""Struck at every suspension, failed by the storage at every call: what is durable stays true.

Whatever happens to the process that executes a saga, a recovery brings the saga to an end, in which

- no step acts again that is durably completed, and no compensation runs again that is;
- a saga that is ``completed`` has undone nothing, one that is ``failed`` has undone whatever has acted;
- nothing acts after something was undone.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from cqrs import EventHandler, EventMap, SagaMap, SagaMediator
from cqrs.exceptions import SagaConcurrencyError, SagaNotFoundError
from cqrs.middlewares import Middleware, MiddlewareChain
from cqrs.saga.recovery import SagaCompensatedError, recover_saga
from cqrs.saga.storage.enums import SagaStatus, SagaStepStatus
from cqrs.testing import FakeClock
from tests.unit.saga.faulty import FaultySagaStorage, StorageDown, When
from tests.unit.saga.shop import (
    Boom,
    Careful,
    Naps,
    Order,
    Steps,
    effects,
    fail,
    recoverable,
    transaction,
    wishes,
)
from tests.unit.saga.stepping import Stepped

KNOWN = (Boom, StorageDown, SagaConcurrencyError, SagaCompensatedError)


class Scenario:
    """One saga, from a clean table on.

    Args:
        wish: which effects fail, and until when the saga runs beforehand.
    """

    def __init__(self, wish: dict[str, Any], clock: FakeClock) -> None:
        effects.clear()
        wishes.clear()
        self.body_fails = wish.get("body", False)
        self.before = wish.get("before")
        wishes.update({name: fail() for name in wish.get("fails", ())})
        self.clock = clock
        self.storage = FaultySagaStorage(clock=clock)
        self.saga_id = uuid.uuid4()

    async def prepare(self) -> None:
        """Execute the saga until it is interrupted, if that is what the scenario begins with."""
        if self.before is not None:
            usual = wishes.get(self.before)
            wishes[self.before] = fail(KeyboardInterrupt())
            with contextlib.suppress(KeyboardInterrupt):
                await self.execute()
            if usual is None:
                del wishes[self.before]
            else:
                wishes[self.before] = usual
        self.storage.calls.clear()

    async def execute(self) -> None:
        """What is struck."""
        saga = transaction(
            self.storage, Careful, saga_id=self.saga_id, compensation_retry_count=2, clock=self.clock
        )
        async with saga:
            async for result in saga:
                await asyncio.sleep(0)
                if self.body_fails and result.response == "C":
                    raise AssertionError("a completed saga is not undone")
                if self.body_fails and result.response == "B":
                    raise Boom

    async def recover(self) -> None:
        """What another process does afterwards."""
        await recover_saga(
            Careful, self.saga_id, Order, Steps(), self.storage, 2, sleep=Naps(), clock=self.clock
        )

    async def done(self, action: str, status: SagaStepStatus = SagaStepStatus.COMPLETED) -> list[str]:
        """Return what is durable: ``["act A", ...]``."""
        word = "act" if action == "act" else "undo"
        return [
            f"{word} {line.step_name}"
            for line in await self.storage.get_step_history(self.saga_id)
            if line.action == action and line.status is status
        ]

    async def check_recovery(self, late: int = 0) -> None:
        """Recover the saga, and check what came of it; ``late`` effects had begun before it was overtaken."""
        self.storage.heal()
        for _ in range(30):
            await asyncio.sleep(0)
        durable = [*await self.done("act"), *await self.done("compensate")]
        position = len(effects)
        try:
            await self.recover()
        except SagaNotFoundError:
            assert not [effect for effect in effects if effect.startswith("act")]
            return
        except KNOWN:
            pass
        assert not set(durable) & set(effects[position:])
        await self.check_end(late)

    async def check_end(self, late: int = 0) -> None:
        """Check the state in which everything is over."""
        status, _, _ = await self.storage.load_saga_state(self.saga_id)
        acts = set(await self.done("act"))  # after commits of unknown outcome, the log may say it twice
        undone = [effect for effect in effects if effect.startswith("undo")]
        if status is SagaStatus.COMPLETED:
            assert undone == []
            assert len(acts) == 3
            return
        assert status is SagaStatus.FAILED
        ends = {*await self.done("compensate"), *await self.done("compensate", SagaStepStatus.FAILED)}
        assert ends == {act.replace("act", "undo") for act in acts}
        if undone:
            first = effects.index(undone[0])
            assert len([effect for effect in effects[first:] if effect.startswith("act")]) <= late


SCENARIOS: dict[str, dict[str, Any]] = {
    "all well": {},
    "a fallback acts": {"fails": ["act B"]},
    "a step fails": {"fails": ["act C"]},
    "the first step fails": {"fails": ["act A"]},
    "a step and its fallback fail": {"fails": ["act B", "act Spare"]},
    "a compensation fails too": {"fails": ["act C", "undo B"]},
    "the body fails": {"body": True},
    "a saga is resumed": {"before": "act B"},
    "a saga is resumed and fails": {"before": "act B", "fails": ["act C"]},
    "a compensation is resumed": {"before": "undo B", "fails": ["act C"]},
    "a failed saga is resumed": {"fails": ["act C", "undo A"]},
}
ALL = pytest.mark.parametrize("name", SCENARIOS)


@ALL
@pytest.mark.parametrize("kind", ["cancelled", "interrupted", "closed"])
async def test_struck_at_every_suspension(name: str, kind: str, clock: FakeClock) -> None:
    strikes: dict[str, Callable[[], BaseException | None]] = {
        "cancelled": asyncio.CancelledError,
        "interrupted": KeyboardInterrupt,
        "closed": lambda: None,
    }
    at = 0
    while True:
        scenario = Scenario(SCENARIOS[name], clock)
        await scenario.prepare()
        stepped = Stepped(scenario.execute(), at, strikes[kind]())
        with contextlib.suppress(asyncio.CancelledError, KeyboardInterrupt, *KNOWN):
            await stepped
        if not stepped.has_struck:
            break
        for _ in range(30):
            await asyncio.sleep(0)
        if scenario.saga_id.int in scenario.storage._table.unfinished:
            assert await recoverable(scenario.storage) == [scenario.saga_id]  # at once
        await scenario.check_recovery()
        at += 1
    assert at > 20


@ALL
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("times", [1, 2, 3, 4, 1000])
async def test_failed_by_the_storage_at_every_call(
    name: str, when: When, times: int, clock: FakeClock
) -> None:
    at = 0
    while True:
        scenario = Scenario(SCENARIOS[name], clock)
        await scenario.prepare()
        storage, first = scenario.storage, at
        storage.when = when
        storage.fails = lambda number, _, first=first: first <= number < first + times  # type: ignore[misc]
        with contextlib.suppress(*KNOWN):
            await scenario.execute()
        if len(storage.calls) <= at:
            break
        clock.advance(31)  # the lease could not be given back, maybe
        await scenario.check_recovery()
        at += 1
    assert at > 4


@ALL
async def test_overtaken_at_every_suspension(name: str, clock: FakeClock) -> None:
    """The process sleeps so long that another one takes over and comes to the end; then it wakes up."""
    at = 0
    while True:
        scenario = Scenario(SCENARIOS[name], clock)
        await scenario.prepare()
        durable: list[str] = []
        positions: list[int] = []

        async def overtake(
            scenario: Scenario = scenario, durable: list[str] = durable, seen: list[int] = positions
        ) -> None:
            clock.advance(31)
            with contextlib.suppress(SagaNotFoundError, *KNOWN):
                await scenario.recover()
            durable += [*await scenario.done("act"), *await scenario.done("compensate")]
            seen.append(len(effects))

        stepped = Stepped(scenario.execute(), at, overtake)
        with contextlib.suppress(*KNOWN):
            await stepped
        if not stepped.has_struck:
            break
        # What it had begun when it fell asleep goes on, but nothing else that is done already.
        assert len([effect for effect in effects[positions[0] :] if effect in durable]) <= 1
        await scenario.check_recovery(late=1)
        at += 1


@ALL
@pytest.mark.parametrize("seed", range(10))
async def test_three_recoverers_at_once(name: str, seed: int, clock: FakeClock) -> None:
    chance = random.Random(seed)
    scenario = Scenario({**SCENARIOS[name], "before": SCENARIOS[name].get("before", "act A")}, clock)
    await scenario.prepare()
    position = len(effects)

    async def recover() -> None:
        for _ in range(chance.randrange(12)):
            await asyncio.sleep(0)
        await scenario.recover()

    await asyncio.gather(*(recover() for _ in range(3)), return_exceptions=True)
    await scenario.check_end()
    acts = [effect for effect in effects[position:] if effect.startswith("act")]
    assert len(acts) == len(set(acts))


class Mediated(Scenario):
    """The same through a mediator, whose event handlers suspend, and fail as a step of their name would."""

    async def execute(self) -> None:
        async def process(event: str) -> None:
            await asyncio.sleep(0)
            if self.body_fails and event == "B acted":
                raise Boom

        class OnEvent(EventHandler[str]):
            async def handle(self, event: str) -> None:
                await process(event)

        events = EventMap()
        events.bind(str, OnEvent)
        mediator = SagaMediator(
            SagaMap({Order: Careful}),
            Steps(),
            event_map=events,
            middleware_chain=MiddlewareChain([Passing()]),
            storage=self.storage,
            compensation_retry_count=2,
            compensation_retry_delay=0,
        )
        async with contextlib.aclosing(mediator.stream(Order(), self.saga_id)) as results:  # type: ignore[type-var]
            async for _ in results:
                await asyncio.sleep(0)


class Passing(Middleware):
    async def __call__(self, request: Any, handle: Any) -> Any:
        return await handle(request)

    async def stream(self, request: Any, handle: Any) -> Any:
        async with contextlib.aclosing(handle(request)) as items:
            async for item in items:
                yield item


@ALL
async def test_cancelled_at_every_suspension_of_a_mediator(name: str, clock: FakeClock) -> None:
    at = 0
    while True:
        scenario = Mediated(SCENARIOS[name], clock)
        await scenario.prepare()
        stepped = Stepped(scenario.execute(), at, asyncio.CancelledError())
        with contextlib.suppress(asyncio.CancelledError, *KNOWN):
            await stepped
        if not stepped.has_struck:
            break
        for _ in range(30):
            await asyncio.sleep(0)
        if scenario.saga_id.int in scenario.storage._table.unfinished:
            assert await recoverable(scenario.storage) == [scenario.saga_id]
        await scenario.check_recovery()
        at += 1
    assert at > 20
