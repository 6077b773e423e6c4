"""What brokers need of those who publish for them; both are made from an address by their modules here."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

__all__ = ["AMQPPublisher", "KafkaProducer"]


@runtime_checkable
class KafkaProducer(Protocol):
    """Sends records to Kafka: an ``aiokafka.AIOKafkaProducer`` that has been started is one."""

    async def send(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Sequence[tuple[str, bytes]] | None = None,
    ) -> Awaitable[Any]:
        """Queue a record; return what can be awaited until the broker has taken it over."""
        ...


@runtime_checkable
class AMQPPublisher(Protocol):
    """Publishes to an exchange of RabbitMQ."""

    async def publish(
        self,
        body: bytes,
        exchange_name: str,
        routing_key: str,
        *,
        headers: Mapping[str, str],
        message_id: str,
        message_name: str,
        content_type: str,
    ) -> None:
        """Publish a persistent message; return when the broker has confirmed it.

        Raises:
            MessageRefusedError: it is too large, or no queue is bound that would take it.
            BrokerUnavailableError: the broker cannot be reached, or did not confirm in time.
        """
        ...
