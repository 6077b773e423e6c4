"""The store that processes share through a Redis server."""

from __future__ import annotations

from typing import Any, Literal

from cqrs.circuit_breaker.fleet.settings import StoreSettings
from cqrs.circuit_breaker.fleet.store import Store
from cqrs.circuit_breaker.fleet.transport import Ticker, Transport
from cqrs.circuit_breaker.redis.clients import source
from cqrs.circuit_breaker.redis.transport import RedisTransport
from cqrs.exceptions import ConfigurationError


class RedisStore(Store):
    """A store on Redis (6.2 or newer), Valkey, or a service that speaks their protocol.

    All processes whose stores have the same server, namespace and number of shards form a fleet. A store has
    one daemon thread and few connections of its own, whatever the number of circuits and of event loops.
    Calls never wait for it, except one that wants to be the probe of an open circuit: ``command_timeout`` at
    most.

    Args:
        target: where the server is. A URL: ``redis://user:password@host:6379/0``, ``rediss://`` (TLS),
            ``unix:///path``, ``redis+sentinel://host1,host2:26379/service/0``, ``redis+cluster://host1,host2``.
            Or a client of redis-py or valkey-py, sync or asyncio: the store makes clients of its own from its
            address and credentials, and never uses or closes it. Or a function without arguments that returns
            a new asyncio client, which the store then owns.
        namespace: keeps applications on one server apart; any text that is not empty.
        sync_interval: seconds between two exchanges with nothing urgent to say; 0.01 to 60. Default 1.
        command_timeout: seconds that a call waits which wants to be a probe; > 0. Default 0.05.
        connect_timeout: seconds for a new connection; > 0. Default 1.
        quorum: share of the reporting processes that must be unhealthy before the fleet opens; 0 to 1, 0: one
            process is enough. Default 0.5.
        shards: hash slots that the circuits are spread over, for a cluster; 1 to 1024. Default 1.
        push: also listen for published changes (one more connection); without, a change arrives with the next
            exchange. Default true.
        replicas: replicas that must confirm a granted probe before it runs; >= 0, on a cluster 0.
            Default 0.
        startup: what ``start()`` does when the server cannot be reached: ``"local"`` goes on with circuits of
            this process alone, ``"fail"`` raises. Default ``"local"``.

    Raises:
        ConfigurationError: the target is none of these; a URL is wrong. No text contains the password.
        PolicyError: a setting is out of range.
        ImportError: no client library is installed.

    ::

        store = RedisStore("redis://cache.example:6379/0", namespace="shop")
        breakers = CircuitBreakers(CircuitBreakerPolicy(), store=store)
    """

    def __init__(
        self,
        target: Any,
        *,
        namespace: str,
        sync_interval: float = 1.0,
        command_timeout: float = 0.05,
        connect_timeout: float = 1.0,
        quorum: float = 0.5,
        shards: int = 1,
        push: bool = True,
        replicas: int = 0,
        startup: Literal["local", "fail"] = "local",
    ) -> None:
        settings = StoreSettings(
            namespace=namespace,
            sync_interval=sync_interval,
            command_timeout=command_timeout,
            connect_timeout=connect_timeout,
            quorum=quorum,
            shards=shards,
            push=push,
            replicas=replicas,
            startup=startup,
        )
        self._source = source(target, settings.connect_timeout)
        if replicas > 0 and self._source.cluster:
            raise ConfigurationError(f"replicas={replicas}: a cluster client cannot wait for replicas")
        super().__init__(settings)

    def make_transport(self, ticker: Ticker) -> Transport:
        """Return a transport with a thread of its own."""
        return RedisTransport(self._source, self.settings, ticker, self.describe())

    def describe(self) -> str:
        """Return which store this is, without a password."""
        return f"RedisStore {self.settings.namespace!r} at {self._source.shown}"
