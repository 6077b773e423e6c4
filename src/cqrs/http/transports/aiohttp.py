"""A transport over ``aiohttp``: for asynchronous clients, at about a quarter of the cost of httpx."""

from __future__ import annotations

import asyncio
import io
import os
import ssl
import weakref
from collections.abc import Mapping
from typing import Any, cast

from cqrs.exceptions import ConfigurationError
from cqrs.http.errors import HTTPRequestError
from cqrs.http.messages import HTTPRequest, HTTPResponse, HTTPTimeout
from cqrs.http.transports import addresses, failures, outgoing, pools
from cqrs.http.transports.bodies import DEFAULT_LIMIT, Body
from cqrs.http.transports.calls import AsyncCalls
from cqrs.http.transports.validation import count

_LARGE = 1024 * 1024
"""Above this many bytes aiohttp wants a file: it sends bytes in one go, and warns of it."""

_SKIPPED = ("User-Agent", "Accept", "Accept-Encoding")


class AsyncAiohttpTransport(AsyncCalls):
    """Sends requests of asynchronous clients through ``aiohttp``.

    There is one session per event loop, made by its first call, without cookies; ``aclose()`` closes the one
    of the loop that it runs in. aiohttp itself repeats a request of an idempotent method once when a kept
    connection turns out to be closed. Timeouts, bodies, redirections and errors are as those of
    ``AsyncHttpxTransport``.

    Args:
        client: a ``ClientSession`` of yours, used as it is and never closed.
        verify_certificate: ``False`` accepts any; or a file or folder of certificates to trust, or a context.
        proxies: URLs of proxies by ``"http"``, ``"https"`` or ``"all"``. The environment is not asked.
        max_connections: connections at most; >= 1.
        max_body_size: bytes of a body at most, also once decompressed; >= 1, 16 MiB by default.
        follow_redirects: redirections to follow at most, >= 0: only within the origin of the request, and
            only those of GET and HEAD or with status 307 and 308. Any other is returned as it is.

    Raises:
        ConfigurationError: an argument is not as described.
        ImportError: aiohttp is not installed.
    """

    def __init__(
        self,
        client: Any = None,
        *,
        verify_certificate: bool | str | os.PathLike[str] | ssl.SSLContext = True,
        proxies: Mapping[str, str] | None = None,
        max_connections: int = 100,
        max_body_size: int = DEFAULT_LIMIT,
        follow_redirects: int = 0,
    ) -> None:
        try:
            import aiohttp
        except ImportError:
            raise ImportError('aiohttp is not installed: pip install "holdfast[aiohttp]"') from None
        super().__init__()
        self._aiohttp: Any = aiohttp
        if client is not None and not isinstance(client, aiohttp.ClientSession):
            raise ConfigurationError(f"AsyncAiohttpTransport needs an aiohttp.ClientSession, got {client!r}")
        pools.check_proxies(proxies)
        self._client: Any = client
        self._verify = verify_certificate
        self._proxies = proxies
        self._connections = count("max_connections", max_connections, 1)
        self._limit = count("max_body_size", max_body_size, 1)
        self._redirects = count("follow_redirects", follow_redirects, 0)
        self._timeouts: tuple[HTTPTimeout | None, Any] = (None, None)
        self._sessions: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = (
            weakref.WeakKeyDictionary()
        )

    async def _exchange(self, request: HTTPRequest, url: str, timeout: HTTPTimeout) -> HTTPResponse:
        origin, target = addresses.split(url, request)
        headers = outgoing.headers_of(request, origin)
        options: dict[str, Any] = {}
        if request.attachments:
            options["data"] = self._form(request, headers)
        elif request.body:
            content = outgoing.content_of(request)
            options["data"] = io.BytesIO(content) if len(content) > _LARGE else content
            options["skip_auto_headers"] = ("Content-Type",)
        if self._proxies and (proxy := pools.proxy_for(self._proxies, origin.scheme)) is not None:
            options["proxy"] = proxy
        known, limits = self._timeouts
        if known is not timeout:
            limits = self._limits(timeout)
        from yarl import URL  # comes with aiohttp

        session = self._client or self._sessions.get(asyncio.get_running_loop()) or await self._open()
        response = await session.request(
            request.method,
            URL(f"{origin.scheme}://{origin.netloc}{target}", encoded=True),
            headers=headers,
            timeout=limits,
            allow_redirects=False,
            raise_for_status=False,
            auto_decompress=False,
            **options,
        )
        try:
            received = response.headers
            encodings = received.getall("Content-Encoding", None)
            body = Body(
                self._limit,
                request,
                response.status,
                received.get("Content-Length"),
                None if encodings is None else ", ".join(encodings),
            )
            stream = response.content
            while chunk := await stream.readany():
                body.add(chunk)
            return HTTPResponse(response.status, list(received.items()), content=body.end())
        except BaseException:
            response.close()
            raise
        finally:
            response.release()

    def _limits(self, timeout: HTTPTimeout) -> Any:
        limits = self._aiohttp.ClientTimeout(total=None, connect=timeout.connect, sock_read=timeout.read)
        self._timeouts = (timeout, limits)
        return limits

    def _form(self, request: HTTPRequest, headers: dict[str, str]) -> Any:
        for name in list(headers):
            if name.lower() == "content-type":
                del headers[name]  # the library's has the boundary
        form = self._aiohttp.FormData(default_to_multipart=True)
        for part in outgoing.parts_of(request):
            content = part.content
            if part.filename is None:
                form.add_field(part.name, cast("bytes", content).decode())
                continue
            if isinstance(content, (bytes, bytearray)) and len(content) > _LARGE:
                content = io.BytesIO(content)
            form.add_field(
                part.name, content, filename=part.filename, content_type=outgoing.media_type_of(part)
            )
        return form

    async def _open(self) -> Any:
        for loop, stale in list(self._sessions.items()):
            if loop.is_closed():
                del self._sessions[loop]
                await stale.close()  # of no loop any more: nothing is waited for
        aiohttp = self._aiohttp
        context = pools.ssl_context(self._verify)
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, ssl=True if context is None else context),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_SKIPPED,
        )
        self._sessions[asyncio.get_running_loop()] = session
        return session

    def _translated(
        self, error: Exception, request: HTTPRequest, timeout: HTTPTimeout, late: bool
    ) -> Exception | None:
        """Return our error for one of the library's; ``None``: it is none of these."""
        aiohttp = self._aiohttp
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            if self._client is None and self._running > self._connections:
                return failures.timeout_error("pool", request, timeout)
            return failures.timeout_error("connect", request, timeout)
        if isinstance(error, aiohttp.ServerTimeoutError):
            return failures.timeout_error("read", request, timeout)
        if late and type(error) is TimeoutError:
            return failures.timeout_error("total", request, timeout)
        if isinstance(error, aiohttp.ServerDisconnectedError):
            return failures.connection_error(error, request, "the server closed the connection unasked")
        if isinstance(error, aiohttp.ClientResponseError):
            told: str = cast("Any", error).message  # its text has the URL
            return failures.incomplete(told.partition("\n")[0], request)
        if isinstance(error, aiohttp.ClientPayloadError):
            return failures.incomplete(error, request)
        if isinstance(error, (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError)):
            return HTTPRequestError("its URL cannot be sent", request)
        if isinstance(error, aiohttp.ClientError):
            return failures.connection_error(error, request)
        return None

    async def aclose(self) -> None:
        """Close the connections of this event loop; a later call makes new ones.

        Calls that are under way end in ``HTTPClosedError``.
        """
        self._note_closing()
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.close()
