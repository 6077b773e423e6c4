"""The circuit breaker as a client middleware of ``aiohttp``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Collection
from functools import cache
from typing import TYPE_CHECKING, Any

from cqrs.circuit_breaker import CircuitBreakers, CircuitOpenError
from cqrs.circuit_breaker.gate import Token
from cqrs.http.guarded.circuits import Circuits, Excluded, Guards, Held, Key, rebuilt
from cqrs.http.outcomes import Outcomes

if TYPE_CHECKING:
    from aiohttp import ClientRequest, ClientResponse


class CircuitBreakerMiddleware:
    """Lets a request through while its circuit does: ``ClientSession(middlewares=(middleware,))``.

    Counts 5xx, timeouts and connections not made or lost; see ``Outcomes``. A response whose body is still to
    come is a success only once that has been read to its end, or has been closed. Slow is the time until the
    headers came. Rejections are ``CircuitOpenError`` and ``aiohttp.ClientConnectionError`` at once. Needs
    aiohttp 3.12. A connection that could not be had in time counts, whether the host or the session's own
    limit was to blame: aiohttp does not tell. It also repeats a request when a kept connection turns out to
    be closed: that is another call.

    Args:
        breakers: a ``CircuitBreakers``, which may share its circuits through a store; or a policy.
        key: what has a circuit of its own: ``"host"`` (with the port), ``"client"`` (one circuit, called
            ``name``), or a function that returns the circuit's name for a request.
        name: of the circuit when ``key="client"``.
        threshold: failures in a row that open a circuit, when nothing else is given; >= 1.
        ttl: seconds that it then stays open; > 0.
        excluded_as, count: see ``Outcomes``.

    Raises:
        ConfigurationError: an argument is of the wrong kind, or out of range.
        ImportError: aiohttp is not installed.
    """

    def __init__(
        self,
        breakers: Guards = None,
        *,
        key: Key = "host",
        name: str | None = None,
        threshold: int = 5,
        ttl: float = 30,
        excluded_as: Excluded = "ignored",
        count: Collection[int] = (),
    ) -> None:
        aiohttp = _aiohttp()
        outcomes = Outcomes(
            excluded_as=excluded_as,
            count=count,
            unavailable=(aiohttp.ClientConnectionError, aiohttp.ClientPayloadError),
            unsent=(aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError),
        )
        self._circuits = Circuits(breakers, key, name, threshold, ttl, _place_of, _host_of, outcomes)
        self._rejection = rejection_of()
        self._closed: Any = aiohttp.ClientConnectionError
        self._late: Any = aiohttp.SocketTimeoutError

    @property
    def breakers(self) -> CircuitBreakers:
        """The circuits."""
        return self._circuits.breakers

    async def __call__(
        self, request: ClientRequest, handler: Callable[[ClientRequest], Awaitable[ClientResponse]]
    ) -> ClientResponse:
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
        try:
            if token.limit is None:
                response = await handler(request)
            else:
                response = await self._limited(token.limit, handler(request))
        except BaseException as error:
            circuits.failed(gate, token, _cause_of(error))
            raise
        status = response.status
        connection = response.connection
        if connection is not None:
            held = circuits.begun(gate, token, status, response.headers, response)
            if held is not None:
                self._hold(response.content, connection, held)
        elif (lane := machine.lane) is not None and token is lane and lane.quick and status < 300:
            lane.successes += 1
        else:
            circuits.answered(gate, token, status, response.headers, response)
        return response

    async def _limited(self, limit: float, call: Awaitable[ClientResponse]) -> ClientResponse:
        """Await a probe no longer than its circuit allows for."""
        deadline = asyncio.timeout(limit)
        try:
            async with deadline:
                return await call
        except TimeoutError as error:
            if deadline.expired():
                raise self._late(f"no answer to a probe within {limit:g} s") from error
            raise

    def _hold(self, content: Any, connection: Any, held: Held) -> None:
        """Settle when the connection is given back: at the end of the body, or whenever it is given up."""
        closed = self._closed

        def released() -> None:
            error = content.exception()
            if error is not None and type(error) is not closed:  # that one means: closed by its reader
                held.failed(error)
                return
            raised = sys.exc_info()[1]
            gone = isinstance(raised, asyncio.CancelledError) or type(raised) is TimeoutError
            if raised is not None and gone and not content.at_eof():
                held.failed(raised)  # the total timeout, or a cancelled reader: no trace of it in the body
            else:
                held.ended()

        connection.add_callback(released)


def _place_of(request: Any) -> tuple[str, str]:
    url = request.url
    return url.scheme, url.raw_authority


def _host_of(place: tuple[str, str]) -> str:
    return place[1].removesuffix(":443" if place[0] == "https" else ":80")


def _cause_of(error: BaseException) -> BaseException:
    """Return what counts: that an answer is no HTTP is told as an answer with status 400."""
    aiohttp = sys.modules["aiohttp"]
    cause = error.__cause__
    if isinstance(error, aiohttp.ClientResponseError) and isinstance(cause, aiohttp.http.HttpProcessingError):
        return ConnectionError(f"no HTTP: {cause}")
    return error


def _aiohttp() -> Any:
    try:
        import aiohttp
    except ImportError:
        raise ImportError('aiohttp is not installed: pip install "holdfast[aiohttp]"') from None
    if not hasattr(aiohttp, "ClientMiddlewareType"):
        raise ImportError('aiohttp has no client middleware before 3.12: pip install "aiohttp>=3.12"')
    return aiohttp


@cache
def rejection_of() -> type[CircuitOpenError]:
    """Return the class of rejections that are ``aiohttp.ClientConnectionError`` as well."""

    class CircuitOpenConnectionError(CircuitOpenError, _aiohttp().ClientConnectionError):  # type: ignore[misc]
        """The circuit breaker did not let the request through; nothing was sent."""

        def __reduce__(self) -> tuple[Any, ...]:
            return rebuilt, (rejection_of, (), self.args)

    return CircuitOpenConnectionError
