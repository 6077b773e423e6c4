"""Redis streams, for the table of situations."""

from __future__ import annotations

import redis.asyncio

from cqrs.message_brokers.redis import RedisMessageBroker, RedisMessageSource
from tests.integration.brokers.places import Place


class RedisPlace(Place):
    name = "redis"
    retries = True
    too_large = 100_001
    unroutable = False
    connections = 8

    async def tidy(self) -> None:
        async with redis.asyncio.Redis.from_url(self.url) as client:
            await client.delete(self.topic, f"{self.topic}.dead")

    def broker(self, *, timeout: float = 5.0) -> RedisMessageBroker:
        return RedisMessageBroker(self._target, max_body=100_000, timeout=timeout)

    def source(self, *, timeout: float = 5.0) -> RedisMessageSource:
        return RedisMessageSource(self._target, [self.topic], self.group, min_idle=0.6, timeout=timeout)

    def dead_letters(self) -> RedisMessageSource:
        return RedisMessageSource(self._target, [f"{self.topic}.dead"], self.group)

    @property
    def _target(self) -> str:
        return f"redis://{self.address[0]}:{self.address[1]}/0"
