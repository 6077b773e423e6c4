"""The same client in each library: one resource, a circuit breaker, and latencies for Prometheus."""

from __future__ import annotations

import datetime
import inspect
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

CLIENT, SERVICE, VERSION = "catalogue", "shop", "v1"
PATH, NAME, AMOUNT = "/items/{name}", "apple", 7
BODY = b'{"name":"apple","amount":7}'
FAILURES = 5
"""Consecutive failures that open a circuit."""
OPEN_SECONDS = 3600.0
"""How long it stays open: longer than any run."""


@dataclass(slots=True)
class Made:
    """A client, and what its library tells of it."""

    client: Any
    observed: Callable[[], float]
    """Calls in its histogram of latencies."""
    admitted: Callable[[], int] | None
    """Calls that its circuit let through, where a library tells."""
    rejections: tuple[type[BaseException], ...]
    close: Callable[[], Any] | None = None

    def check(self, operations: int) -> None:
        """See that every call was observed, and admitted by the circuit; one more was made to try it out."""
        expected = operations + 1
        observed = self.observed()
        assert observed == expected, f"{observed} calls observed, {expected} made"
        if self.admitted is not None:
            admitted = self.admitted()
            assert admitted == expected, f"{admitted} calls admitted, {expected} made"


def url_of(root: str) -> str:
    """URL of what all clients ask for."""
    return f"{root}/v1/items/{NAME}"


def closed_port() -> str:
    """URL of a port of this machine where nobody listens."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listening.getsockname()[1]}"


def aiobreaker(function: Any) -> Any:
    """A function guarded by aiobreaker, with the same numbers."""
    from aiobreaker import CircuitBreaker

    timeout = datetime.timedelta(seconds=OPEN_SECONDS)
    return CircuitBreaker(fail_max=FAILURES, timeout_duration=timeout)(function)


async def wait_for(result: Any) -> Any:
    """The result itself, or what comes of it when it is to be awaited."""
    return await result if inspect.isawaitable(result) else result


def check(answer: Any) -> None:
    """See that an answer, a model or what JSON makes, is the right one."""
    found = answer if isinstance(answer, dict) else {"name": answer.name, "amount": answer.amount}
    assert found == {"name": NAME, "amount": AMOUNT}, f"wrong answer: {found}"


# -- Holdfast --------------------------------------------------------------------------------------


async def holdfast(root: str, transport: Any = None, *, uow: Any = None) -> Made:
    """An asynchronous client; without a transport over the pool that its factory makes."""
    from prometheus_client import CollectorRegistry

    from cqrs.http import AsyncCircuitBreakerMiddleware, AsyncClientFactory, AsyncStaticDiscovery
    from cqrs.http.metrics import PrometheusMetrics
    from cqrs.http.middleware.prometheus import AsyncPrometheusMiddleware

    prometheus = CollectorRegistry()
    metrics = PrometheusMetrics(registry=prometheus)
    breaker = AsyncCircuitBreakerMiddleware(FAILURES, OPEN_SECONDS, uow=uow, metrics=metrics)
    factory = AsyncClientFactory(
        AsyncStaticDiscovery({(SERVICE, VERSION): f"{root}/v1"}), transport, registry=_registry()
    )
    factory.add_middleware(AsyncPrometheusMiddleware(metrics)).add_middleware(breaker)
    await factory.initialize()

    async def close() -> None:
        await factory.aclose()
        if transport is not None:
            await transport.aclose()

    return _holdfast(await factory(CLIENT), prometheus, breaker, close)


def holdfast_sync(root: str, transport: Any = None, *, uow: Any = None) -> Made:
    """A synchronous client."""
    from prometheus_client import CollectorRegistry

    from cqrs.http import SyncCircuitBreakerMiddleware, SyncClientFactory, SyncStaticDiscovery
    from cqrs.http.metrics import PrometheusMetrics
    from cqrs.http.middleware.prometheus import SyncPrometheusMiddleware

    prometheus = CollectorRegistry()
    metrics = PrometheusMetrics(registry=prometheus)
    breaker = SyncCircuitBreakerMiddleware(FAILURES, OPEN_SECONDS, uow=uow, metrics=metrics)
    factory = SyncClientFactory(
        SyncStaticDiscovery({(SERVICE, VERSION): f"{root}/v1"}), transport, registry=_registry()
    )
    factory.add_middleware(SyncPrometheusMiddleware(metrics)).add_middleware(breaker)
    factory.initialize()

    def close() -> None:
        factory.close()
        if transport is not None:
            transport.close()

    return _holdfast(factory(CLIENT), prometheus, breaker, close)


def _registry() -> Any:
    from cqrs.http import PathInfoField, Registry, Request, Response

    class Item(Response):
        name: str
        amount: int

    class GetItem(Request):
        name: str = PathInfoField()

    registry = Registry()
    registry.register(CLIENT, "items", SERVICE, VERSION, PATH, {"GET": (GetItem, Item)})
    return registry


def _holdfast(client: Any, prometheus: Any, breaker: Any, close: Callable[[], Any]) -> Made:
    from cqrs.circuit_breaker import CircuitOpenError

    return Made(
        client,
        lambda: _observed(prometheus, "holdfast"),
        lambda: int(breaker.breakers[CLIENT].snapshot().admitted),
        (CircuitOpenError,),
        close,
    )


# -- blacksmith ------------------------------------------------------------------------------------


async def blacksmith(root: str, *, verify: bool = False, uow: Any = None) -> Made:
    """An asynchronous client over the transport that blacksmith's factory makes."""
    import blacksmith as library
    from prometheus_client import CollectorRegistry

    prometheus = CollectorRegistry()
    metrics = library.PrometheusMetrics(registry=prometheus)
    factory: Any = library.AsyncClientFactory(
        library.AsyncStaticDiscovery({(SERVICE, VERSION): f"{root}/v1"}),
        registry=_blacksmith_registry(),
        verify_certificate=verify,
    )
    factory.add_middleware(library.AsyncPrometheusMiddleware(metrics))
    factory.add_middleware(
        library.AsyncCircuitBreakerMiddleware(FAILURES, OPEN_SECONDS, uow=uow, metrics=metrics)
    )
    await factory.initialize()
    return _blacksmith(await factory(CLIENT), prometheus)


def blacksmith_sync(root: str) -> Made:
    """A synchronous client."""
    import blacksmith as library
    from prometheus_client import CollectorRegistry

    prometheus = CollectorRegistry()
    metrics = library.PrometheusMetrics(registry=prometheus)
    factory: Any = library.SyncClientFactory(
        library.SyncStaticDiscovery({(SERVICE, VERSION): f"{root}/v1"}), registry=_blacksmith_registry()
    )
    factory.add_middleware(library.SyncPrometheusMiddleware(metrics))
    factory.add_middleware(library.SyncCircuitBreakerMiddleware(FAILURES, OPEN_SECONDS, metrics=metrics))
    factory.initialize()
    return _blacksmith(factory(CLIENT), prometheus)


def _blacksmith_registry() -> Any:
    from blacksmith import PathInfoField, Request, Response
    from blacksmith.domain.registry import Registry

    class Item(Response):
        name: str
        amount: int

    class GetItem(Request):
        name: str = PathInfoField()

    registry = Registry()
    registry.register(CLIENT, "items", SERVICE, VERSION, PATH, {"GET": (GetItem, Item)})
    return registry


def _blacksmith(client: Any, prometheus: Any) -> Made:
    from purgatory.domain.model import OpenedState

    return Made(client, lambda: _observed(prometheus, "blacksmith"), None, (OpenedState,))


def _observed(prometheus: Any, prefix: str) -> float:
    """Calls in all series of a histogram of latencies."""
    name = f"{prefix}_request_latency_seconds_count"
    return sum(s.value for family in prometheus.collect() for s in family.samples if s.name == name)


# -- opening circuits ------------------------------------------------------------------------------


async def trip(call: Callable[[], Any], rejections: tuple[type[BaseException], ...]) -> None:
    """Make calls, which must fail, until the circuit answers by itself."""
    for _ in range(10 * FAILURES):
        try:
            answer = await wait_for(call())
        except rejections:
            return
        except Exception:
            continue
        assert getattr(answer, "is_err", lambda: True)(), "a call that was to fail has succeeded"
    raise AssertionError("the circuit did not open")
