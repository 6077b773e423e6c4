"""Pytest plugin: fixtures that need a message broker. Brokers from the environment win, save to be broken."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import TypeVar
from urllib.parse import urlsplit

import pytest

from tests.servers.kafka_mock import KafkaMock
from tests.servers.nats import NatsServer
from tests.servers.plugin import NOT_TESTED, skip_without_server
from tests.servers.rabbitmq import RabbitServer
from tests.servers.redis_server import RedisServer, ServerMissing

ServerT = TypeVar("ServerT", bound=AbstractContextManager[object])


def skip_without(module: str, extra: str) -> None:
    """Skip the test, to be told at the end of the run, when a client library is missing."""
    if find_spec(module) is None:
        pytest.skip(f"{NOT_TESTED}no {module}: pip install 'holdfast[{extra}]'")


def made_or_skip(make: Callable[[], ServerT]) -> ServerT:
    """Make a server, not started; skips the test when this machine has none."""
    try:
        return make()
    except ServerMissing as missing:
        pytest.skip(f"{NOT_TESTED}{missing}")


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """Where a Kafka is: HOLDFAST_TEST_KAFKA_BOOTSTRAP when set, else a mock cluster."""
    skip_without("aiokafka", "kafka")
    configured = os.environ.get("HOLDFAST_TEST_KAFKA_BOOTSTRAP")
    if configured:
        yield configured
        return
    with made_or_skip(KafkaMock) as server:
        yield server.bootstrap


@pytest.fixture
def kafka_mock() -> Iterator[KafkaMock]:
    """A mock cluster of one broker, for this test alone."""
    skip_without("aiokafka", "kafka")
    with made_or_skip(KafkaMock) as server:
        yield server


@pytest.fixture(scope="session")
def rabbit_server() -> Iterator[RabbitServer]:
    """A private RabbitMQ for all tests (it takes 5 s to start): put a ChaosProxy before it to break it."""
    skip_without("aio_pika", "rabbit")
    with made_or_skip(RabbitServer) as server:
        yield server


@pytest.fixture(scope="session")
def amqp_url(request: pytest.FixtureRequest) -> str:
    """The URL of a RabbitMQ: HOLDFAST_TEST_AMQP_URL when set, else the private one."""
    skip_without("aio_pika", "rabbit")
    return os.environ.get("HOLDFAST_TEST_AMQP_URL") or request.getfixturevalue("rabbit_server").url


@pytest.fixture(scope="session")
def streams_url() -> Iterator[str]:
    """The URL of a Redis-protocol server on a TCP port: HOLDFAST_TEST_REDIS_URL when set, else a private one.

    A ChaosProxy before it needs the port; ``redis_url`` is a unix socket.
    """
    configured = os.environ.get("HOLDFAST_TEST_REDIS_URL")
    if configured and urlsplit(configured).port:
        yield configured
        return
    skip_without_server()
    with RedisServer() as server:
        yield server.url


@pytest.fixture(scope="session")
def nats_url() -> Iterator[str]:
    """The URL of a NATS with JetStream: HOLDFAST_TEST_NATS_URL when set, else a private one."""
    skip_without("nats", "nats")
    configured = os.environ.get("HOLDFAST_TEST_NATS_URL")
    if configured:
        yield configured
        return
    with made_or_skip(NatsServer) as server:
        yield server.url


@pytest.fixture
def nats_server() -> Iterator[NatsServer]:
    """A private NATS, for this test alone."""
    skip_without("nats", "nats")
    with made_or_skip(NatsServer) as server:
        yield server
