"""What a connection to RabbitMQ is told, and what its errors mean."""

from __future__ import annotations

import sys
from typing import Any

import pytest

pytest.importorskip("aio_pika")

from cqrs.adapters.amqp import AMQPConnection, AMQPPublisher
from cqrs.exceptions import ConfigurationError
from cqrs.message_brokers.amqp import AMQPMessageBroker


@pytest.mark.parametrize("dsn", ["", "localhost", "http://localhost", "amqp://", None])
def test_other_addresses_are_refused(dsn: Any) -> None:
    with pytest.raises(ConfigurationError):
        AMQPConnection(dsn)


def test_a_password_is_not_shown() -> None:
    connection = AMQPConnection("amqp://ann:secret@one:5672/")

    assert "secret" not in repr(connection)
    assert connection.shown == "one:5672"


@pytest.mark.parametrize("options", [{"timeout": 0}, {"heartbeat": -1}], ids=str)
def test_seconds_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        AMQPPublisher("amqp://one/", **options)


def test_a_broker_needs_a_publisher_and_an_exchange() -> None:
    with pytest.raises(ConfigurationError, match="AMQPPublisher"):
        AMQPMessageBroker("amqp://one/", "users")  # type: ignore[arg-type]  # the mistake
    with pytest.raises(ConfigurationError, match="exchange_name"):
        AMQPMessageBroker(AMQPPublisher("amqp://one/"), None)  # type: ignore[arg-type]  # the mistake


def test_a_missing_library_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aio_pika", None)

    with pytest.raises(ImportError, match=r'pip install "holdfast\[rabbit\]"'):
        AMQPPublisher("amqp://one/")
