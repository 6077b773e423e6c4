"""The breaker alone, closed, over something that answers at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.environments import HTTP
from harness.model import Builder, Case, Prepared, Target

from . import clients
from .clients import CLIENT, FAILURES, OPEN_SECONDS, PATH

_WHAT = (
    "The handle that the middleware makes of an inner one which returns the same response at once, called "
    "with a request, the name of the client, the path template and the timeout; nothing else around it. The "
    "circuit is closed: 5 consecutive failures would open it. The other rows of Holdfast: the default window "
    "policy (30 s, failure rate), a circuit for each route instead of each client, and metrics together with "
    "a listener. aiobreaker has no middleware: it decorates the inner handle."
)
ASYNC = Case(
    key="http-breaker-layer-async",
    title="breaker middleware alone, closed, async",
    what=_WHAT,
    targets=(Target("Holdfast", "above", 0.6),),
    group="http",
)
SYNC = Case(
    key="http-breaker-layer-sync",
    title="breaker middleware alone, closed, sync",
    what=_WHAT,
    targets=(Target("Holdfast", "above", 0.6),),
    group="http",
)
CASES = (ASYNC, SYNC)
WHERE = [HTTP]

_Count = Callable[[], int]


def holdfast_parts() -> tuple[Any, Any, Any]:
    """What a handle of Holdfast takes and returns: request, timeout, response."""
    from cqrs.http import HTTPRequest, HTTPResponse, HTTPTimeout

    request = HTTPRequest("GET", "http://shop.test/v1/items/{name}", {"name": "apple"})
    return request, HTTPTimeout(), HTTPResponse(200, {}, json={"name": "apple", "amount": 7})


def blacksmith_parts() -> tuple[Any, Any, Any]:
    """The same of blacksmith."""
    from blacksmith.domain.model.http import HTTPRequest, HTTPResponse, HTTPTimeout

    request = HTTPRequest("GET", "http://shop.test/v1/items/{name}", {"name": "apple"})
    return request, HTTPTimeout(), HTTPResponse(200, {}, {"name": "apple", "amount": 7})


def _async(
    parts: Callable[[], tuple[Any, Any, Any]], wrap: Callable[[Any], Any], count: Callable[[], _Count] | None
) -> Builder:
    """A subject: ``wrap`` makes the handle that is called, ``count`` says how many a circuit let through."""

    async def build() -> Prepared:
        request, timeout, response = parts()

        async def inner(request: Any, client_name: str, path: str, timeout: Any) -> Any:
            return response

        handle = wrap(inner)
        assert await handle(request, CLIENT, PATH, timeout) is response

        async def loop(count: int) -> None:
            call, sent, limit = handle, request, timeout
            for _ in range(count):
                await call(sent, CLIENT, PATH, limit)

        return Prepared(loop, verify=None if count is None else _admitted(count()))

    return build


def _sync(
    parts: Callable[[], tuple[Any, Any, Any]], wrap: Callable[[Any], Any], count: Callable[[], _Count] | None
) -> Builder:
    def build() -> Prepared:
        request, timeout, response = parts()

        def inner(request: Any, client_name: str, path: str, timeout: Any) -> Any:
            return response

        handle = wrap(inner)
        assert handle(request, CLIENT, PATH, timeout) is response

        def loop(count: int) -> None:
            call, sent, limit = handle, request, timeout
            for _ in range(count):
                call(sent, CLIENT, PATH, limit)

        return Prepared(loop, verify=None if count is None else _admitted(count()))

    return build


def _admitted(count: _Count) -> Callable[[int], None]:
    """A check that the circuit let every single call through, the one of the self-check included."""

    def verify(operations: int) -> None:
        admitted = count()
        assert admitted == operations + 1, f"{admitted} calls admitted, {operations + 1} made"

    return verify


class _Holdfast:
    """Makes a middleware when a subject is built, and remembers it for the check."""

    def __init__(self, options: Callable[[], dict[str, Any]], name: str, kind: str) -> None:
        self._options = options
        self._name = name
        self._kind = kind
        self._made: Any = None

    def wrap(self, inner: Any) -> Any:
        from cqrs.http import AsyncCircuitBreakerMiddleware, SyncCircuitBreakerMiddleware

        kinds = {"async": AsyncCircuitBreakerMiddleware, "sync": SyncCircuitBreakerMiddleware}
        self._made = kinds[self._kind](**self._options())
        return self._made(inner)

    def count(self) -> _Count:
        breakers = self._made.breakers
        return lambda: int(breakers[self._name].snapshot().admitted)


def _classical() -> dict[str, Any]:
    return {"threshold": FAILURES, "ttl": OPEN_SECONDS}


def _window() -> dict[str, Any]:
    from cqrs.circuit_breaker import CircuitBreakerPolicy

    return {"policy": CircuitBreakerPolicy()}


def _watched() -> dict[str, Any]:
    from prometheus_client import CollectorRegistry

    from cqrs.http.metrics import PrometheusMetrics

    heard: list[str] = []
    return {
        **_classical(),
        "metrics": PrometheusMetrics(registry=CollectorRegistry()),
        "listeners": [lambda name, event_name, event: heard.append(event_name)],
    }


def _blacksmith(kind: str) -> Callable[[Any], Any]:
    def wrap(inner: Any) -> Any:
        import blacksmith

        kinds = {
            "async": blacksmith.AsyncCircuitBreakerMiddleware,
            "sync": blacksmith.SyncCircuitBreakerMiddleware,
        }
        return kinds[kind](FAILURES, OPEN_SECONDS)(inner)

    return wrap


_ROUTE = {**_classical(), "key": "route"}
for _case, _kind, _subject in ((ASYNC, "async", _async), (SYNC, "sync", _sync)):
    _case.add(
        "floor: the inner handle", _subject(holdfast_parts, lambda inner: inner, None), WHERE, floor=True
    )
    for _label, _options, _name in (
        ("Holdfast", _classical, CLIENT),
        ("Holdfast, window policy", _window, CLIENT),
        ("Holdfast, a circuit for each route", lambda: _ROUTE, f"{CLIENT} GET {PATH}"),
        ("Holdfast, metrics and a listener", _watched, CLIENT),
    ):
        _maker = _Holdfast(_options, _name, _kind)
        _case.add(_label, _subject(holdfast_parts, _maker.wrap, _maker.count), WHERE)
    _case.add("blacksmith", _subject(blacksmith_parts, _blacksmith(_kind), None), WHERE)
    _case.add("aiobreaker", _subject(holdfast_parts, clients.aiobreaker, None), WHERE)
