"""Delays of RabbitMQ share few queues."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("aio_pika")

from cqrs.exceptions import ConfigurationError
from cqrs.message_brokers.amqp import AMQPMessageSource
from cqrs.message_brokers.amqp.source import delay_queue


@given(st.floats(0.001, 86_400))
def test_a_delay_is_never_cut_and_grows_by_half_at_most(delay: float) -> None:
    name, milliseconds = delay_queue("users", delay)

    assert name == f"users.retry.{milliseconds}"
    assert delay * 1000 <= milliseconds * 1.000001
    assert milliseconds <= max(delay * 1000 * 1.5, delay * 1000 + 1) * 1.000001


def test_a_day_of_delays_needs_fifty_queues() -> None:
    assert len({delay_queue("users", each / 10) for each in range(0, 864_000, 7)}) <= 50


def test_no_delay_is_a_millisecond() -> None:
    assert delay_queue("users", 0.0) == ("users.retry.1", 1)


@pytest.mark.parametrize("options", [{"queue": ""}, {"prefetch": 0}, {"prefetch": 70_000}], ids=str)
def test_other_settings_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        AMQPMessageSource("amqp://localhost/", **({"queue": "users"} | options))
