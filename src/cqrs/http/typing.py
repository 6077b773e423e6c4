"""The seams of a service client: what a middleware, a transport and a discovery must be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias, runtime_checkable

from cqrs.http.messages import HTTPRequest, HTTPResponse, HTTPTimeout

AsyncHandle: TypeAlias = Callable[[HTTPRequest, str, str, HTTPTimeout], Awaitable[HTTPResponse]]
"""``await handle(request, client_name, path, timeout)``; ``path`` is the template, without the values."""

SyncHandle: TypeAlias = Callable[[HTTPRequest, str, str, HTTPTimeout], HTTPResponse]
"""The same, not awaited."""


class AsyncHTTPMiddleware(Protocol):
    """Code around every call of the clients of a factory.

    An answer with an error status is an answer: it comes back as an ``HTTPResponse``. (``HTTPError`` raised
    by a transport or middleware of your own is taken for the same by everything here.)
    Optional: ``async initialize()`` and ``async aclose()``, called with the factory's; and
    ``open_client(client_name)``, called when a client is made.
    """

    def __call__(self, call_next: AsyncHandle, /) -> AsyncHandle:
        """Return a handle around ``call_next``; called once per client."""
        ...


class SyncHTTPMiddleware(Protocol):
    """``AsyncHTTPMiddleware`` of synchronous clients; ``initialize()`` and ``close()`` are plain methods."""

    def __call__(self, call_next: SyncHandle, /) -> SyncHandle:
        """Return a handle around ``call_next``; called once per client."""
        ...


@runtime_checkable
class AsyncTransport(Protocol):
    """What sends requests. Optional: ``async initialize()`` and ``async aclose()``."""

    def __call__(
        self, request: HTTPRequest, client_name: str, path: str, timeout: HTTPTimeout, /
    ) -> Awaitable[HTTPResponse]:
        """Send a request and return the answer, read to its end.

        Raises:
            HTTPTimeoutError, HTTPConnectionError, HTTPResponseError, HTTPRequestError: as their names say.
        """
        ...


@runtime_checkable
class SyncTransport(Protocol):
    """``AsyncTransport`` of synchronous clients."""

    def __call__(
        self, request: HTTPRequest, client_name: str, path: str, timeout: HTTPTimeout, /
    ) -> HTTPResponse:
        """Send a request and return the answer, read to its end."""
        ...


class AsyncDiscovery(Protocol):
    """Where services are. Optional: ``async aclose()``."""

    def get_endpoint(self, service: str, version: str | None, /) -> Awaitable[str]:
        """Return the base URL of a service, without a slash at its end.

        Asked before every call: it is for the discovery to remember. It may also have a plain attribute
        ``known(service, version) -> str | None``, which answers at once when it can.

        Raises:
            DiscoveryError: it is not known.
        """
        ...


class SyncDiscovery(Protocol):
    """``AsyncDiscovery`` of synchronous clients."""

    def get_endpoint(self, service: str, version: str | None, /) -> str:
        """Return the base URL of a service, without a slash at its end."""
        ...


Listener: TypeAlias = Callable[[str, str, Any], object]
"""Told ``(circuit_name, event_name, event)``."""
