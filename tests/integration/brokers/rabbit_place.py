"""RabbitMQ, for the table of situations."""

from __future__ import annotations

from cqrs.adapters.amqp import AMQPConnection, AMQPPublisher
from cqrs.message_brokers.amqp import AMQPMessageBroker, AMQPMessageSource
from tests.integration.brokers.places import Place
from tests.servers.rabbitmq import RabbitServer


class RabbitPlace(Place):
    name = "rabbitmq"
    retries = True
    too_large = RabbitServer.max_message_size + 1
    unroutable = True

    async def prepare(self) -> None:
        async with self.source():
            pass  # declares the queues

    async def tidy(self) -> None:
        link = await self._connection(5.0).open()
        for name in (self.topic, f"{self.topic}.dead"):
            await link.channel.queue_delete(name)
        await link.close()

    def broker(self, *, timeout: float = 5.0) -> AMQPMessageBroker:
        return AMQPMessageBroker(AMQPPublisher(self._connection(timeout)), "")

    def source(self, *, timeout: float = 5.0) -> AMQPMessageSource:
        return AMQPMessageSource(self._connection(timeout), self.topic)

    def dead_letters(self) -> AMQPMessageSource:
        return AMQPMessageSource(self._connection(5.0), f"{self.topic}.dead", declare=False)

    def _connection(self, timeout: float) -> AMQPConnection:
        host, port = self.address
        return AMQPConnection(self.url.replace(self._netloc, f"{host}:{port}"), timeout, heartbeat=1.0)

    @property
    def _netloc(self) -> str:
        return self.url.rpartition("@")[2].partition("/")[0]
