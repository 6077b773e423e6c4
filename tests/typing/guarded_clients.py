"""Guards and transports fit where the libraries take them."""

import aiohttp
import httpx
import httpx2
import requests

from cqrs.http.guarded.aiohttp import CircuitBreakerMiddleware
from cqrs.http.guarded.httpx import AsyncCircuitBreakerTransport, SyncCircuitBreakerTransport
from cqrs.http.guarded.requests import CircuitBreakerAdapter
from cqrs.http.transports.aiohttp import AsyncAiohttpTransport
from cqrs.http.transports.httpx import AsyncHttpxTransport, SyncHttpxTransport
from cqrs.http.typing import AsyncTransport, SyncTransport

a: AsyncTransport = AsyncHttpxTransport()
b: SyncTransport = SyncHttpxTransport()
c: AsyncTransport = AsyncAiohttpTransport()
x = httpx2.AsyncClient(transport=AsyncCircuitBreakerTransport(httpx2.AsyncHTTPTransport()))
x1 = httpx.AsyncClient(transport=AsyncCircuitBreakerTransport(httpx.AsyncHTTPTransport()))
y = httpx2.Client(transport=SyncCircuitBreakerTransport(httpx2.HTTPTransport(), threshold=3))
y1 = httpx.Client(transport=SyncCircuitBreakerTransport(httpx.HTTPTransport()))
s = requests.Session()
s.mount("https://", CircuitBreakerAdapter())


async def f() -> None:
    async with aiohttp.ClientSession(middlewares=(CircuitBreakerMiddleware(),)):
        pass
