"""Whatever goes wrong with a connection: nobody reads the password in errors and logs."""

from __future__ import annotations

import logging
import socket
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from cqrs.adapters.amqp import AMQPPublisher
from cqrs.adapters.kafka import KafkaConnection, kafka_producer_factory
from cqrs.exceptions import BrokerUnavailableError
from cqrs.message_brokers.amqp import AMQPMessageBroker, AMQPMessageSource
from cqrs.message_brokers.kafka import KafkaMessageBroker, KafkaMessageSource
from cqrs.message_brokers.nats import NatsConnection, NatsMessageBroker, NatsMessageSource
from cqrs.message_brokers.redis import RedisMessageBroker, RedisMessageSource

PASSWORD = "correct-horse"
WITH = f"ann:{PASSWORD}@"


def kafka(address: str) -> tuple[Any, Any]:
    connection = KafkaConnection(address, "ann", PASSWORD, timeout=0.5)
    broker = KafkaMessageBroker(kafka_producer_factory(connection), timeout=3.0)
    return broker, KafkaMessageSource(connection, ["users"], "group", rebalance_timeout=0.1)


def rabbitmq(address: str) -> tuple[Any, Any]:
    url = f"amqp://{WITH}{address}/"
    return AMQPMessageBroker(AMQPPublisher(url, timeout=3.0), ""), AMQPMessageSource(url, "users")


def nats(address: str) -> tuple[Any, Any]:
    connection = NatsConnection(f"nats://{WITH}{address}", timeout=1.0)
    return NatsMessageBroker(connection), NatsMessageSource(connection, "users", "durable")


def redis(address: str) -> tuple[Any, Any]:
    url = f"redis://{WITH}{address}/0"
    return RedisMessageBroker(url, timeout=2.0), RedisMessageSource(url, ["users"], "group", timeout=2.0)


@pytest.fixture
def closed() -> str:
    """The address of a port where nobody listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{found.getsockname()[1]}"


async def check(made: tuple[Any, Any], caplog: pytest.LogCaptureFixture, address: str) -> None:
    caplog.set_level(logging.DEBUG)
    for each in made:
        assert PASSWORD not in repr(each)
        with pytest.raises(BrokerUnavailableError, match=address) as caught:
            await each.start()
        await each.close()
        assert PASSWORD not in "".join(traceback.format_exception(caught.value))
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize("make", [kafka, rabbitmq, nats, redis])
async def test_a_server_that_is_not_there(
    make: Callable[[str], tuple[Any, Any]], closed: str, caplog: pytest.LogCaptureFixture
) -> None:
    await check(make(closed), caplog, closed)


@pytest.mark.parametrize(
    ("make", "server"), [(rabbitmq, "amqp_url"), (redis, "streams_url")], ids=["rabbitmq", "redis"]
)
async def test_a_server_that_lets_nobody_in(
    make: Callable[[str], tuple[Any, Any]],
    server: str,
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
) -> None:
    address = request.getfixturevalue(server).partition("://")[2].rpartition("@")[2].partition("/")[0]
    await check(make(address), caplog, address)
