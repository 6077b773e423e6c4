"""The saga of the crash tests: an order of three steps, whose effects are counted, between crash points."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

from cqrs.saga.fallback import Fallback
from cqrs.saga.models import SagaContext, SagaStepResult
from cqrs.saga.saga import Saga
from cqrs.saga.step import SagaStepHandler, current_step
from tests.crash.effects import Effects
from tests.crash.facts import Expected
from tests.crash.points import Reach


class OrderFailed(Exception):
    """A step cannot do its work, however often it is asked."""


class CompensationFailed(Exception):
    """A compensation cannot do its work, however often it is asked."""


@dataclasses.dataclass
class World:
    """What the steps of this process act on; there is one (`enter`)."""

    effects: Effects
    reach: Reach = lambda name: None


_worlds: list[World] = []


def enter(world: World) -> None:
    _worlds[:] = [world]


@dataclasses.dataclass
class OrderContext(SagaContext):
    """An order; the first three fields say what will go wrong, the others what the steps did."""

    fail: str = ""
    """Name of the step that always fails."""
    stuck: str = ""
    """Name of the step that can never be compensated."""
    card_works: bool = False
    """Whether the primary step of the payment works; else its fallback acts."""
    reserved: bool = False
    paid_by: str = ""
    card_was_tried: bool = False
    shipped: bool = False


class OrderStep(SagaStepHandler[OrderContext, str]):
    """Its effect is a line in a file, between two crash points."""

    mark: ClassVar[Callable[[OrderContext], None]]

    async def act(self, context: OrderContext) -> SagaStepResult[OrderContext, str]:
        name = type(self).__name__
        if context.fail == name:
            raise OrderFailed(name)
        self._do("act", name)
        type(self).mark(context)
        return self._generate_step_result(name)

    async def compensate(self, context: OrderContext) -> None:
        name = type(self).__name__
        if context.stuck == name:
            raise CompensationFailed(name)
        self._do("compensate", name)

    def _do(self, action: str, name: str) -> None:
        step = current_step()
        assert step is not None
        assert (step.action, step.step_name) == (action, name)
        world = _worlds[0]
        world.reach(f"before {action} of {name}")
        world.effects.record(str(step.saga_id), step.position, action, name, step.idempotency_key)
        world.reach(f"after {action} of {name}")


class ReserveStock(OrderStep):
    @staticmethod
    def mark(context: OrderContext) -> None:
        context.reserved = True


class PayByCard(OrderStep):
    @staticmethod
    def mark(context: OrderContext) -> None:
        context.paid_by = "card"

    async def act(self, context: OrderContext) -> SagaStepResult[OrderContext, str]:
        if not context.card_works:
            context.card_was_tried = True  # to be undone before the fallback acts
            raise ConnectionError("the card terminal is down")
        return await super().act(context)


class PayByInvoice(OrderStep):
    @staticmethod
    def mark(context: OrderContext) -> None:
        context.paid_by = "invoice"


class Ship(OrderStep):
    @staticmethod
    def mark(context: OrderContext) -> None:
        context.shipped = True


class OrderSaga(Saga[OrderContext]):
    steps: ClassVar[list[Any]] = [
        ReserveStock,
        Fallback(step=PayByCard, fallback=PayByInvoice, failure_exceptions=(ConnectionError,)),
        Ship,
    ]


class PlainContainer:
    """Makes a step by calling its class."""

    async def resolve(self, type_: type[Any]) -> Any:
        return type_()


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way for an order to go, and how it must end."""

    context: dict[str, Any]
    expected: Expected

    def new_context(self) -> OrderContext:
        return OrderContext(**self.context)


_PAID = ("ReserveStock", "PayByInvoice")
_UNSHIPPED = {"reserved": True, "paidBy": "invoice", "cardWasTried": False, "shipped": False}

VARIANTS = {
    "completes": Variant(
        {}, Expected("completed", (*_PAID, "Ship"), context={**_UNSHIPPED, "shipped": True})
    ),
    "fails": Variant({"fail": "Ship"}, Expected("failed", _PAID, context=_UNSHIPPED)),
    "compensation fails": Variant(
        {"fail": "Ship", "stuck": "PayByInvoice"}, Expected("failed", _PAID, (1,), context=_UNSHIPPED)
    ),
    "fails at once": Variant({"fail": "ReserveStock"}, Expected("failed", ())),
}
