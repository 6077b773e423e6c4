"""Brokers that are guarded by a circuit."""

from __future__ import annotations

from typing import Any

import pytest

from cqrs.circuit_breaker.breaker import CircuitBreaker
from cqrs.circuit_breaker.policy import CircuitBreakerPolicy
from cqrs.circuit_breaker.registry import CircuitBreakers
from cqrs.exceptions import ConfigurationTypeError
from cqrs.outbox.guarding import guarded
from cqrs.testing import FakeClock
from tests.unit.outbox.brokers import BatchBroker, SingleBroker
from tests.unit.outbox.test_delivery import delivery, sender


@pytest.mark.parametrize("broker_class", [SingleBroker, BatchBroker])
@pytest.mark.parametrize("registry", [False, True])
async def test_an_open_circuit_stops_the_batch(
    broker_class: type[SingleBroker], registry: bool, clock: FakeClock
) -> None:
    policy = CircuitBreakerPolicy.consecutive(threshold=1)
    breaker: Any = (
        CircuitBreakers(policy, clock=clock) if registry else CircuitBreaker("b", policy, clock=clock)
    )
    broker = broker_class(lambda message: ConnectionResetError())
    made = sender(broker, clock, circuit_breaker=breaker, concurrency=1)
    await made.send(delivery(*[None] * 3), clock() + 30)
    calls = broker.calls
    batch = delivery(*[None] * 3)
    await made.send(batch, clock() + 30)
    assert broker.calls == calls == 1
    assert batch.stopped
    assert made.is_outage(batch)
    assert batch.retry_after is not None
    assert batch.retry_after > 0


async def test_a_batch_of_which_something_was_sent_is_a_success_of_the_circuit(clock: FakeClock) -> None:
    breaker = CircuitBreaker("b", CircuitBreakerPolicy.consecutive(threshold=1), clock=clock)
    broker = BatchBroker(lambda message: ConnectionError() if message.message_name == "1" else None)
    made = sender(broker, clock, circuit_breaker=breaker)
    batch = delivery(None, None)
    await made.send(batch, clock() + 30)
    assert batch.sent == [2]
    assert breaker.state.value == "closed"


class OnlyCalls:
    """It cannot tell its rejections from failures of the broker."""

    async def call(self, identifier: Any, func: Any, *arguments: Any) -> Any: ...


@pytest.mark.parametrize("wrong", [object(), CircuitBreakers, OnlyCalls()])
def test_what_is_no_circuit_breaker_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationTypeError, match="circuit_breaker"):
        guarded(wrong, SingleBroker().send_message)
