"""The circuit breaker as a transport of ``httpx2`` and ``httpx`` clients."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterator
from functools import cache
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

from cqrs.circuit_breaker import CircuitBreakers, CircuitOpenError
from cqrs.circuit_breaker.gate import Token
from cqrs.exceptions import ConfigurationTypeError
from cqrs.http.guarded.circuits import Circuits, Excluded, Guards, Held, Key, rebuilt
from cqrs.http.outcomes import Outcomes
from cqrs.http.transports import libraries

if TYPE_CHECKING:
    _Base = Any  # so that the clients of both libraries take it
else:
    _Base = object


class _CircuitBreakerTransport(_Base):  # type: ignore[misc]  # it is to pass for a class of either library
    """Lets a request through to ``inner`` while its circuit does.

    Counts 5xx, timeouts and connections not made or lost; see ``Outcomes``. A response whose body is still to
    come is a success only once that has been read to its end, or has been closed. Slow is the time until the
    headers came. Rejections are ``CircuitOpenError`` and ``ConnectError`` of the library at once.

    Args:
        inner: the transport of the client: ``httpx2.HTTPTransport()``, say.
        breakers: a ``CircuitBreakers``, which may share its circuits through a store; or a policy.
        key: what has a circuit of its own: ``"host"`` (with the port), ``"client"`` (one circuit, called
            ``name``), or a function that returns the circuit's name for a request.
        name: of the circuit when ``key="client"``.
        threshold: failures in a row that open a circuit, when nothing else is given; >= 1.
        ttl: seconds that it then stays open; > 0.
        excluded_as, count: see ``Outcomes``.
        library: ``"httpx2"``, ``"httpx"`` or the module; ``None``: that of ``inner``.

    Raises:
        ConfigurationError: an argument is of the wrong kind, or out of range.
    """

    _method = ""

    def __init__(
        self,
        inner: Any,
        breakers: Guards = None,
        *,
        key: Key = "host",
        name: str | None = None,
        threshold: int = 5,
        ttl: float = 30,
        excluded_as: Excluded = "ignored",
        count: Collection[int] = (),
        library: ModuleType | str | None = None,
    ) -> None:
        if not callable(getattr(inner, self._method, None)):
            raise ConfigurationTypeError(
                f"a circuit breaker needs a transport with {self._method}, got {inner!r}"
            )
        found = None if library is not None else libraries.of(inner, "AsyncBaseTransport", "BaseTransport")
        chosen = found or libraries.named(library)
        outcomes = Outcomes(
            excluded_as=excluded_as,
            count=count,
            unavailable=(
                chosen.TimeoutException,
                chosen.NetworkError,
                chosen.RemoteProtocolError,
                chosen.ProxyError,
            ),
            unsent=(chosen.PoolTimeout, chosen.LocalProtocolError, chosen.UnsupportedProtocol),
        )
        self._inner = inner
        self._handle: Callable[[Any], Any] = getattr(inner, self._method)
        self._circuits = Circuits(breakers, key, name, threshold, ttl, _place_of, _host_of, outcomes)
        self._rejection = rejection_of(chosen.__name__)
        self._stream = _streams_of(chosen.__name__)[0 if "async" in self._method else 1]

    @property
    def breakers(self) -> CircuitBreakers:
        """The circuits."""
        return self._circuits.breakers


class AsyncCircuitBreakerTransport(_CircuitBreakerTransport):
    __doc__ = _CircuitBreakerTransport.__doc__

    _method = "handle_async_request"

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request if its circuit lets it through."""
        circuits = self._circuits
        gate = circuits.one or circuits.of(request)
        machine = gate.quick_machine
        lane = machine.lane
        if lane is not None and lane.quick:  # what enter() does first, without the price of the call
            lane.admitted += 1
            token: Token = lane
        else:
            try:
                token = gate.enter()
                if token.waits:
                    token = await gate.complete_async(token)
            except CircuitOpenError as refused:
                refused.__class__ = self._rejection  # fresh, and ours: half the price of another exception
                raise
            if token.limit is not None:
                _shorten(request, token.limit)
        try:
            response = await self._handle(request)
        except BaseException as error:
            circuits.failed(gate, token, error)
            raise
        status = response.status_code
        if not response.is_closed:
            held = circuits.begun(gate, token, status, response.headers, response)
            if held is not None:
                response.stream = self._stream(response.stream, held)
        elif (lane := machine.lane) is not None and token is lane and lane.quick and status < 300:
            lane.successes += 1
        else:
            circuits.answered(gate, token, status, response.headers, response)
        return response

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()

    async def __aenter__(self) -> AsyncCircuitBreakerTransport:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._inner.__aexit__(kind, error, trace)


class SyncCircuitBreakerTransport(_CircuitBreakerTransport):
    __doc__ = _CircuitBreakerTransport.__doc__

    _method = "handle_request"

    def handle_request(self, request: Any) -> Any:
        """Send a request if its circuit lets it through."""
        circuits = self._circuits
        gate = circuits.one or circuits.of(request)
        machine = gate.quick_machine
        lane = machine.lane
        if lane is not None and lane.quick:
            lane.admitted += 1
            token: Token = lane
        else:
            try:
                token = gate.enter()
                if token.waits:
                    token = gate.complete(token)
            except CircuitOpenError as refused:
                refused.__class__ = self._rejection  # fresh, and ours: half the price of another exception
                raise
            if token.limit is not None:
                _shorten(request, token.limit)
        try:
            response = self._handle(request)
        except BaseException as error:
            circuits.failed(gate, token, error)
            raise
        status = response.status_code
        if not response.is_closed:
            held = circuits.begun(gate, token, status, response.headers, response)
            if held is not None:
                response.stream = self._stream(response.stream, held)
        elif (lane := machine.lane) is not None and token is lane and lane.quick and status < 300:
            lane.successes += 1
        else:
            circuits.answered(gate, token, status, response.headers, response)
        return response

    def close(self) -> None:
        """Close the inner transport."""
        self._inner.close()

    def __enter__(self) -> SyncCircuitBreakerTransport:
        self._inner.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inner.__exit__(kind, error, trace)


def _place_of(request: Any) -> tuple[bytes, int | None]:
    url = request.url
    return url.raw_host, url.port


def _host_of(place: tuple[bytes, int | None]) -> str:
    host, port = place[0].decode("ascii"), place[1]
    return host if port is None else f"{host}:{port}"


def _shorten(request: Any, limit: float) -> None:
    """Give a probe no more time than its circuit does, for each wait: running into it is a failure."""
    known: dict[str, float | None] = request.extensions.get("timeout") or {}
    waits = ((name, known.get(name)) for name in ("connect", "read", "write", "pool"))
    shorter = {name: limit if seconds is None else min(seconds, limit) for name, seconds in waits}
    request.extensions = {**request.extensions, "timeout": shorter}


class _AsyncStream:
    """A body that settles the call that it belongs to."""

    def __init__(self, stream: Any, held: Held) -> None:
        self._stream = stream
        self._held = held

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._stream:
                yield chunk
        except GeneratorExit:
            raise  # closed by its reader; the stream will be, too
        except BaseException as error:
            self._held.failed(error)
            raise
        self._held.ended()

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            self._held.ended()


class _SyncStream:
    """A body that settles the call that it belongs to."""

    def __init__(self, stream: Any, held: Held) -> None:
        self._stream = stream
        self._held = held

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._stream
        except GeneratorExit:
            raise
        except BaseException as error:
            self._held.failed(error)
            raise
        self._held.ended()

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            self._held.ended()


@cache
def _streams_of(name: str) -> tuple[type[Any], type[Any]]:
    """Return the classes of streams that the clients of a library accept."""
    library = libraries.named(name)
    return (
        type("AsyncGuardedStream", (_AsyncStream, library.AsyncByteStream), {}),
        type("GuardedStream", (_SyncStream, library.SyncByteStream), {}),
    )


@cache
def rejection_of(name: str) -> type[CircuitOpenError]:
    """Return the class of rejections that are ``ConnectError`` of the library of a name as well."""
    library = libraries.named(name)

    class CircuitOpenConnectError(CircuitOpenError, library.ConnectError):  # type: ignore[misc,name-defined]
        """The circuit breaker did not let the request through; nothing was sent."""

        _request = None

        def __reduce__(self) -> tuple[Any, ...]:
            return rebuilt, (rejection_of, (name,), self.args)

    return CircuitOpenConnectError
