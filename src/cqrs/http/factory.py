"""Factories of clients: they hold what clients share, the transport and the stack of middleware."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast, overload

from cqrs.circuit_breaker.interruptions import ForkedLock
from cqrs.exceptions import ConfigurationTypeError
from cqrs.http.client import AsyncClient, Setting, SyncClient
from cqrs.http.collections import CollectionParser
from cqrs.http.core import Calls
from cqrs.http.errors import HTTPError
from cqrs.http.messages import HTTPTimeout, TimeoutLike
from cqrs.http.registry import Registry
from cqrs.http.registry import registry as default_registry
from cqrs.http.typing import (
    AsyncDiscovery,
    AsyncHTTPMiddleware,
    AsyncTransport,
    SyncDiscovery,
    SyncHTTPMiddleware,
    SyncTransport,
)

E = TypeVar("E")


def the_error_itself(error: HTTPError) -> HTTPError:
    """The error parser that changes nothing."""
    return error


class _ClientFactory(Generic[E]):
    """Makes the clients of registered services.

    Args:
        sd: where services are: a discovery.
        transport: what sends requests; ``None``: over ``httpx2``, or ``httpx`` where that is not installed.
        registry: what clients there are; the default one, of ``register()``.
        timeout: of calls that give none: ``HTTPTimeout``, seconds to read, or ``(read, connect)``.
        proxies: URLs of proxies by scheme, for the transport that is made here.
        verify_certificate: for the transport that is made here.
        collection_parser: finds the items in the answers that are lists.
        error_parser: makes the error of a result of an ``HTTPError``; default: that itself.
        errors_as_results: make results also of what is raised otherwise: no answer, an answer that cannot be
            used, a rejection by a circuit breaker.

    Raises:
        ConfigurationError: an argument is of the wrong kind.
    """

    _kinds = ("", "?")  # how the names begin of what is for it, and of what is for the other kind

    def __init__(
        self,
        sd: Any,
        transport: Any,
        registry: Registry | None,
        timeout: TimeoutLike | None,
        proxies: Mapping[str, str] | None,
        verify_certificate: Any,
        collection_parser: type[CollectionParser],
        error_parser: Callable[[HTTPError], Any],
        errors_as_results: bool,
    ) -> None:
        if not callable(getattr(sd, "get_endpoint", None)):
            raise ConfigurationTypeError(
                f"sd must be a discovery, an object with get_endpoint(service, version), not {sd!r}"
            )
        if transport is not None and not callable(transport):
            raise ConfigurationTypeError(
                f"a transport is called with the request, which {transport!r} cannot be"
            )
        for part in (sd, transport):
            self._check_kind(part)
        self.discovery = sd
        self.registry = default_registry if registry is None else registry
        self.timeout = HTTPTimeout() if timeout is None else HTTPTimeout.of(timeout)
        self._transport = transport
        self._own_transport: Any = None
        self._transport_options: dict[str, Any] = {
            "proxies": proxies,
            "verify_certificate": verify_certificate,
        }
        self._collection_parser = collection_parser
        self._error_parser = error_parser
        self._errors_as_results = errors_as_results
        self._middlewares: list[Any] = []
        self._clients: dict[str, Any] = {}
        self._lock = ForkedLock()  # of what is made once, whatever threads want it

    def add_middleware(self, middleware: Any) -> Self:
        """Add an innermost middleware: the first one added is the outermost. Returns the factory.

        Raises:
            ConfigurationTypeError: it cannot be called with the next handle, or is for the other kind of
                clients.
        """
        if isinstance(middleware, type) or not callable(middleware):
            raise ConfigurationTypeError(
                "a middleware is an object that is called with the next handle and returns a handle,"
                f" not {middleware!r}"
            )
        self._check_kind(middleware)
        self._middlewares.append(middleware)
        self._clients.clear()  # those that were handed out go on as they are
        return self

    @property
    def middlewares(self) -> tuple[Any, ...]:
        """The middlewares, outermost first."""
        return tuple(self._middlewares)

    def _check_kind(self, part: object) -> None:
        """Refuse what this package has for the other kind of clients."""
        mine, other = self._kinds
        for kind in type(part).__mro__:
            if kind.__module__.startswith("cqrs.http.") and kind.__name__.startswith(other):
                raise ConfigurationTypeError(
                    f"{type(part).__name__} is for {other}ClientFactory, and this is {mine}ClientFactory:"
                    f" give it what begins with {mine} instead"
                )

    def _make_transport(self) -> Any:
        raise NotImplementedError

    @property
    def transport(self) -> Any:
        """What sends requests; made when it is first needed, if none was given."""
        if self._transport is not None:
            return self._transport
        with self._lock.mine():
            if self._own_transport is None:
                self._own_transport = self._make_transport()
            return self._own_transport

    def _client(self, name: str, make: Callable[[Calls[E], Setting], Any]) -> Any:
        known = self._clients.get(name)
        if known is not None:
            return known
        resources = self.registry.resources_of(name)
        service, version = self.registry.services[name]
        handle = self.transport
        for middleware in reversed(self._middlewares):
            opened = getattr(middleware, "open_client", None)
            if opened is not None:
                opened(name)
            handle = middleware(handle)
        setting = Setting(
            service=service,
            version=version,
            endpoint=self.discovery.get_endpoint,
            known=getattr(self.discovery, "known", _not_known),
            told_failed=getattr(self.discovery, "failed", _not_told),
            handle=handle,
            timeout=self.timeout,
        )
        calls = Calls(name, resources, self._collection_parser, self._error_parser, self._errors_as_results)
        # Another thread, or a listener of this one, may have made it meanwhile.
        return self._clients.setdefault(name, make(cast("Calls[E]", calls), setting))

    def _parts(self) -> list[Any]:
        """Everything that may want to be initialized and closed, in this order."""
        return [self.transport, self.discovery, *reversed(self._middlewares)]

    def _let_go(self) -> list[Any]:
        """Everything that may want to be closed, the last first; it is no longer the factory's."""
        with self._lock.mine():
            own, self._own_transport = self._own_transport, None
        self._clients.clear()
        parts = [] if own is None else [own]
        return [*parts, self.discovery, *reversed(self._middlewares)]


class AsyncClientFactory(_ClientFactory[E]):
    __doc__ = _ClientFactory.__doc__
    _kinds = ("Async", "Sync")

    @overload
    def __init__(
        self: AsyncClientFactory[HTTPError],
        sd: AsyncDiscovery,
        transport: AsyncTransport | None = ...,
        registry: Registry | None = ...,
        timeout: TimeoutLike | None = ...,
        proxies: Mapping[str, str] | None = ...,
        verify_certificate: Any = ...,
        collection_parser: type[CollectionParser] = ...,
        *,
        errors_as_results: bool = ...,
    ) -> None: ...

    @overload
    def __init__(
        self,
        sd: AsyncDiscovery,
        transport: AsyncTransport | None = ...,
        registry: Registry | None = ...,
        timeout: TimeoutLike | None = ...,
        proxies: Mapping[str, str] | None = ...,
        verify_certificate: Any = ...,
        collection_parser: type[CollectionParser] = ...,
        *,
        error_parser: Callable[[HTTPError], E],
        errors_as_results: bool = ...,
    ) -> None: ...

    def __init__(
        self,
        sd: AsyncDiscovery,
        transport: AsyncTransport | None = None,
        registry: Registry | None = None,
        timeout: TimeoutLike | None = None,
        proxies: Mapping[str, str] | None = None,
        verify_certificate: Any = True,
        collection_parser: type[CollectionParser] = CollectionParser,
        error_parser: Callable[[HTTPError], Any] = the_error_itself,
        errors_as_results: bool = False,
    ) -> None:
        super().__init__(
            sd,
            transport,
            registry,
            timeout,
            proxies,
            verify_certificate,
            collection_parser,
            error_parser,
            errors_as_results,
        )

    def add_middleware(self, middleware: AsyncHTTPMiddleware) -> Self:
        return super().add_middleware(middleware)

    def _make_transport(self) -> AsyncTransport:
        from cqrs.http.transports.httpx import AsyncHttpxTransport  # needs an extra

        return AsyncHttpxTransport(**self._transport_options)

    async def initialize(self) -> None:
        """Get everything ready now, not with the first call: connects the store of a circuit breaker, say."""
        for part in self._parts():
            if (initialize := getattr(part, "initialize", None)) is not None:
                await initialize()

    async def __call__(self, client_name: str) -> AsyncClient[E]:
        """Return a client; always the same for a name.

        Raises:
            UnregisteredClientError: nothing is registered under this name.
        """
        client: AsyncClient[E] = self._client(client_name, AsyncClient)
        return client

    async def aclose(self) -> None:
        """Close the pool, if it was made here, and whatever middleware and discovery hold."""
        async with contextlib.AsyncExitStack() as stack:  # so that each is closed whatever another raises
            for part in self._let_go():
                if (close := getattr(part, "aclose", None)) is not None:
                    stack.push_async_callback(close)

    async def __aenter__(self) -> Self:
        try:
            await self.initialize()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


class SyncClientFactory(_ClientFactory[E]):
    __doc__ = _ClientFactory.__doc__
    _kinds = ("Sync", "Async")

    @overload
    def __init__(
        self: SyncClientFactory[HTTPError],
        sd: SyncDiscovery,
        transport: SyncTransport | None = ...,
        registry: Registry | None = ...,
        timeout: TimeoutLike | None = ...,
        proxies: Mapping[str, str] | None = ...,
        verify_certificate: Any = ...,
        collection_parser: type[CollectionParser] = ...,
        *,
        errors_as_results: bool = ...,
    ) -> None: ...

    @overload
    def __init__(
        self,
        sd: SyncDiscovery,
        transport: SyncTransport | None = ...,
        registry: Registry | None = ...,
        timeout: TimeoutLike | None = ...,
        proxies: Mapping[str, str] | None = ...,
        verify_certificate: Any = ...,
        collection_parser: type[CollectionParser] = ...,
        *,
        error_parser: Callable[[HTTPError], E],
        errors_as_results: bool = ...,
    ) -> None: ...

    def __init__(
        self,
        sd: SyncDiscovery,
        transport: SyncTransport | None = None,
        registry: Registry | None = None,
        timeout: TimeoutLike | None = None,
        proxies: Mapping[str, str] | None = None,
        verify_certificate: Any = True,
        collection_parser: type[CollectionParser] = CollectionParser,
        error_parser: Callable[[HTTPError], Any] = the_error_itself,
        errors_as_results: bool = False,
    ) -> None:
        super().__init__(
            sd,
            transport,
            registry,
            timeout,
            proxies,
            verify_certificate,
            collection_parser,
            error_parser,
            errors_as_results,
        )

    def add_middleware(self, middleware: SyncHTTPMiddleware) -> Self:
        return super().add_middleware(middleware)

    def _make_transport(self) -> SyncTransport:
        from cqrs.http.transports.httpx import SyncHttpxTransport  # needs an extra

        return SyncHttpxTransport(**self._transport_options)

    def initialize(self) -> None:
        """Get everything ready now, not with the first call."""
        for part in self._parts():
            if (initialize := getattr(part, "initialize", None)) is not None:
                initialize()

    def __call__(self, client_name: str) -> SyncClient[E]:
        """Return a client; always the same for a name.

        Raises:
            UnregisteredClientError: nothing is registered under this name.
        """
        client: SyncClient[E] = self._client(client_name, SyncClient)
        return client

    def close(self) -> None:
        """Close the pool, if it was made here, and whatever middleware and discovery hold."""
        with contextlib.ExitStack() as stack:  # so that each is closed whatever another raises
            for part in self._let_go():
                if (close := getattr(part, "close", None)) is not None:
                    stack.callback(close)

    def __enter__(self) -> Self:
        try:
            self.initialize()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _not_known(service: str, version: str | None) -> str | None:
    return None


def _not_told(service: str, version: str | None, url: str) -> None:
    pass
