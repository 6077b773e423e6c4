"""A saga whose steps note what they do, and do what a test wants; shared by the tests of this directory."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import uuid
from collections.abc import Callable
from typing import Any

from cqrs.saga.fallback import Fallback
from cqrs.saga.models import SagaContext, SagaStepResult
from cqrs.saga.saga import Saga
from cqrs.saga.step import SagaStepHandler, current_step
from cqrs.saga.storage.enums import SagaStatus
from cqrs.saga.storage.protocol import ISagaStorage

effects: list[str] = []
"""What steps did: ``"act A"``, ``"undo A"``; cleared before each test."""

wishes: dict[str, Callable[[Any], Any]] = {}
"""What a test wants to happen, after the effect of that name: a function of the context; cleared likewise."""


@dataclasses.dataclass
class Order(SagaContext):
    order_id: str = "o-1"
    done: list[str] = dataclasses.field(default_factory=list)
    extra: Any = None


async def _wish(name: str, context: Any) -> Any:
    wish = wishes.get(name)
    result = None if wish is None else wish(context)
    return await result if inspect.isawaitable(result) else result


class Step(SagaStepHandler[Order, str]):
    def __init__(self) -> None:
        self.recorded: list[object] = []

    @property
    def events(self) -> list[object]:
        return self.recorded

    async def act(self, context: Order) -> SagaStepResult[Order, str]:
        name = type(self).__name__
        await asyncio.sleep(0)
        context.done.append(name)
        effects.append(f"act {name}")
        self.recorded.append(f"{name} acted")
        await asyncio.sleep(0)
        replaced = await _wish(f"act {name}", context)
        return self._generate_step_result(name) if replaced is None else replaced

    async def compensate(self, context: Order) -> None:
        name = type(self).__name__
        await asyncio.sleep(0)
        effects.append(f"undo {name}")
        await asyncio.sleep(0)
        await _wish(f"undo {name}", context)


class A(Step):
    pass


class B(Step):
    pass


class C(Step):
    pass


class Spare(Step):
    pass


class Shop(Saga[Order]):
    steps = [A, B, C]


class Careful(Saga[Order]):
    steps = [A, Fallback(B, Spare), C]


class Steps:
    """A container that builds every class without arguments, and remembers what it built."""

    def __init__(self) -> None:
        self.built: list[Any] = []

    async def resolve(self, type_: type[Any]) -> Any:
        self.built.append(type_())
        return self.built[-1]


class Boom(Exception):
    pass


class Naps:
    """A ``sleep`` that only notes for how long."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


def fail(error: BaseException | None = None) -> Callable[[Any], None]:
    """Return a wish to raise."""

    def raise_(_: Any) -> None:
        raise error if error is not None else Boom("wished for")

    return raise_


def transaction(storage: ISagaStorage, saga: type[Saga[Any]] = Shop, **options: Any) -> Any:
    """Return a transaction that waits for nothing."""
    arguments = {"context": Order(), "container": Steps(), "storage": storage, "sleep": Naps(), **options}
    return saga().transaction(**arguments)


async def run(storage: ISagaStorage, saga: type[Saga[Any]] = Shop, **options: Any) -> list[str]:
    """Execute a saga and return the responses of its steps."""
    async with transaction(storage, saga, **options) as opened:
        return [result.response async for result in opened]


async def status_of(storage: ISagaStorage, saga_id: uuid.UUID) -> SagaStatus:
    return (await storage.load_saga_state(saga_id))[0]


async def lines_of(storage: ISagaStorage, saga_id: uuid.UUID) -> list[str]:
    """Return the log: ``"0 A act started"``."""
    log = await storage.get_step_history(saga_id)
    return [f"{line.position} {line.step_name} {line.action} {line.status}" for line in log]


async def recoverable(storage: ISagaStorage) -> list[uuid.UUID]:
    return await storage.get_sagas_for_recovery(10)


def current() -> Any:
    """Return what runs now, or fail."""
    info = current_step()
    assert info is not None
    return info
