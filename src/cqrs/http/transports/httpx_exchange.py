"""What the transports over ``httpx2`` or ``httpx`` do before and after they wait: the same for both kinds."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from types import ModuleType
from typing import Any, cast

from cqrs.exceptions import ConfigurationError
from cqrs.http.errors import HTTPRequestError, HTTPTimeoutError
from cqrs.http.messages import HTTPRequest, HTTPResponse, HTTPTimeout
from cqrs.http.transports import addresses, failures, libraries, outgoing, pools
from cqrs.http.transports.bodies import DEFAULT_LIMIT, Body
from cqrs.http.transports.validation import count

Verify = bool | str | os.PathLike[str] | ssl.SSLContext

_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
_DEFAULTS = pools.PoolOptions(True, None, False, 100, 20)


class HttpxExchange:
    """Base of both transports."""

    _kind = ""

    def __init__(
        self,
        client: Any = None,
        *,
        transport: Any = None,
        verify_certificate: Verify = True,
        proxies: Mapping[str, str] | None = None,
        http2: bool = False,
        max_connections: int = 100,
        max_keepalive: int = 20,
        max_body_size: int = DEFAULT_LIMIT,
        follow_redirects: int = 0,
        library: ModuleType | str | None = None,
    ) -> None:
        self._options = pools.PoolOptions(verify_certificate, proxies, http2, max_connections, max_keepalive)
        if client is not None and transport is not None:
            raise ConfigurationError("give a client or a transport, not both")
        if (client is not None or transport is not None) and self._options != _DEFAULTS:
            raise ConfigurationError(
                "verify_certificate, proxies, http2, max_connections and max_keepalive are of the pool of"
                " this transport: a client or transport of yours has its own"
            )
        self._limit = count("max_body_size", max_body_size, 1)
        self._redirects = count("follow_redirects", follow_redirects, 0)
        given = client if client is not None else transport
        method = (
            "send" if client is not None else f"handle_{self._kind.lower()}{'_' * bool(self._kind)}request"
        )
        if given is not None and not callable(getattr(given, method, None)):
            kind = f"{self._kind}Client" if client is not None else f"{self._kind}BaseTransport"
            raise ConfigurationError(f"{type(self).__qualname__} needs an httpx2.{kind}, got {given!r}")
        found = None
        if library is None and given is not None:
            found = libraries.of(
                given, f"{self._kind}Client" if client is not None else f"{self._kind}BaseTransport"
            )
        self._library: Any = found or libraries.named(library)
        self._core: Any = pools.core_of(self._library)
        self._client: Any = client
        self._transport: Any = transport
        self._prepare()

    def _prepare(self) -> None:
        """Make what calls of this kind need; the last step of the construction."""
        raise NotImplementedError

    def _split(self, request: HTTPRequest, url: str) -> tuple[addresses.Origin, str, dict[str, str]]:
        origin, target = addresses.split(url, request)
        return origin, target, outgoing.headers_of(request, origin)

    def _to_core(self, request: HTTPRequest, url: str, timeout: HTTPTimeout) -> tuple[str, Any]:
        """Return the scheme of a request and what the pool takes."""
        origin, target, headers = self._split(request, url)
        if request.attachments:
            made = self._to_httpx(request, url, timeout)
            raw, content = made.headers.raw, made.stream
        else:
            content = outgoing.content_of(request)
            raw = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
            if content or request.method in _BODY_METHODS:
                names = {name.lower() for name in headers}
                if "content-length" not in names and "transfer-encoding" not in names:
                    raw.append((b"Content-Length", b"%d" % len(content)))
        core = self._core
        place = core.URL(
            scheme=origin.scheme.encode(), host=origin.host.encode(), port=origin.port, target=target.encode()
        )
        extensions = {"timeout": _seconds(timeout)}
        return origin.scheme, core.Request(
            request.method, place, headers=raw, content=content, extensions=extensions
        )

    def _to_httpx(self, request: HTTPRequest, url: str, timeout: HTTPTimeout) -> Any:
        """Return the request as the library's own transports and clients take it."""
        origin, target, headers = self._split(request, url)
        place = f"{origin.scheme}://{origin.netloc}{target}"
        if request.attachments:
            body = _multipart(request)
            for name in list(headers):
                if name.lower() == "content-type" and "boundary=" not in headers[name]:
                    del headers[name]
        else:
            body = {"content": outgoing.content_of(request)}
        if self._client is not None:
            own = request.wire_headers
            for name in ("Accept", "User-Agent", "Host"):
                if name not in own:
                    headers.pop(name, None)  # the client knows better
            limits = self._library.Timeout(**_seconds(timeout))
            return self._client.build_request(request.method, place, headers=headers, timeout=limits, **body)
        try:
            return self._library.Request(
                request.method, place, headers=headers, extensions={"timeout": _seconds(timeout)}, **body
            )
        except self._library.InvalidURL as error:
            raise HTTPRequestError(f"its URL cannot be sent: {error}", request) from error

    def _begin(self, request: HTTPRequest, status: int, raw: Any) -> tuple[Body, list[tuple[str, str]]]:
        """Return where to put the body, and the headers."""
        length = encoding = None
        headers: list[tuple[str, str]] = []
        for raw_name, raw_value in raw:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers.append((name, value))
            lower = name.lower()
            if lower == "content-length":
                length = value
            elif lower == "content-encoding":
                encoding = value if encoding is None else f"{encoding}, {value}"
        return Body(self._limit, request, status, length, encoding), headers

    def _read_already(self, request: HTTPRequest, response: Any) -> HTTPResponse | None:
        """Return an answer whose body the library has in memory, decoded."""
        if not getattr(response, "is_stream_consumed", False):
            return None
        content: bytes = response.content
        body = Body(self._limit, request, response.status_code, None, None)
        body.add(content)
        return HTTPResponse(response.status_code, _texts(response.headers.raw), content=content)

    def _translated(
        self, error: Exception, request: HTTPRequest, timeout: HTTPTimeout, late: bool
    ) -> Exception | None:
        """Return our error for one of the library's; ``None``: it is none of these."""
        library, core = self._library, self._core
        if isinstance(error, (library.TimeoutException, core.TimeoutException)):
            return _timed_out(error, request, timeout, late)
        if isinstance(error, TimeoutError) and late and not isinstance(error, HTTPTimeoutError):
            return failures.timeout_error("total", request, timeout)
        unsendable = (library.UnsupportedProtocol, library.LocalProtocolError)
        if isinstance(error, (*unsendable, core.UnsupportedProtocol, core.LocalProtocolError)):
            return HTTPRequestError(f"it cannot be sent: {error}", request)
        if isinstance(error, (library.RemoteProtocolError, core.RemoteProtocolError)):
            return failures.incomplete(error, request)
        if isinstance(
            error, (library.TransportError, core.NetworkError, core.ProxyError, core.ProtocolError)
        ):
            return failures.connection_error(error, request)
        if isinstance(error, library.InvalidURL):
            return HTTPRequestError(f"its URL cannot be sent: {error}", request)
        return None


def _seconds(timeout: HTTPTimeout) -> dict[str, float]:
    limit = timeout.limit
    read, connect = min(timeout.read, limit), min(timeout.connect, limit)
    return {"connect": connect, "read": read, "write": read, "pool": connect}


def _texts(raw: Any) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw]


def _multipart(request: HTTPRequest) -> dict[str, Any]:
    data: dict[str, list[str]] = {}
    files: list[tuple[str, tuple[Any, ...]]] = []
    for part in outgoing.parts_of(request):
        if part.filename is None:
            data.setdefault(part.name, []).append(cast("bytes", part.content).decode())
        elif part.media_type is None:
            files.append((part.name, (part.filename, part.content)))
        else:
            files.append((part.name, (part.filename, part.content, part.media_type)))
    return {"data": data, "files": files}


def _timed_out(error: Exception, request: HTTPRequest, timeout: HTTPTimeout, late: bool) -> HTTPTimeoutError:
    name = type(error).__name__
    which = name.removesuffix("Timeout").lower()
    if late and which != "pool":
        which = "total"
    return failures.timeout_error(which, request, timeout)
