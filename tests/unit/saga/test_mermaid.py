"""Diagrams of sagas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from cqrs.exceptions import SagaDefinitionError
from cqrs.saga.fallback import Fallback
from cqrs.saga.mermaid import SagaMermaid
from cqrs.saga.saga import Saga
from cqrs.saga.step import SagaStepHandler


@dataclass
class Order:
    name: str
    amount: int


@dataclass
class Paid:
    reference: str


class Step(SagaStepHandler[Order, Paid]):
    async def act(self, context: Order) -> Any: ...

    async def compensate(self, context: Order) -> None: ...


class Reserve(SagaStepHandler[Order, str]):
    async def act(self, context: Order) -> Any: ...

    async def compensate(self, context: Order) -> None: ...


class Card(Step): ...


class Invoice(Step): ...


class Voucher(Step): ...


class OrderSaga(Saga[Order]):
    steps = [Reserve, Fallback(Card, Fallback(Invoice, Voucher))]


def test_sequence_goes_forward_and_back() -> None:
    assert SagaMermaid(OrderSaga).sequence().splitlines() == [
        "sequenceDiagram",
        "    participant Saga as OrderSaga",
        "    participant S1 as Reserve",
        "    participant S2 as Card",
        "    participant S2F1 as Invoice",
        "    participant S2F2 as Voucher",
        "    Saga->>S1: act(Order)",
        "    alt acts",
        "        S1-->>Saga: str",
        "        Saga->>S2: act(Order)",
        "        opt Card fails or its circuit is open",
        "            Saga->>S2F1: act(Order)",
        "        end",
        "        opt Invoice fails or its circuit is open",
        "            Saga->>S2F2: act(Order)",
        "        end",
        "        alt acts",
        "            S2-->>Saga: Paid",
        "            Note over Saga: completed",
        "        else fails",
        "            Saga->>S1: compensate(Order)",
        "            Note over Saga: failed",
        "        end",
        "    else fails",
        "        Note over Saga: failed",
        "    end",
    ]


def test_class_diagram_names_steps_fallbacks_and_messages() -> None:
    lines = SagaMermaid(OrderSaga()).class_diagram().splitlines()
    assert lines[:5] == [
        "classDiagram",
        "    class OrderSaga {",
        "        +steps",
        "        +transaction(context)",
        "    }",
    ]
    for line in (
        "        +name str",
        "        +reference str",
        '    class S2F1["Invoice"]',
        "    SagaStepHandler <|-- S2F2",
        "    OrderSaga --> S2 : step 2",
        "    S2 ..> S2F1 : fallback",
        "    S2F1 ..> S2F2 : fallback",
        "    OrderSaga ..> Order : shares",
        "    S2 ..> Paid : returns",
    ):
        assert line in lines
    assert not any(line.endswith("..> str : returns") for line in lines)


def test_the_same_step_twice_is_two_participants() -> None:
    class Twice(Saga[Order]):
        steps = [Reserve, Reserve]

    lines = SagaMermaid(Twice).sequence().splitlines()
    assert "    participant S1 as Reserve" in lines
    assert "    participant S2 as Reserve" in lines


@pytest.mark.parametrize("bad", [int, 3, None, Reserve])
def test_what_is_no_saga_is_refused(bad: Any) -> None:
    with pytest.raises(SagaDefinitionError, match="only a Saga class can be drawn"):
        SagaMermaid(bad)


def test_a_saga_without_steps_is_refused() -> None:
    class Empty(Saga[Order]): ...

    with pytest.raises(SagaDefinitionError, match="Empty declares no steps"):
        SagaMermaid(Empty)


def test_a_step_that_is_compensated_when_it_fails() -> None:
    class Unsure(Step):
        compensate_on_failure = True

    class Doubtful(Saga[Order]):
        steps = [Reserve, Unsure]

    lines = [line.strip() for line in SagaMermaid(Doubtful).sequence().splitlines()]
    assert lines[lines.index("else fails") :][1:3] == [
        "Saga->>S2: compensate(Order)",
        "Saga->>S1: compensate(Order)",
    ]
