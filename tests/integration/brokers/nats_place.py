"""NATS JetStream, for the table of situations."""

from __future__ import annotations

import nats

from cqrs.message_brokers.nats import NatsConnection, NatsMessageBroker, NatsMessageSource
from tests.integration.brokers.places import Place


class NatsPlace(Place):
    name = "nats"
    retries = True
    too_large = 1_048_577
    unroutable = True

    async def prepare(self) -> None:
        # Both in one stream: a dead letter must not be taken for a duplicate.
        client = await nats.connect(self.url)
        await client.jetstream().add_stream(name=self.topic, subjects=[self.topic, f"{self.topic}.dead"])
        await client.close()

    async def tidy(self) -> None:
        client = await nats.connect(self.url)
        await client.jetstream().delete_stream(self.topic)
        await client.close()

    def broker(self, *, timeout: float = 5.0) -> NatsMessageBroker:
        return NatsMessageBroker(self._connection(timeout))

    def source(self, *, timeout: float = 5.0) -> NatsMessageSource:
        return NatsMessageSource(self._connection(timeout), self.topic, self.group, ack_wait=1.0)

    def dead_letters(self) -> NatsMessageSource:
        return NatsMessageSource(self._connection(5.0), f"{self.topic}.dead", f"{self.group}-dead")

    def _connection(self, timeout: float) -> NatsConnection:
        return NatsConnection(f"nats://{self.address[0]}:{self.address[1]}", timeout)
