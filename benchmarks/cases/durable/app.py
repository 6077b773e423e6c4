"""The saga that Holdfast and python-cqrs run, line for line the same: three steps without work.

Both are packages named ``cqrs`` with the same documented names.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import cqrs

try:
    from cqrs.saga.models import SagaContext
except ImportError:
    from cqrs import SagaContext  # type: ignore[no-redef]

STEPS = 3


@dataclass
class OrderContext(SagaContext):
    """What the steps of an order share."""

    order_id: str
    amount: int
    reservation: str | None = None
    payment: str | None = None
    shipment: str | None = None


@dataclass
class Done(cqrs.DCResponse):
    """What each step answers."""

    number: int


DONE = Done(number=1)


class ReserveStock(cqrs.SagaStepHandler[OrderContext, Done]):
    """The first step."""

    async def act(self, context: OrderContext) -> Any:
        context.reservation = "r-1"
        return self._generate_step_result(DONE)

    async def compensate(self, context: OrderContext) -> None:
        context.reservation = None


class ChargeCard(cqrs.SagaStepHandler[OrderContext, Done]):
    """The second step."""

    async def act(self, context: OrderContext) -> Any:
        context.payment = "p-1"
        return self._generate_step_result(DONE)

    async def compensate(self, context: OrderContext) -> None:
        context.payment = None


class ShipOrder(cqrs.SagaStepHandler[OrderContext, Done]):
    """The third step."""

    async def act(self, context: OrderContext) -> Any:
        context.shipment = "s-1"
        return self._generate_step_result(DONE)

    async def compensate(self, context: OrderContext) -> None:
        context.shipment = None


class OrderSaga(cqrs.Saga[OrderContext]):
    """An order, in three steps."""

    steps = [ReserveStock, ChargeCard, ShipOrder]


class OneMethodContainer:
    """The least container that both accept; it calls the class."""

    external_container: Any = None

    def attach_external_container(self, container: Any) -> None:
        """Nothing is attached."""

    async def resolve(self, type_: type[Any]) -> Any:
        """A new instance."""
        return type_()


async def run_order(saga: Any, container: Any, storage: Any, saga_id: uuid.UUID | None = None) -> None:
    """One saga from its beginning to its end."""
    context = OrderContext("o-1", 4200)
    async with saga.transaction(
        context=context, container=container, storage=storage, saga_id=saga_id
    ) as transaction:
        async for result in transaction:
            assert result.response is DONE
    assert context.shipment == "s-1"
