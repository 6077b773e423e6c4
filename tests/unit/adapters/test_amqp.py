"""What a connection to RabbitMQ is told, and what its errors mean."""

from __future__ import annotations

import ssl
import sys
import traceback
from typing import Any

import pytest

pytest.importorskip("aio_pika")

from cqrs.adapters.amqp import AMQPConnection, AMQPPublisher
from cqrs.exceptions import ConfigurationError
from cqrs.message_brokers.amqp import AMQPMessageBroker


@pytest.mark.parametrize(
    "dsn",
    [
        "",
        "localhost",
        "http://localhost",
        "amqp://",
        None,
        "amqp://ann:sec#ret@one/",
        "amqp://ann:12#ret@one/",
        "amqp://ann:sec/ret@one/",
        "amqp://ann:12/ret@one/",
        "amqp://ann:12?ret@one/",
        "amqp://ann:sec@one:many/",
        "amqp://one:99999/",
    ],
)
def test_other_addresses_are_refused(dsn: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        AMQPConnection(dsn)
    shown = "".join(traceback.format_exception(caught.value)).split("Error: ", 1)[1]
    assert not any(part in shown for part in ("sec", "ret@", "'12'", "many"))


def test_encryption_that_would_not_happen_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="amqps"):
        AMQPConnection("amqp://one/", ssl_context=ssl.create_default_context())
    AMQPConnection("amqps://ann:a%23b@one:5671/host?heartbeat=5", ssl_context=ssl.create_default_context())


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
