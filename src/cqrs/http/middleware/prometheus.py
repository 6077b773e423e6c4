"""How long calls take, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable

from cqrs.http.messages import HTTPRequest, HTTPResponse, HTTPTimeout
from cqrs.http.metrics import PrometheusMetrics
from cqrs.http.middleware.labels import ending
from cqrs.http.typing import AsyncHandle, SyncHandle


class PrometheusMiddleware:
    """Observes every call in ``<prefix>_request_latency_seconds``, by client, method, path and status.

    A call without an answer is observed too, with a word for a status: ``timeout``, ``connection_error``,
    ``rejected`` (by a circuit breaker further in), ``cancelled`` or ``error``.

    Args:
        metrics: the instruments.
        clock: seconds.
    """

    def __init__(self, metrics: PrometheusMetrics, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._metrics = metrics
        self._clock = clock


# Written twice, as the decisions are elsewhere and a flow would take longer than the rest.


class AsyncPrometheusMiddleware(PrometheusMiddleware):
    __doc__ = PrometheusMiddleware.__doc__

    def __call__(self, call_next: AsyncHandle, /) -> AsyncHandle:
        """Return a handle that observes ``call_next``."""
        observe, clock = self._metrics.observe, self._clock

        async def handle(
            request: HTTPRequest, client_name: str, path: str, timeout: HTTPTimeout
        ) -> HTTPResponse:
            start = clock()
            try:
                response = await call_next(request, client_name, path, timeout)
            except BaseException as error:
                observe(client_name, request.method, path, ending(error), clock() - start)
                raise
            observe(client_name, request.method, path, response.status_code, clock() - start)
            return response

        return handle


class SyncPrometheusMiddleware(PrometheusMiddleware):
    __doc__ = PrometheusMiddleware.__doc__

    def __call__(self, call_next: SyncHandle, /) -> SyncHandle:
        """Return a handle that observes ``call_next``."""
        observe, clock = self._metrics.observe, self._clock

        def handle(request: HTTPRequest, client_name: str, path: str, timeout: HTTPTimeout) -> HTTPResponse:
            start = clock()
            try:
                response = call_next(request, client_name, path, timeout)
            except BaseException as error:
                observe(client_name, request.method, path, ending(error), clock() - start)
                raise
            observe(client_name, request.method, path, response.status_code, clock() - start)
            return response

        return handle
