"""The circuit breaker as an adapter of ``requests``."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from cqrs.circuit_breaker import CircuitBreakers, CircuitOpenError
from cqrs.circuit_breaker.gate import Token
from cqrs.exceptions import ConfigurationTypeError
from cqrs.http.guarded.circuits import Circuits, Excluded, Guards, Held, Key, rebuilt, rejection
from cqrs.http.outcomes import Outcomes

if TYPE_CHECKING:
    from requests import PreparedRequest, Response

    _Base = Any  # so that Session.mount takes it
else:
    _Base = object


class CircuitBreakerAdapter(_Base):  # type: ignore[misc]  # requests is imported by who makes one
    """Lets a request through to ``inner`` while its circuit does.

    ::

        session = requests.Session()
        adapter = CircuitBreakerAdapter()
        session.mount("https://", adapter)
        session.mount("http://", adapter)

    Counts 5xx, timeouts and connections not made or lost; see ``Outcomes``. Without ``stream=True`` the body
    is read here; with it, the response is a success only once its body has been read to its end, or has been
    closed. Slow is the time until the headers came. Rejections are ``CircuitOpenError`` and
    ``requests.exceptions.ConnectionError`` at once.

    Args:
        inner: the adapter that sends; ``None``: an ``HTTPAdapter``.
        breakers: a ``CircuitBreakers``, which may share its circuits through a store; or a policy.
        key: what has a circuit of its own: ``"host"`` (with the port), ``"client"`` (one circuit, called
            ``name``), or a function that returns the circuit's name for a request.
        name: of the circuit when ``key="client"``.
        threshold: failures in a row that open a circuit, when nothing else is given; >= 1.
        ttl: seconds that it then stays open; > 0.
        excluded_as, count: see ``Outcomes``.

    Raises:
        ConfigurationError: an argument is of the wrong kind, or out of range.
        ImportError: requests is not installed.
    """

    def __init__(
        self,
        inner: Any = None,
        breakers: Guards = None,
        *,
        key: Key = "host",
        name: str | None = None,
        threshold: int = 5,
        ttl: float = 30,
        excluded_as: Excluded = "ignored",
        count: Collection[int] = (),
    ) -> None:
        requests = _requests()
        if inner is None:
            inner = requests.adapters.HTTPAdapter()
        if not callable(getattr(inner, "send", None)):
            raise ConfigurationTypeError(f"CircuitBreakerAdapter needs an adapter with send, got {inner!r}")
        errors = requests.exceptions
        outcomes = Outcomes(
            excluded_as=excluded_as,
            count=count,
            unavailable=(errors.ConnectionError, errors.Timeout, errors.ChunkedEncodingError, *_below()),
            unsent=(errors.InvalidURL, errors.InvalidSchema, errors.MissingSchema, errors.InvalidHeader),
        )
        self._inner = inner
        self._circuits = Circuits(breakers, key, name, threshold, ttl, _place_of, _host_of, outcomes)
        self._rejection = rejection_of()

    @property
    def breakers(self) -> CircuitBreakers:
        """The circuits."""
        return self._circuits.breakers

    def send(
        self, request: PreparedRequest, stream: bool = False, timeout: Any = None, **options: Any
    ) -> Response:
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
                    token = gate.complete(token)
            except CircuitOpenError as refused:
                error = rejection(self._rejection, refused)
                error.request = request  # type: ignore[attr-defined]  # as its other base has it
                raise error from None
            if token.limit is not None:
                timeout = _shorter(timeout, token.limit)
        try:
            response: Response = self._inner.send(request, stream=stream, timeout=timeout, **options)
            status = response.status_code
            if not stream and status < 300:
                if token is not lane:
                    gate.answered(token)
                response.content  # noqa: B018  (read here, where a failure to do so is seen)
        except BaseException as error:
            circuits.failed(gate, token, error)
            raise
        if stream and response.raw is not None:
            held = circuits.begun(gate, token, status, response.headers, response)
            if held is not None:
                response.raw = _Raw(response.raw, held)
        elif (lane := machine.lane) is not None and token is lane and lane.quick and status < 300:
            lane.successes += 1
        else:
            circuits.answered(gate, token, status, response.headers, response)
        return response

    def close(self) -> None:
        """Close the inner adapter."""
        self._inner.close()


class _Raw:
    """The raw body of a response; settles the call that it belongs to."""

    def __init__(self, raw: Any, held: Held) -> None:
        self._raw = raw
        self._held = held

    def stream(self, *args: Any, **options: Any) -> Iterator[bytes]:
        try:
            if hasattr(self._raw, "stream"):
                yield from self._raw.stream(*args, **options)
            else:
                size = args[0] if args else None
                while chunk := self._raw.read(size):
                    yield chunk
        except GeneratorExit:
            raise
        except BaseException as error:
            self._held.failed(error)
            raise
        self._held.ended()

    def read(self, *args: Any, **options: Any) -> Any:
        try:
            data = self._raw.read(*args, **options)
        except BaseException as error:
            self._held.failed(error)
            raise
        if not data or not args or args[0] is None:
            self._held.ended()
        return data

    def close(self) -> None:
        try:
            self._raw.close()
        finally:
            self._held.ended()

    def release_conn(self) -> None:
        try:
            release = getattr(self._raw, "release_conn", None)
            if release is not None:
                release()
        finally:
            self._held.ended()

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._raw
        except GeneratorExit:
            raise
        except BaseException as error:
            self._held.failed(error)
            raise
        self._held.ended()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


def _place_of(request: Any) -> str:
    url: str = request.url
    return url[: url.find("/", 8)]  # behind "https://"; a prepared URL has a path


def _host_of(place: str) -> str:
    scheme, _, authority = place.partition("://")
    host = authority.rpartition("@")[2].lower()
    return host.removesuffix(":443" if scheme == "https" else ":80")


def _shorter(timeout: Any, limit: float) -> tuple[float, float]:
    """Give a probe no more time than its circuit does, for each wait: running into it is a failure."""
    waits: Any = cast("Any", timeout) if isinstance(timeout, tuple) else (timeout, timeout)
    connect, read = waits
    return (
        limit if connect is None else min(connect, limit),
        limit if read is None else min(read, limit),
    )


def _requests() -> Any:
    try:
        import requests
    except ImportError:
        raise ImportError('requests is not installed: pip install "holdfast[requests]"') from None
    return requests


def _connection_error() -> Any:
    return _requests().exceptions.ConnectionError


def _below() -> tuple[type[BaseException], ...]:
    """Return the errors of the library below, which a raw body raises."""
    from urllib3 import exceptions

    return exceptions.ProtocolError, exceptions.TimeoutError, exceptions.SSLError


@cache
def rejection_of() -> type[CircuitOpenError]:
    """Return the class of rejections that are ``requests.exceptions.ConnectionError`` as well."""

    class CircuitOpenConnectionError(CircuitOpenError, _connection_error()):  # type: ignore[misc]
        """The circuit breaker did not let the request through; nothing was sent."""

        request: Any = None
        response: Any = None

        def __reduce__(self) -> tuple[Any, ...]:
            return rebuilt, (rejection_of, (), self.args)

    return CircuitOpenConnectionError
