"""``Fallback``: the rules of all declared fallbacks, for steps."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from cqrs.adapters.circuit_breaker import AioBreakerAdapter
from cqrs.circuit_breaker import CircuitBreakers
from cqrs.saga.circuit_breaker import ISagaStepCircuitBreaker
from cqrs.saga.fallback import Fallback
from cqrs.saga.step import SagaStepHandler


class Card(SagaStepHandler[dict[str, str], str]):
    async def act(self, context: dict[str, str]) -> Any: ...

    async def compensate(self, context: dict[str, str]) -> None: ...


class Invoice(Card):
    pass


class Untyped(SagaStepHandler):  # type: ignore[type-arg]  # what is tested
    async def act(self, context: Any) -> Any: ...

    async def compensate(self, context: Any) -> None: ...


class ForInt(SagaStepHandler[int, str]):
    async def act(self, context: int) -> Any: ...

    async def compensate(self, context: int) -> None: ...


class GivesInt(SagaStepHandler[dict[str, str], int]):
    async def act(self, context: dict[str, str]) -> Any: ...

    async def compensate(self, context: dict[str, str]) -> None: ...


def test_the_fields_have_the_documented_names_and_order() -> None:
    breaker = CircuitBreakers()
    declared = Fallback(step=Card, fallback=Invoice, failure_exceptions=(OSError,), circuit_breaker=breaker)
    assert declared == Fallback(Card, Invoice, (OSError,), breaker)
    assert hash(declared) == hash(Fallback(Card, Invoice, (OSError,)))
    assert declared.step is Card
    assert repr(declared).startswith("Fallback(step=")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ((Card(), Invoice), "primary and fallback must be handler classes"),
        ((Card, object), "must be a subclass of SagaStepHandler"),
        ((Card, Untyped), "must be parameterized with concrete types"),
        ((Card, ForInt), "must handle the same context type"),
        ((Card, GivesInt), "must have the same response type"),
        ((Card, Invoice, [OSError]), "failure_exceptions must be a tuple"),
        ((Card, Invoice, (), object()), "circuit_breaker must be an instance"),
    ],
)
def test_what_does_not_fit_together_is_refused(arguments: Any, part: str) -> None:
    with pytest.raises(TypeError, match=part):
        Fallback(*arguments)


def test_a_copy_may_differ_in_some_fields() -> None:
    breaker = CircuitBreakers()
    declared = Fallback(Card, Invoice, (OSError,))
    assert dataclasses.replace(declared, circuit_breaker=breaker) == Fallback(
        Card, Invoice, (OSError,), breaker
    )
    assert dataclasses.replace(declared, step=Invoice, fallback=Card) == Fallback(Invoice, Card, (OSError,))
    with pytest.raises(TypeError, match="must handle the same context type"):
        dataclasses.replace(declared, fallback=ForInt)


def test_fallbacks_nest() -> None:
    last = type("Last", (Card,), {})
    declared = Fallback(Card, Fallback(Invoice, last))
    assert [handler for handler, _ in declared.attempts()] == [Card, Invoice, last]


def test_known_breakers_satisfy_the_protocol() -> None:
    assert isinstance(AioBreakerAdapter(), ISagaStepCircuitBreaker)
    assert isinstance(CircuitBreakers(), ISagaStepCircuitBreaker)
