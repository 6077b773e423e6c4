"""A whole call of a client, with the answer made in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.environments import HTTP
from harness.model import Case, Prepared, Target

from . import clients
from .clients import BODY, NAME, Made

ROOT = "http://shop.test"
URL = clients.url_of(ROOT)
TYPE = {"content-type": "application/json"}
WHERE = [HTTP]
_WHAT = (
    "`(await client.items.get({'name': 'apple'})).unwrap()`: parameters checked and put into the URL, "
    "breaker and Prometheus around the transport, answer validated into a model. A `httpx2.MockTransport` "
    "answers. "
    "The floor is `(await client.get(url)).json()` of one `httpx2.AsyncClient` over the same transport. "
    "Holdfast's transport uses what is below such a client, which saves most of what the rest costs; a "
    "second row shows it given an `httpx2.AsyncClient`. aiobreaker guards the call of the floor. blacksmith "
    "makes a client of httpx for each call and takes no transport for it: for its samples "
    "`httpx.AsyncHTTPTransport.handle_async_request` is replaced by the same answer, so that all is done but "
    "the sending. The row of bare httpx is one `httpx.AsyncClient` over a mock transport."
)
ASYNC = Case(
    key="http-client-mock-async",
    title="a call through a client with breaker and Prometheus, mock transport, async",
    what=_WHAT,
    targets=(Target("Holdfast", "ratio", 1.35),),
    group="http",
)
SYNC = Case(
    key="http-client-mock-sync",
    title="a call through a client with breaker and Prometheus, mock transport, sync",
    what=_WHAT.replace("await ", "").replace("Async", "").replace("_async_", "_"),
    targets=(Target("Holdfast", "ratio", 1.35),),
    group="http",
)
CASES = (ASYNC, SYNC)


def _mock(library: Any) -> Any:
    """The transport that answers, of httpx2 or httpx."""
    response = library.Response
    return library.MockTransport(lambda request: response(200, headers=TYPE, content=BODY))


# -- asynchronous ----------------------------------------------------------------------------------


async def _awaits(client: Any, **options: Any) -> Prepared:
    """Calls of a client of httpx2 or httpx."""
    clients.check((await client.get(URL)).json())

    async def loop(count: int) -> None:
        for _ in range(count):
            (await client.get(URL)).json()

    return Prepared(loop, close=client.aclose, **options)


async def _calls_async(made: Made, close: Callable[[], Any] | None = None) -> Prepared:
    """Calls of a client of Holdfast or blacksmith."""
    client = made.client
    clients.check((await client.items.get({"name": NAME})).unwrap())

    async def loop(count: int) -> None:
        for _ in range(count):
            (await client.items.get({"name": NAME})).unwrap()

    return Prepared(loop, verify=made.check, close=close or made.close)


@ASYNC.subject("floor: httpx2.AsyncClient", *WHERE, floor=True)
async def _() -> Prepared:
    import httpx2

    return await _awaits(httpx2.AsyncClient(transport=_mock(httpx2)))


@ASYNC.subject("Holdfast", *WHERE)
async def _() -> Prepared:
    import httpx2

    from cqrs.http.transports.httpx import AsyncHttpxTransport

    return await _calls_async(await clients.holdfast(ROOT, AsyncHttpxTransport(transport=_mock(httpx2))))


@ASYNC.subject("Holdfast, given an httpx2.AsyncClient", *WHERE)
async def _() -> Prepared:
    import httpx2

    from cqrs.http.transports.httpx import AsyncHttpxTransport

    inner = httpx2.AsyncClient(transport=_mock(httpx2))
    made = await clients.holdfast(ROOT, AsyncHttpxTransport(inner))
    return await _calls_async(made, inner.aclose)


@ASYNC.subject("aiobreaker, around httpx2.AsyncClient", *WHERE)
async def _() -> Prepared:
    import httpx2

    client = httpx2.AsyncClient(transport=_mock(httpx2))

    @clients.aiobreaker
    async def get(url: str) -> Any:
        return await client.get(url)

    clients.check((await get(URL)).json())

    async def loop(count: int) -> None:
        for _ in range(count):
            (await get(URL)).json()

    return Prepared(loop, close=client.aclose)


@ASYNC.subject("bare httpx.AsyncClient", *WHERE)
async def _() -> Prepared:
    import httpx

    return await _awaits(httpx.AsyncClient(transport=_mock(httpx)))


@ASYNC.subject("blacksmith", *WHERE)
async def _() -> Prepared:
    import httpx

    made = await clients.blacksmith(ROOT)

    async def answer(transport: Any, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=TYPE, content=BODY)

    return await _calls_async(made, _replaced(httpx.AsyncHTTPTransport, "handle_async_request", answer))


# -- synchronous -----------------------------------------------------------------------------------


def _gets(client: Any) -> Prepared:
    clients.check(client.get(URL).json())

    def loop(count: int) -> None:
        for _ in range(count):
            client.get(URL).json()

    return Prepared(loop, close=client.close)


def _calls(made: Made, close: Callable[[], Any] | None = None) -> Prepared:
    client = made.client
    clients.check(client.items.get({"name": NAME}).unwrap())

    def loop(count: int) -> None:
        for _ in range(count):
            client.items.get({"name": NAME}).unwrap()

    return Prepared(loop, verify=made.check, close=close or made.close)


@SYNC.subject("floor: httpx2.Client", *WHERE, floor=True)
def _() -> Prepared:
    import httpx2

    return _gets(httpx2.Client(transport=_mock(httpx2)))


@SYNC.subject("Holdfast", *WHERE)
def _() -> Prepared:
    import httpx2

    from cqrs.http.transports.httpx import SyncHttpxTransport

    return _calls(clients.holdfast_sync(ROOT, SyncHttpxTransport(transport=_mock(httpx2))))


@SYNC.subject("Holdfast, given an httpx2.Client", *WHERE)
def _() -> Prepared:
    import httpx2

    from cqrs.http.transports.httpx import SyncHttpxTransport

    inner = httpx2.Client(transport=_mock(httpx2))
    return _calls(clients.holdfast_sync(ROOT, SyncHttpxTransport(inner)), inner.close)


@SYNC.subject("aiobreaker, around httpx2.Client", *WHERE)
def _() -> Prepared:
    import httpx2

    client = httpx2.Client(transport=_mock(httpx2))

    @clients.aiobreaker
    def get(url: str) -> Any:
        return client.get(url)

    clients.check(get(URL).json())

    def loop(count: int) -> None:
        for _ in range(count):
            get(URL).json()

    return Prepared(loop, close=client.close)


@SYNC.subject("bare httpx.Client", *WHERE)
def _() -> Prepared:
    import httpx

    return _gets(httpx.Client(transport=_mock(httpx)))


@SYNC.subject("blacksmith", *WHERE)
def _() -> Prepared:
    import httpx

    made = clients.blacksmith_sync(ROOT)

    def answer(transport: Any, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=TYPE, content=BODY)

    return _calls(made, _replaced(httpx.HTTPTransport, "handle_request", answer))


def _replaced(owner: Any, name: str, function: Any) -> Callable[[], None]:
    """Replace a method; returns how to put it back. Nobody else in these cases uses it."""
    original = getattr(owner, name)
    setattr(owner, name, function)
    return lambda: setattr(owner, name, original)
