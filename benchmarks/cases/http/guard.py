"""The breaker as a transport of plain httpx2 clients, closed, over a transport that answers at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.environments import HTTP
from harness.model import Builder, Case, Prepared, Target

from . import clients
from .clients import BODY

URL = clients.url_of("http://shop.test")
WHERE = [HTTP]
_WHAT = (
    "`{wait}transport.{method}(request)` over an inner transport that returns the same response, read "
    "already, as mock transports do; the circuit is closed. Holdfast: {guard}, with a circuit for each host, "
    "its default, or one for the client. aiobreaker has no transport, and guards no bound methods: it "
    "decorates a function that calls the inner transport. blacksmith has nothing for plain clients."
)
ASYNC = Case(
    key="http-guard-async",
    title="breaker as a transport of an httpx2 client, closed, async",
    what=_WHAT.format(wait="await ", method="handle_async_request", guard="`AsyncCircuitBreakerTransport`"),
    targets=(Target("Holdfast", "above", 0.6),),
    group="http",
)
SYNC = Case(
    key="http-guard-sync",
    title="breaker as a transport of an httpx2 client, closed, sync",
    what=_WHAT.format(wait="", method="handle_request", guard="`SyncCircuitBreakerTransport`"),
    targets=(Target("Holdfast", "above", 0.6),),
    group="http",
)
STREAM = Case(
    key="http-guard-stream",
    title="breaker as a transport of an httpx2 client, body still to come, async",
    what=(
        "What connections bring: each response is new, and its body is read by `await response.aread()`. "
        "Holdfast settles the call at its end, so that a body that breaks off counts as a failure; "
        "aiobreaker, set up as above, is done when the headers are there."
    ),
    group="http",
)
CASES = (ASYNC, SYNC, STREAM)


def _request() -> Any:
    import httpx2

    return httpx2.Request("GET", URL)


def _inner_async() -> Any:
    import httpx2

    response = httpx2.Response(200, content=BODY)

    class Memory(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            return response

    return Memory()


def _inner_sync() -> Any:
    import httpx2

    response = httpx2.Response(200, content=BODY)

    class Memory(httpx2.BaseTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            return response

    return Memory()


def _inner_stream() -> Any:
    import httpx2

    class Body(httpx2.AsyncByteStream):
        async def __aiter__(self) -> Any:
            yield BODY

    class Memory(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            return httpx2.Response(200, stream=Body())

    return Memory()


def _guarded(kind: str, **options: Any) -> Callable[[Any], tuple[Any, Callable[[], int]]]:
    """Guards a transport; returns what its client calls, and how to learn how many calls were let through."""

    def wrap(inner: Any) -> tuple[Any, Callable[[], int]]:
        from cqrs.http.guarded.httpx import AsyncCircuitBreakerTransport, SyncCircuitBreakerTransport

        guard: Any
        if kind == "async":
            guard = AsyncCircuitBreakerTransport(inner, **options)
            handle = guard.handle_async_request
        else:
            guard = SyncCircuitBreakerTransport(inner, **options)
            handle = guard.handle_request
        name = options.get("name", "shop.test")
        return handle, lambda: int(guard.breakers[name].snapshot().succeeded)

    return wrap


def _bare(inner: Any) -> tuple[Any, None]:
    return _method_of(inner), None


def _aiobreaker(inner: Any) -> tuple[Any, None]:
    handle = _method_of(inner)
    if not hasattr(inner, "handle_async_request"):

        @clients.aiobreaker
        def call(request: Any) -> Any:
            return handle(request)

        return call, None

    @clients.aiobreaker
    async def call_async(request: Any) -> Any:
        return await handle(request)

    return call_async, None


def _method_of(inner: Any) -> Any:
    return getattr(inner, "handle_async_request", None) or inner.handle_request


Wrap = Callable[[Any], tuple[Any, Callable[[], int] | None]]


def _async(wrap: Wrap) -> Builder:
    async def build() -> Prepared:
        request = _request()
        handle, succeeded = wrap(_inner_async())
        assert (await handle(request)).content == BODY

        async def loop(count: int) -> None:
            call, sent = handle, request
            for _ in range(count):
                await call(sent)

        return Prepared(loop, verify=_recorded(succeeded))

    return build


def _sync(wrap: Wrap) -> Builder:
    def build() -> Prepared:
        request = _request()
        handle, succeeded = wrap(_inner_sync())
        assert handle(request).content == BODY

        def loop(count: int) -> None:
            call, sent = handle, request
            for _ in range(count):
                call(sent)

        return Prepared(loop, verify=_recorded(succeeded))

    return build


def _stream(wrap: Wrap) -> Builder:
    async def build() -> Prepared:
        request = _request()
        handle, succeeded = wrap(_inner_stream())
        assert await (await handle(request)).aread() == BODY

        async def loop(count: int) -> None:
            call, sent = handle, request
            for _ in range(count):
                await (await call(sent)).aread()

        return Prepared(loop, verify=_recorded(succeeded))

    return build


def _recorded(succeeded: Callable[[], int] | None) -> Callable[[int], None] | None:
    """A check that every call was a success of the circuit, the one of the self-check included."""
    if succeeded is None:
        return None

    def verify(operations: int) -> None:
        recorded = succeeded()
        assert recorded == operations + 1, f"{recorded} successes recorded, {operations + 1} calls made"

    return verify


for _case, _kind, _subject in ((ASYNC, "async", _async), (SYNC, "sync", _sync), (STREAM, "async", _stream)):
    _case.add("floor: the inner transport", _subject(_bare), WHERE, floor=True)
    _case.add("Holdfast", _subject(_guarded(_kind)), WHERE)
    _one = _guarded(_kind, key="client", name="shop")
    _case.add("Holdfast, one circuit for the client", _subject(_one), WHERE)
    _case.add("aiobreaker", _subject(_aiobreaker), WHERE)
