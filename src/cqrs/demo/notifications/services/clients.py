"""The client of the service ``user``: what it offers, and the stack of middleware in front of it."""

from __future__ import annotations

from typing import TypeAlias

from cqrs.circuit_breaker import CircuitBreaker
from cqrs.demo.notifications.services.settings import Settings
from cqrs.http import (
    AsyncCircuitBreakerMiddleware,
    AsyncClientFactory,
    AsyncRedisUnitOfWork,
    AsyncStaticDiscovery,
    HTTPError,
    HTTPTimeout,
    PathInfoField,
    Registry,
    Request,
    Response,
)
from cqrs.http.metrics import PrometheusMetrics
from cqrs.http.middleware.prometheus import AsyncPrometheusMiddleware

Factory: TypeAlias = AsyncClientFactory[HTTPError]


class GetUser(Request):
    """Which user."""

    username: str = PathInfoField()


class User(Response):
    """What ``user`` knows of one."""

    username: str
    email: str


registry = Registry()
registry.register("user", "users", "user", "v1", path="/users/{username}", contract={"GET": (GetUser, User)})


class UnknownUserError(Exception):
    """There is no such user."""


class Users:
    """Looks users up.

    Args:
        settings: of the service.
        metrics: shows the client and its circuit to Prometheus.

    Attributes:
        breaker: guards the client.
    """

    def __init__(self, settings: Settings, metrics: PrometheusMetrics) -> None:
        self._store: AsyncRedisUnitOfWork | None = None
        if settings.redis_url:
            self._store = AsyncRedisUnitOfWork(settings.redis_url, namespace=settings.namespace)
        self.breaker = AsyncCircuitBreakerMiddleware(
            threshold=settings.threshold, ttl=settings.ttl, uow=self._store, metrics=metrics
        )
        discovery = AsyncStaticDiscovery({("user", "v1"): settings.user_url})
        timeout = HTTPTimeout(settings.timeout, settings.timeout, settings.timeout)
        self._factory: Factory = AsyncClientFactory(discovery, registry=registry, timeout=timeout)
        # The first one is the outermost: rejections by the circuit are observed, too.
        self._factory.add_middleware(AsyncPrometheusMiddleware(metrics)).add_middleware(self.breaker)

    @property
    def circuit(self) -> CircuitBreaker:
        """The circuit of the client."""
        return self.breaker.breakers["user"]

    async def open(self) -> None:
        """Connect to the store, if there is one, and make the client: ``/metrics`` shows its circuit."""
        await self._factory.initialize()
        await self._factory("user")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._factory.aclose()
        if self._store is not None:
            await self._store.aclose()

    async def get(self, username: str) -> User:
        """Return a user.

        Raises:
            UnknownUserError: there is none of this name.
            HTTPClientError: ``user`` gave no answer, an error or an unusable one.
            CircuitOpenError: it was not asked.
        """
        client = await self._factory("user")
        answer = await client.resource(User).get(GetUser(username=username))
        if answer.is_err() and answer.unwrap_err().status_code == 404:
            raise UnknownUserError(username)
        return answer.unwrap()
