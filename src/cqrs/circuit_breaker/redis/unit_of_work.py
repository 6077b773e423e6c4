"""The store under the names that service clients know: where a middleware takes ``uow=``."""

from __future__ import annotations

from typing import Any

from cqrs.circuit_breaker.redis.store import RedisStore

NAMESPACE = "service-clients"


class _RedisUnitOfWork(RedisStore):
    """What both have in common: a store with a default namespace.

    Args:
        url: as for ``RedisStore``.
        namespace: keeps applications on one server apart: give each its own. Default ``"service-clients"``.
        settings: anything else that ``RedisStore`` takes.

    Raises:
        ConfigurationError, PolicyError, ImportError: as ``RedisStore``.
    """

    def __init__(self, url: Any, *, namespace: str = NAMESPACE, **settings: Any) -> None:
        super().__init__(url, namespace=namespace, **settings)


class AsyncRedisUnitOfWork(_RedisUnitOfWork):
    """``RedisStore`` for asynchronous clients: ``AsyncRedisUnitOfWork("redis://host/0")``.

    It shares circuits with ``SyncRedisUnitOfWork`` and ``RedisStore`` of the same server and namespace.
    """

    async def initialize(self) -> bool:
        """Connect, and learn what the fleet knows; optional, as the first circuit does it too.

        Returns:
            Whether the store has answered.

        Raises:
            StoreUnavailableError: it has not, and ``startup`` is ``"fail"``.
        """
        return await self.astart()


class SyncRedisUnitOfWork(_RedisUnitOfWork):
    """``RedisStore`` for synchronous clients: ``SyncRedisUnitOfWork("redis://host/0")``.

    It shares circuits with ``AsyncRedisUnitOfWork`` and ``RedisStore`` of the same server and namespace.
    """

    def initialize(self) -> bool:
        """Connect, and learn what the fleet knows; optional, as the first circuit does it too.

        Returns:
            Whether the store has answered.

        Raises:
            StoreUnavailableError: it has not, and ``startup`` is ``"fail"``.
        """
        return self.start()
