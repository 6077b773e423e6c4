"""Transports over ``httpx2`` or ``httpx``: pooled connections, deadlines that hold, bounded bodies.

Of the library they use what is below its client: the connection pool, or a transport that you give. A call
costs less that way, and does what this module says whatever the defaults of a client are.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
import weakref
from typing import Any

from cqrs.http.messages import HTTPRequest, HTTPResponse, HTTPTimeout
from cqrs.http.transports import addresses, failures, pools
from cqrs.http.transports.calls import AsyncCalls
from cqrs.http.transports.httpx_exchange import HttpxExchange


class AsyncHttpxTransport(HttpxExchange, AsyncCalls):
    """Sends requests of asynchronous clients through ``httpx2`` or ``httpx``.

    There is one pool per event loop; ``aclose()`` closes the one of the loop that it runs in. Timeouts: to
    connect, between two pieces of the answer, and for the call as a whole, which always ends in time.

    Args:
        client: an ``AsyncClient`` of yours, used as it is and never closed.
        transport: an ``AsyncBaseTransport`` (``MockTransport``, ``ASGITransport``), closed by ``aclose()``.
        verify_certificate: ``False`` accepts any; or a file or folder of certificates to trust, or a context.
        proxies: URLs of proxies by ``"http"``, ``"https"`` or ``"all"``. The environment is not asked.
        http2: whether to offer HTTP/2 (needs the package ``h2``).
        max_connections: connections at most, for each scheme; >= 1.
        max_keepalive: idle connections kept, for 5 s each; >= 1.
        max_body_size: bytes of a body at most, also once decompressed; >= 1, 16 MiB by default.
        follow_redirects: redirections to follow at most, >= 0: only within the origin of the request, and
            only those of GET and HEAD or with status 307 and 308. Any other is returned as it is.
        library: ``"httpx2"``, ``"httpx"`` or the module; ``None``: that of what is given, or what is there.

    Raises:
        ConfigurationError: an argument is not as described.
        ImportError: no such library is installed.
    """

    _kind = "Async"

    def _prepare(self) -> None:
        AsyncCalls.__init__(self)
        self._pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Any]] = (
            weakref.WeakKeyDictionary()
        )

    async def _exchange(self, request: HTTPRequest, url: str, timeout: HTTPTimeout) -> HTTPResponse:
        response: Any
        if self._client is None and self._transport is None:
            scheme, sent = self._to_core(request, url, timeout)
            response = await self._pool(scheme).handle_async_request(sent)
            status, raw = response.status, response.headers
        else:
            sent = self._to_httpx(request, url, timeout)
            if self._client is not None:
                response = await self._client.send(sent, stream=True)
            else:
                response = await self._transport.handle_async_request(sent)
            status, raw = response.status_code, response.headers.raw
        try:
            known = self._read_already(request, response)
            if known is not None:
                return known
            body, headers = self._begin(request, status, raw)
            async for chunk in response.stream:
                body.add(chunk)
            return HTTPResponse(status, headers, content=body.end())
        finally:
            await response.aclose()

    def _pool(self, scheme: str) -> Any:
        loop = asyncio.get_running_loop()
        found = self._pools.get(loop)
        if found is None:
            found = self._pools[loop] = {}
        pool = found.get(scheme)
        if pool is None:
            pool = found[scheme] = pools.make_pool(self._library, self._options, scheme)
        return pool

    async def aclose(self) -> None:
        """Close the connections of this event loop; a later call makes new ones.

        Calls that are under way end in ``HTTPClosedError``.
        """
        self._note_closing()
        for pool in self._pools.pop(asyncio.get_running_loop(), {}).values():
            await pool.aclose()
        if self._transport is not None:
            await self._transport.aclose()


class SyncHttpxTransport(HttpxExchange):
    """``AsyncHttpxTransport`` of synchronous clients; any number of threads may use it.

    The total timeout holds to the moment for connections of this transport, but for the look-up of names,
    which nothing can interrupt. With a client or transport of yours it is looked at between two pieces of the
    body, so that a call may last up to one ``read`` longer, and longer with a server that drips headers.

    Args:
        client: a ``Client`` of yours, used as it is and never closed.
        transport: a ``BaseTransport`` (``MockTransport``, ``WSGITransport``), closed by ``close()``.
        verify_certificate, proxies, http2, max_connections, max_keepalive, max_body_size, follow_redirects,
        library: as for ``AsyncHttpxTransport``.
    """

    def _prepare(self) -> None:
        self._closings = 0
        self._deadline = pools.Deadline()
        self._backend = pools.DeadlineBackend(self._library, self._deadline)
        self._pools: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __call__(
        self, request: HTTPRequest, client_name: str, path: str, timeout: HTTPTimeout
    ) -> HTTPResponse:
        """Send a request and return the answer, read to its end."""
        deadline, closings = self._deadline, self._closings
        deadline.at = time.monotonic() + timeout.limit
        try:
            url = request.url
            response = self._exchange(request, url, timeout)
            for _ in range(self._redirects):
                further = addresses.next_url(request, url, response)
                if further is None:
                    break
                url = further
                response = self._exchange(request, url, timeout)
            return response
        except Exception as error:
            ours = self._translated(error, request, timeout, deadline.left() <= 0)
            if ours is None:
                raise
            if closings != self._closings:
                ours = failures.closed_meanwhile(ours, request)
            raise ours from error
        finally:
            deadline.at = math.inf

    def _exchange(self, request: HTTPRequest, url: str, timeout: HTTPTimeout) -> HTTPResponse:
        response: Any
        if self._client is None and self._transport is None:
            scheme, sent = self._to_core(request, url, timeout)
            response = self._pool(scheme).handle_request(sent)
            status, raw = response.status, response.headers
        else:
            sent = self._to_httpx(request, url, timeout)
            if self._client is not None:
                response = self._client.send(sent, stream=True)
            else:
                response = self._transport.handle_request(sent)
            status, raw = response.status_code, response.headers.raw
        try:
            known = self._read_already(request, response)
            if known is not None:
                return known
            body, headers = self._begin(request, status, raw)
            for chunk in response.stream:
                body.add(chunk)
                if self._deadline.left() <= 0:
                    raise failures.timeout_error("total", request, timeout)
            return HTTPResponse(status, headers, content=body.end())
        finally:
            response.close()

    def _pool(self, scheme: str) -> Any:
        pool = self._pools.get(scheme)
        if pool is None:
            with self._lock:
                pool = self._pools.get(scheme)
                if pool is None:
                    pool = pools.make_pool(self._library, self._options, scheme, self._backend)
                    self._pools[scheme] = pool
        return pool

    def close(self) -> None:
        """Close the connections; a later call makes new ones. Calls under way end in ``HTTPClosedError``."""
        self._closings += 1
        with self._lock:
            closing, self._pools = self._pools, {}
        for pool in closing.values():
            pool.close()
        if self._transport is not None:
            self._transport.close()
